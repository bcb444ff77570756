"""Chapters as an assignment of nbgrader, with its markers and its cell metadata.

Each exercise becomes two cells: the learner's, with the book's solution between nbgrader's markers, and a locked one
that counts points. The second is named after the exercise, so that grades keep their names from year to year. All other
cells of the chapter are read-only. The notebooks are those of the book: nothing is run here.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradelib import exercises
from gradelib._files import write_atomically
from gradelib._options import names, whole_number
from gradelib.classroom.scores import KNOWN_MISTAKE, credited, share
from gradelib.exercises import handout
from gradelib.exercises.bank import Bank
from gradelib.exercises.command import add_bank

if TYPE_CHECKING:
    from nbformat import NotebookNode

BOOK = Path(__file__).parents[2] / "book"  # in a checkout
STUB = "# Put your answer in the place of the three dots."
CONFIGURATION = f"""\
c = get_config()  # noqa: F821
c.ClearSolutions.code_stub = {{"python": "{STUB}"}}  # instead of a line that raises
c.Execute.timeout = 300  # seconds for one cell: a chapter trains models
"""

_SOLUTION = re.compile(r"<details>\s*<summary>Solution</summary>.*?</details>\s*", re.DOTALL)
_PROMPT = re.compile(r"#+ Exercise ")
_CHECK = re.compile(r'^check\("([\w-]+)"', re.MULTILINE)
_PAGE = re.compile(r"\((https://[^)\s]+/book/)[\w-]+\.html")


# --- what a marked cell counts


def credit(
    exercise_id: str, answer: Any, *, known_mistake: float = KNOWN_MISTAKE, seed: int = 0, bank: str | None = None
) -> float:
    """The points that an answer earns at the test points of `seed`; the verdict is printed.

    A right answer earns the exercise's points, one that makes a known mistake this share of them (0 to 1), any other
    none. nbgrader takes the number as the score of the cell that ends with this call. `bank` is the file of the
    exercise where it is not of the book. Raises ValueError for an unknown exercise.
    """
    from gradelib.marker.check import mark

    if bank:
        exercises.use(bank)
    result = credited(mark(exercises.get(exercise_id), answer, seed=seed), known_mistake)
    print(result)
    return float(result.score)


def told(exercise_id: str, answer: Any) -> Any:
    """What the learner last handed to `check` for this exercise, and was told the verdict on; else `answer`."""
    from gradelib.marker.check import handed_over

    return handed_over.get(exercise_id, answer)


# --- the notebook


@dataclass(frozen=True)
class Plan:
    """What of a chapter is marked, and how."""

    marked: frozenset[str]
    only_exercises: bool = False
    known_mistake: float = KNOWN_MISTAKE
    seed: int = 0
    bank: str | None = None


def convert(notebook: NotebookNode, plan: Plan, page: str = "") -> NotebookNode:
    """A chapter's notebook as nbgrader's source of an assignment, without outputs; `page` is the chapter's file name.

    An exercise that is not marked keeps its stub, or is left out where only exercises are wanted. Raises ValueError for
    an exercise to be marked that the chapter does not pose.
    """
    from nbformat.v4 import new_notebook

    if lost := sorted(plan.marked.difference(posed(notebook))):
        raise ValueError(f"The exercise {lost[0]} has no cell for an answer in {page}.")
    cells = [cell for cell in map(_without_solution, notebook.cells) if cell.source]
    solutions = {_exercise(cell): cell.source for cell in cells if "solution" in _tags(cell)}
    cells = [cell for cell in cells if "solution" not in _tags(cell)]
    if plan.only_exercises:
        cells = _excerpt(cells, plan, page)
    shared = _assigned_twice(cells)
    made = [new for cell in cells for new in _converted(cell, plan, solutions, shared)]
    return new_notebook(cells=made, metadata=notebook.metadata)


def posed(notebook: NotebookNode) -> list[str]:
    """The exercises for which a chapter's notebook has a cell to be filled, in its order."""
    return [name for cell in notebook.cells if "exercise" in _tags(cell) and (name := _exercise(cell))]


def _converted(
    cell: NotebookNode, plan: Plan, solutions: dict[str | None, str], shared: set[str]
) -> Iterator[NotebookNode]:
    name = _exercise(cell) if "exercise" in _tags(cell) else None
    if name is None:
        yield _labelled(cell, cell.id, locked=True)
    elif name not in plan.marked:
        yield cell
    else:
        answer = _answer(cell)
        cell.source = _with_solution(cell, answer, solutions[name])
        yield _labelled(cell, f"{name}-answer", solution=True)
        yield _counting(name, answer, plan, answer in shared)


def _labelled(cell: NotebookNode, grade_id: str, **marks: Any) -> NotebookNode:
    """The cell with nbgrader's metadata, schema 3."""
    plain = {"schema_version": 3, "grade_id": grade_id, "grade": False, "locked": False, "solution": False}
    cell.metadata["nbgrader"] = plain | {"task": False} | marks
    return cell


def _with_solution(stub: NotebookNode, answer: str, solution: str) -> str:
    """The stub, then the solution between markers, then the check of both; nbgrader takes the middle out."""
    body, check = _split(stub.source)
    right, checked = _split(solution)
    if not right:  # a formula stands in the check itself
        formula = ast.literal_eval(_checked_answer(checked))
        right = f"{answer} = {json.dumps(formula, ensure_ascii=False)}"
    gap = "\n\n" if "\n" in body else "\n"  # as after a function in the book
    return f"{body}\n### BEGIN SOLUTION\n{right}\n### END SOLUTION{gap}{check}"


def _split(source: str) -> tuple[str, str]:
    """The code before the last `check(…)`, without the title of a folded cell, and the check."""
    source = re.sub(r"\A# @title.*\n", "", source)
    at = list(_CHECK.finditer(source))[-1].start()
    return source[:at].rstrip(), source[at:]


def _counting(name: str, answer: str, plan: Plan, is_shared: bool) -> NotebookNode:
    """The locked cell that counts points. Learners see its first line, nbgrader brings back the rest."""
    from nbformat.v4 import new_code_cell

    points = exercises.get(name).max_score
    take = "pop" if is_shared else "get"  # nothing stays for the next exercise
    bank = f", bank={plan.bank!r}" if plan.bank else ""
    lines = [
        f"# Here {name} is marked, for {points:g} point{'s' if points != 1 else ''}.",
        "### BEGIN HIDDEN TESTS",
        "from gradelib.classroom.assignment import credit, told",
        "",
        f'handed_in = told("{name}", globals().{take}("{answer}", ...))',
        f'credit("{name}", handed_in, known_mistake={plan.known_mistake!r}, seed={plan.seed}{bank})',
        "### END HIDDEN TESTS",
    ]
    cell = _labelled(new_code_cell("\n".join(lines)), name, grade=True, locked=True, points=points)
    cell.id = name
    return cell


def _assigned_twice(cells: Iterable[NotebookNode]) -> set[str]:
    """Names such as `answer`, under which more than one exercise is handed over."""
    asked = [_answer(cell) for cell in cells if "exercise" in _tags(cell)]
    return {name for name, times in Counter(asked).items() if times > 1}


def _excerpt(cells: Sequence[NotebookNode], plan: Plan, page: str) -> list[NotebookNode]:
    """The set-up, a heading, the imports, and the marked exercises with their text."""
    from nbformat.v4 import new_code_cell, new_markdown_cell

    [url, *_] = [found[1] for cell in cells if (found := _PAGE.search(cell.source))]
    chosen: list[NotebookNode] = []
    for prompt, cell in zip(_prompts(cells), cells, strict=True):
        if "exercise" in _tags(cell) and _exercise(cell) in plan.marked:
            chosen += [cell] if prompt is None or prompt in chosen else [prompt, cell]
    for cell in chosen:
        cell.source = cell.source.replace("](#", f"]({url}{page}.html#")
    title = next(cell for cell in cells if cell.cell_type == "markdown").source.partition("\n")[0]
    words = f"{title}\n\nThe exercises of this chapter. Everything else stands [in the book]({url}{page}.html)."
    imports = "import torch\n\nfrom gradelib import check\n\ntorch.set_default_dtype(torch.float64)"
    if all(exercises.get(name).function is None for name in plan.marked):
        imports = "from gradelib import check"  # formulas and choices need no torch
    return [cells[0], _named(new_markdown_cell(words), "title"), _named(new_code_cell(imports), "imports"), *chosen]


def _named(cell: NotebookNode, name: str) -> NotebookNode:
    cell.id = name
    return cell


def _prompts(cells: Iterable[NotebookNode]) -> Iterator[NotebookNode | None]:
    """For each cell the text of the exercise that it belongs to, as far as there was one."""
    prompt = None
    for cell in cells:
        prompt = cell if _PROMPT.match(cell.source) else prompt
        yield prompt


def _without_solution(cell: NotebookNode) -> NotebookNode:
    from nbformat import from_dict

    cell = from_dict(cell)  # a copy
    if cell.cell_type == "markdown":
        cell.source = _SOLUTION.sub("", cell.source).strip()
    else:
        cell.outputs, cell.execution_count = [], None
    return cell


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _exercise(cell: NotebookNode) -> str | None:
    found = _CHECK.findall(cell.source)
    return found[-1] if found else None


def _answer(stub: NotebookNode) -> str:
    """The name under which a stub hands its answer over."""
    answer = _checked_answer(_split(stub.source)[1])
    if not isinstance(answer, ast.Name):
        raise ValueError(f"A stub hands over a name, but here it is {ast.unparse(answer)}.")
    return answer.id


def _checked_answer(check: str) -> ast.expr:
    """The second argument in the source of a call of `check`."""
    last = ast.parse(check).body[-1]
    if not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and len(last.value.args) > 1):
        raise ValueError(f"This is no call of check with an answer: {check!r}.")
    return last.value.args[1]


def of_bank(bank: Bank, plan: Plan) -> NotebookNode:
    """The exercises of a bank as nbgrader's source of an assignment; formulas have their solution in it.

    Raises ValueError where they differ from learner to learner: nbgrader hands out one notebook to all.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    if bank.is_varied:
        raise ValueError(
            f"{bank.name} has exercises that vary; 'gradelib bank write' makes a notebook for each learner."
        )
    asked = [exercise for exercise in bank.exercises() if exercise.id in plan.marked]
    cells = [_labelled(new_code_cell(handout.imports(asked), id="imports"), "imports", locked=True)]
    for exercise in asked:
        text = new_markdown_cell(handout.question(exercise), id=f"{exercise.id}-question")
        stub = new_code_cell(handout.stub(exercise), id=f"{exercise.id}-answer")
        answer = _answer(stub)
        right = handout.solution(exercise)
        told = (
            "# A solution may stand here." if right is None else f"{answer} = {json.dumps(right, ensure_ascii=False)}"
        )
        stub.source = _with_solution(stub, answer, f"{told}\n\n{_split(stub.source)[1]}")
        cells += [_labelled(text, text.id, locked=True), _labelled(stub, stub.id, solution=True)]
        cells.append(_counting(exercise.id, answer, plan, False))
    return new_notebook(cells=cells)


# --- the assignment


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `assignment` to the commands."""
    parser = commands.add_parser(
        "assignment",
        help="write chapters as an nbgrader assignment",
        description="Write chapters of the book into an nbgrader course, as the source of an assignment.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="COURSE", help="the folder of the course")
    parser.add_argument("--name", required=True, metavar="NAME", help="of the assignment; it is COURSE/source/NAME")
    parser.add_argument("--chapter", type=names, default=(), metavar="N,N", help="1 to 12 (those of the exercises)")
    parser.add_argument(
        "--exercises", type=names, default=(), metavar="ID,ID", help="count these (all of the chapters)"
    )
    add_bank(parser)
    parser.add_argument("--only-exercises", action="store_true", help="leave out the text and the experiments")
    parser.add_argument(
        "--known-mistake", default=KNOWN_MISTAKE, metavar="SHARE", help="of its points, 0 to 1 (%(default)s)"
    )
    parser.add_argument("--seed", metavar="N", help="of the random test points (a fresh one, hidden from learners)")
    parser.add_argument("--book", type=Path, default=BOOK, metavar="FOLDER", help="with the book's notebooks")
    parser.add_argument("--force", action="store_true", help="write over notebooks that are there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    written = write(
        options.out,
        options.name,
        [exercises.chapter(text) for text in options.chapter],
        options.exercises,
        bank=options.bank,
        book=options.book,
        only_exercises=options.only_exercises,
        known_mistake=share(options.known_mistake),
        seed=whole_number("--seed", options.seed),
        force=options.force,
    )
    for path in written:
        print(path)
    if STUB not in (options.out / "nbgrader_config.py").read_text(encoding="utf8"):
        print(f"Your nbgrader_config.py is left as it is. These lines belong there:\n{CONFIGURATION}", end="")
    return 0


def write(
    course: str | Path,
    name: str,
    chapters: Sequence[int] = (),
    marked: Sequence[str] = (),
    *,
    bank: str | Path | None = None,
    book: str | Path = BOOK,
    only_exercises: bool = False,
    known_mistake: float = KNOWN_MISTAKE,
    seed: int | None = None,
    force: bool = False,
) -> list[Path]:
    """Write chapters as the assignment `name` of the nbgrader course in a folder; the notebooks written.

    `marked` names the exercises that count, by default all of the chapters; `chapters` are by default those of the
    exercises. The exercises of a `bank`, a file that nbgrader must find when it marks, make a notebook of their own.
    The `seed` of the test points is by default a fresh one, which stands in the notebooks. A course that has no
    `nbgrader_config.py` gets one. Raises ValueError, before anything is written, for an exercise or a share that does
    not exist, and where a notebook stands already and `force` is not given; FileNotFoundError where the book's
    notebooks are not in the folder `book`.
    """
    import nbformat

    if not re.fullmatch(r"[\w-][\w .-]*", name):
        raise ValueError(f"An assignment is named by letters, digits and dashes, such as ps1, but not {name!r}.")
    plan = Plan(frozenset(), only_exercises, share(known_mistake), secrets.randbelow(2**32) if seed is None else seed)
    folder = Path(course) / "source" / name
    texts = {}
    if bank is not None:
        own = frozenset(exercises.use(bank))
        path = _free(folder / f"{Path(bank).stem}.ipynb", force)
        counted = replace(plan, marked=own & {*marked} if marked else own, bank=str(Path(bank).resolve()))
        marked = [exercise_id for exercise_id in marked if exercise_id not in own]
        texts[path] = nbformat.writes(of_bank(Bank.read(bank), counted)) + "\n"
    of_the_book = _by_chapter(chapters, marked) if marked or chapters or not texts else {}
    for chapter, ids in of_the_book.items():
        source = _notebook(Path(book), chapter)
        _free(folder / source.name, force)
        notebook = nbformat.read(source, as_version=4)
        ids = ids if marked else ids & set(posed(notebook))
        texts[folder / source.name] = nbformat.writes(convert(notebook, replace(plan, marked=ids), source.stem)) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        write_atomically(path, text)
    if not (configuration := Path(course) / "nbgrader_config.py").exists():
        write_atomically(configuration, CONFIGURATION)
    return list(texts)


def _free(path: Path, force: bool) -> Path:
    """The path itself; raises ValueError where a file is there already."""
    if path.exists() and not force:
        raise ValueError(f"{path} is there already; take another --name, or write over it by --force.")
    return path


def _by_chapter(chapters: Sequence[int], marked: Sequence[str]) -> dict[int, frozenset[str]]:
    """The exercises that count, by chapter in the order of the book."""
    wanted = {exercises.get(name).id for name in marked}
    ids = {chapter: frozenset(e.id for e in exercises.of_chapter(chapter)) for chapter in exercises.CHAPTERS}
    chosen = {c: ids[c] & wanted if wanted else ids[c] for c in ids if (c in chapters if chapters else ids[c] & wanted)}
    if not chosen:
        raise ValueError("Name the chapters of the assignment by --chapter, or its exercises by --exercises.")
    if lost := sorted(wanted.difference(*chosen.values())):
        raise ValueError(f"The exercise {lost[0]} is not in the chapters that you named.")
    if idle := [chapter for chapter, names in chosen.items() if not names]:
        raise ValueError(f"None of the exercises that you named is in chapter {idle[0]}.")
    return chosen


def _notebook(book: Path, chapter: int) -> Path:
    found = sorted(book.glob(f"{chapter:02d}-*.ipynb"))
    if not found:
        raise FileNotFoundError(
            f"There is no notebook of chapter {chapter} in {book}; name the folder book/ of a checkout by --book."
        )
    return found[0]
