"""Nodes of the evidence on a page and how they are written; `gradelib.mime_renderer` has the node `record` itself."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.writers.html5 import HTML5Translator
from sphinx.writers.latex import LaTeXTranslator

from gradelib.mime_renderer import record

# nodes of docutils have small letters
# ruff: noqa: N801


class checked_equation(nodes.General, nodes.Element):
    """A displayed equation, and after it the badge that leads to its check."""


class spoken_reference(nodes.reference):
    """A link for which a screen reader says its `label`; it has the target and the text of the node it is made from."""


def spoken(link: nodes.Element, label: str, **attributes: Any) -> spoken_reference:
    target = {name: link[name] for name in ("refid", "refuri") if name in link}
    return spoken_reference("", "", *link.children, label=label, **target, **attributes)


# --- writing


def visit_record_html(self: HTML5Translator, node: record) -> None:
    self.body.append(self.starttag(node, "pre", "", CLASS="gl-record"))


def depart_record_html(self: HTML5Translator, node: record) -> None:
    self.body.append("</pre>\n")


def visit_record_latex(self: LaTeXTranslator, node: record) -> None:
    self.body.append("\n\\begin{sphinxuseclass}{glrecord}\n\\sphinxAtStartPar\n")


def depart_record_latex(self: LaTeXTranslator, node: record) -> None:
    self.body.append("\n\n\\end{sphinxuseclass}")


def visit_checked_equation(self: HTML5Translator, node: checked_equation) -> None:
    self.body.append(self.starttag(node, "div", "", CLASS="gl-equation"))


def depart_checked_equation(self: HTML5Translator, node: checked_equation) -> None:
    self.body.append("</div>\n")


def visit_spoken_reference(self: HTML5Translator, node: spoken_reference) -> None:
    href = node.get("refuri") or f"#{node['refid']}"
    self.body.append(self.starttag(node, "a", "", href=href, **{"aria-label": node["label"]}))


def depart_spoken_reference(self: HTML5Translator, node: spoken_reference) -> None:
    self.body.append("</a>")


# --- making


def paragraph(*parts: nodes.Node | str) -> nodes.paragraph:
    return nodes.paragraph("", "", *(nodes.Text(part) if isinstance(part, str) else part for part in parts))


def table(head: list[str], rows: list[list[list[nodes.Node]]], *, kind: str) -> nodes.table:
    """A table of paragraphs: for each row and column the nodes of one paragraph, or whole blocks."""
    widths = [nodes.colspec(colwidth=1) for _ in head]
    top = nodes.thead("", _row([[nodes.Text(word)] for word in head]))
    body = nodes.tbody("", *map(_row, rows))
    return nodes.table("", nodes.tgroup("", *widths, top, body, cols=len(head)), classes=["colwidths-auto", kind])


def _row(cells: list[list[nodes.Node]]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", *_blocks(cell)) for cell in cells))


def _blocks(cell: list[nodes.Node]) -> list[nodes.Node]:
    return [paragraph(*cell)] if cell and isinstance(cell[0], (nodes.Text, nodes.Inline)) else cell
