"""Reading time: a line below the title of each chapter says how long it takes to read, and how long its code ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx_exercise.nodes import solution_node

from book.extensions import is_chapter, metadata
from book.extensions.cells import is_code_cell_source
from book.extensions.page.folds import fold

WORDS_PER_MINUTE = 200  # an inline formula counts as a word
CODE_LINES_PER_MINUTE = 20
FORMULAS_PER_MINUTE = 6  # displayed ones
UNCOUNTED = (nodes.literal_block, nodes.math_block, nodes.math, nodes.raw, nodes.comment)
FOLDED = (fold, solution_node, HideCodeCellNode)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-resolved", add_reading_time, priority=400)  # before other extensions add to the text
    return metadata()


def add_reading_time(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the line below the title, on HTML pages alone: another builder makes the notebooks."""
    title = next(doctree.findall(nodes.title), None)
    if app.builder.format != "html" or not is_chapter(docname) or title is None:
        return
    text = f"About {round_up_to_five(reading_minutes(doctree))} minutes to read"
    if (seconds := run_time(app, docname)) and next(_code_cells(doctree), None):
        text += f" · the code ran in {round_up_to_five(seconds)} s"
    # Raw, so that descriptions of the page (Open Graph), which skip raw nodes, begin with its question.
    line = nodes.raw("", f'<p class="gl-effort">{text}</p>', format="html")
    title.parent.insert(title.parent.index(title) + 1, line)


def reading_minutes(doctree: nodes.document) -> float:
    """Time to read the prose, the formulas and the code, but not what the code prints, nor what is folded."""
    words = sum(len(text.split()) for text in doctree.findall(nodes.Text) if not _is_inside(text, UNCOUNTED + FOLDED))
    words += len(_open(doctree.findall(nodes.math)))
    cells = [cell.astext().splitlines() for cell in _open(_code_cells(doctree))]
    lines = sum(bool(line.strip()) for cell in cells for line in cell)
    formulas = len(_open(doctree.findall(nodes.math_block)))
    return words / WORDS_PER_MINUTE + lines / CODE_LINES_PER_MINUTE + formulas / FORMULAS_PER_MINUTE


def _code_cells(doctree: nodes.document) -> Iterator[nodes.container]:
    return doctree.findall(is_code_cell_source)


def _open(found: Iterable[nodes.Node]) -> list[nodes.Node]:
    return [node for node in found if not _is_inside(node, FOLDED)]


def _is_inside(inner: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    node = inner.parent
    while node is not None and not isinstance(node, kinds):
        node = node.parent
    return node is not None


def run_time(app: Sphinx, docname: str) -> float | None:
    """The seconds that this page's cells took when they were run last, on the machine that built the book."""
    return getattr(app.env, "nb_metadata", {}).get(docname, {}).get("exec_data", {}).get("runtime")


def round_up_to_five(amount: float) -> int:
    """The next multiple of five, at least five: the estimate is no better than that."""
    return 5 * max(1, ceil(amount / 5))
