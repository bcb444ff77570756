"""One quiet line below the title of each chapter: how long it takes to read, and how long its code ran."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx

WORDS = 200  # a minute, of prose; a formula in the line counts as a word
LINES = 20  # a minute, of code
FORMULAS = 6  # a minute, of those that have a line of their own
UNREAD = (nodes.literal_block, nodes.math_block, nodes.math, nodes.raw, nodes.comment)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", say_how_long, priority=400)  # before other extensions add to the text
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def say_how_long(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the line below the title; notebooks, which another builder makes, stay as they are."""
    title = next(doctree.findall(nodes.title), None)
    if app.builder.format != "html" or not PurePosixPath(docname).name[0].isdigit() or title is None:
        return
    said = f"About {in_fives(minutes(doctree))} minutes to read"
    if (seconds := run_time(app, docname)) and next(_code(doctree), None):
        said += f" · the code ran in {in_fives(seconds)} s"
    # Raw, so that the first paragraph of the page stays the question: other extensions quote it.
    line = nodes.raw("", f'<p class="gl-effort">{said}</p>', format="html")
    title.parent.insert(title.parent.index(title) + 1, line)


def minutes(doctree: nodes.document) -> float:
    """Time to read the prose, the formulas and the code, but not what the code prints."""
    words = sum(len(text.split()) for text in doctree.findall(nodes.Text) if not _is_inside(text, UNREAD))
    words += sum(1 for _ in doctree.findall(nodes.math))
    lines = sum(len(list(filter(str.strip, cell.astext().splitlines()))) for cell in _code(doctree))
    formulas = sum(1 for _ in doctree.findall(nodes.math_block))
    return words / WORDS + lines / LINES + formulas / FORMULAS


def _code(doctree: nodes.document) -> Iterator[nodes.container]:
    return (cell for cell in doctree.findall(nodes.container) if cell.get("nb_element") == "cell_code_source")


def _is_inside(text: nodes.Text, kinds: tuple[type[nodes.Node], ...]) -> bool:
    node = text.parent
    while node is not None and not isinstance(node, kinds):
        node = node.parent
    return node is not None


def run_time(app: Sphinx, docname: str) -> float | None:
    """The seconds that this page's cells took when they were run last, on the machine that built the book."""
    return getattr(app.env, "nb_metadata", {}).get(docname, {}).get("exec_data", {}).get("runtime")


def in_fives(amount: float) -> int:
    """Rounded up to a multiple of five: nobody reads by the minute."""
    return 5 * max(1, ceil(amount / 5))
