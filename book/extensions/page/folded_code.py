"""Folded code: cells that stand together share one fold, whose line says what a reader would find in it.

Only pages have folds. A notebook keeps its cells as they are, and on paper all code stands open.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

from book.extensions import metadata
from book.extensions.cells import is_code_cell, is_code_cell_source
from gradelib.mime_renderer import record

LINES = {"check", "result"}  # outputs of one line
MOST_NAMES = 3  # that the line of a fold gives


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-resolved", join_folds)
    # No template has a say in it: its HTML is written node by node.
    app.add_node(HideCodeCellNode, override=True, html=(visit_hidden_code, depart_hidden_code))
    return metadata()


def join_folds(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give one fold to neighbours without output and to neighbours with nothing but lines of checks, and name it."""
    if app.builder.format != "html":
        return
    for parent in {cell.parent for cell in doctree.findall(is_folded)}:
        for folded, run in groupby(list(parent.children), key=is_folded):
            for group in _groups(list(run)) if folded else ():
                _join(group)


def is_folded(node: nodes.Node) -> bool:
    """Whether a node is a code cell whose source is folded."""
    return is_code_cell(node) and bool(node.children) and isinstance(node[0], HideCodeCellNode) and _has_source(node[0])


def _has_source(fold: nodes.Element) -> bool:
    return all(is_code_cell_source(part) for part in fold)


def _groups(run: Sequence[nodes.Element]) -> Iterator[list[nodes.Element]]:
    """Cells that share a fold: code that shows nothing goes with what follows it, a check with the check before it."""
    group: list[nodes.Element] = []
    for cell in run:
        shown = [kind for member in group for kind in outputs(member)]
        if shown and {*shown, *outputs(cell)} - LINES:
            yield group
            group = []
        group.append(cell)
    yield group


def _join(group: Sequence[nodes.Element]) -> None:
    """Move all code of a group into the fold of its first cell with an output, and drop the cells that are empty."""
    home = next((cell for cell in group if outputs(cell)), group[0])
    fold = home[0]
    fold["prompt_show"] = words(group)
    fold[:] = [part for cell in group for part in cell[0]]
    for cell in group:
        if cell is home:
            continue
        del cell[0]
        if not cell.children:
            home["ids"] += cell["ids"]
            cell.parent.remove(cell)


def outputs(cell: nodes.Element) -> list[str]:
    """What a cell shows: "check", "result" (of a claim), "figure", "table" or "output" for each of its outputs."""
    leaves = [leaf for part in cell[1:] for leaf in part.findall(lambda node: isinstance(node, SHOWN))]
    return [_kind(leaf) for leaf in leaves]


SHOWN = (record, nodes.literal_block, nodes.raw, nodes.table, nodes.image, nodes.math_block)


def _kind(output: nodes.Node) -> str:
    text = output.astext()
    if isinstance(output, record):
        return "check" if output["kind"] == "check" else "result"
    if isinstance(output, nodes.image) or "gl-picture" in text:
        return "figure"
    return "table" if isinstance(output, nodes.table) or "<table" in text else "output"


def words(group: Sequence[nodes.Element]) -> str:
    """The line of a fold: what its code shows, and the functions that it defines, or else what it is there for."""
    shown = [kind for cell in group for kind in outputs(cell)]
    code = "\n".join(part.astext() for cell in group for part in cell[0])
    functions, variables, imports = defined(code)
    names = _listed(functions)
    if shown:
        of = " and ".join(_counted(kind, shown.count(kind)) for kind in dict.fromkeys(shown))
        return f"Code of {of}{': ' if names else ''}{names}"
    if imports:
        return "Code: imports and settings"
    return f"Code: {names or _listed(variables)}" if functions or variables else "Code"


def _counted(kind: str, number: int) -> str:
    return f"this {kind}" if number == 1 else f"these {number} {kind}s"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")


def defined(code: str) -> tuple[list[str], list[str], bool]:
    """The functions and classes, and the variables that some code defines, and whether it imports anything."""
    try:
        body = ast.parse(code).body
    except SyntaxError:  # a line that is for IPython alone
        return [], [], False
    functions = [statement.name for statement in body if isinstance(statement, ast.FunctionDef | ast.ClassDef)]
    targets = [target for statement in body if isinstance(statement, ast.Assign) for target in statement.targets]
    variables = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    return functions, variables, any(isinstance(statement, ast.Import | ast.ImportFrom) for statement in body)


# --- writing


def visit_hidden_code(self: HTML5Translator, node: HideCodeCellNode) -> None:
    """A fold as MyST-NB writes it, but with one line for both of its states and no label that hides what it says."""
    self.body.append(f'<details class="admonition hide {" ".join(node["classes"])}">\n')
    self.body.append(f'<summary><p class="admonition-title">{escape(node["prompt_show"])}</p></summary>\n')


def depart_hidden_code(self: HTML5Translator, node: HideCodeCellNode) -> None:
    self.body.append("</details>\n")
