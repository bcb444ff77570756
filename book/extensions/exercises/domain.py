"""The domain of the exercises: which exercise of the bank each page poses, and under which ids progress is kept."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from docutils import nodes
from sphinx.util import logging
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_subtitle

from book.extensions.cells import is_code_cell, is_code_cell_source
from book.extensions.domain import PageDomain
from gradelib import exercises

if TYPE_CHECKING:
    from sphinx.environment import BuildEnvironment

LOGGER = logging.getLogger(__name__)
IDS = "book/exercises.yml"


@dataclass(frozen=True)
class Posed:
    """An answer that a page asks for: the id of its exercise, the name that its cell gives it, and its place."""

    id: str
    name: str
    docname: str
    anchor: str
    title: str


class ExerciseDomain(PageDomain):
    """What each page poses, and which pages list it."""

    name = "exercises"
    label = "exercises"
    initial_data = {"posed": {}, "overviews": {}}  # noqa: RUF012  (Sphinx copies the tables for each build)
    data_version = 1

    def process_doc(self, env: BuildEnvironment, docname: str, document: nodes.document) -> None:
        if found := list(read_page(docname, document)):
            self.data["posed"][docname] = found

    def note_overview(self, docname: str) -> None:
        self.data["overviews"][docname] = True

    @property
    def posed(self) -> dict[str, list[Posed]]:
        """What each page poses, in the order of the pages."""
        return dict(sorted(self.data["posed"].items()))

    @property
    def overview(self) -> str | None:
        """The page that lists all exercises."""
        return next(iter(sorted(self.data["overviews"])), None)

    def check_consistency(self) -> None:
        for fault in self.faults():
            LOGGER.warning(fault, type="exercises")

    def faults(self) -> Iterator[str]:
        """What is wrong with the ids on the pages and, where there is an overview, with the frozen list."""
        posed = Counter(one.id for page in self.posed.values() for one in page)
        bank = [exercise.id for chapter in exercises.CHAPTERS for exercise in exercises.of_chapter(chapter)]
        yield from (f"exercise {name} is posed twice; progress is kept under its id" for name in _repeated(posed))
        yield from (f"no exercise has the id {name}" for name in sorted(posed.keys() - set(bank)))
        if self.overview:
            yield from faults_of_ids(read_ids(Path(self.env.srcdir, IDS)), bank)


def domain(env: BuildEnvironment) -> ExerciseDomain:
    return cast(ExerciseDomain, env.get_domain(ExerciseDomain.name))


# --- the pages


def read_page(docname: str, document: nodes.document) -> Iterator[Posed]:
    """The answers that a page asks for, in their order."""
    for exercise in document.findall(exercise_enumerable_node):
        title = next((part.astext() for part in exercise.findall(exercise_subtitle)), "")
        for cell in exercise.findall(is_exercise_cell):
            for name, variable in asked(cell):
                yield Posed(name, variable, docname, exercise["ids"][0], title)


def is_exercise_cell(node: nodes.Node) -> bool:
    return is_code_cell(node) and "tag_exercise" in cast(nodes.Element, node)["classes"]


def asked(cell: nodes.Element) -> list[tuple[str, str]]:
    """The id and the variable of each `check("id", variable)` in the code of a cell."""
    source = next(cell.findall(is_code_cell_source), None)
    tree = ast.parse(source.astext() if source is not None else "")
    return [found for call in ast.walk(tree) if isinstance(call, ast.Call) and (found := _checked(call))]


def _checked(call: ast.Call) -> tuple[str, str] | None:
    match call:
        case ast.Call(func=ast.Name(id="check"), args=[ast.Constant(value=str(name)), ast.Name(id=variable)]):
            return name, variable
    return None


# --- the ids


def read_ids(path: Path) -> dict[str, Any]:
    """The frozen list: `ids`, the `aliases` of those that were renamed, and the `retired` ones."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def faults_of_ids(known: Mapping[str, Any], bank: Iterable[str]) -> Iterator[str]:
    """What is wrong with the frozen list, or with the bank beside it."""
    bank, aliases = list(bank), known["aliases"] or {}
    listed = [*known["ids"], *aliases, *(known["retired"] or [])]
    yield from (f"two exercises have the id {name}" for name in _repeated(Counter(bank)))
    yield from (f"{IDS}: the id {name} stands there twice" for name in _repeated(Counter(listed)))
    yield from (f"{IDS}: add the id {name} at the end of `ids`" for name in sorted(set(bank) - set(known["ids"])))
    for name in known["ids"]:
        if name not in bank:
            yield f"{IDS}: the exercise {name} has vanished; make its id an alias of another, or move it to `retired`"
    for old, new in aliases.items():
        if new not in bank:
            yield f"{IDS}: {old} is an alias of {new}, which no exercise has as its id"


def _repeated(counts: Counter[str]) -> list[str]:
    return [name for name, times in counts.items() if times > 1]
