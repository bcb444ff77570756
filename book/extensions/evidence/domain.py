"""What the cells of the book proved and measured, read off their outputs: checks of equations, and claims.

Sphinx keeps it with each page that it has read, so that a page from the cache counts like a new one. On a page, each
checked equation gets a badge that leads to its check, and the check's output leads back. An equation without a check
that could have failed is a warning, and with that fails the build.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders.latex.nodes import math_reference
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector
from sphinx.util import logging

from gradelib import _records

LOGGER = logging.getLogger(__name__)
BADGE = (
    '<a class="gl-badge" href="#{anchor}" aria-label="Equation {number} is checked: go to the check">'
    '<span aria-hidden="true">✓</span></a></div>'
)


class evidence_list(nodes.General, nodes.Element):  # noqa: N801  (nodes of docutils have small letters)
    """Stands for what is made of all pages once they are read: `make(app, docname, children)` gives its nodes."""


@dataclass(frozen=True)
class Record:
    """A check or a claim, with the anchor and the line of its cell."""

    name: str  # the label of the equation, or the name of the claim
    data: dict[str, Any]
    anchor: str
    line: int | None


@dataclass
class Page:
    """What one page holds: its labelled equations with their lines, in order, its checks and its claims."""

    equations: dict[str, int | None] = field(default_factory=dict)
    checks: list[Record] = field(default_factory=list)
    claims: list[Record] = field(default_factory=list)
    lists: list[evidence_list] = field(default_factory=list)  # a page with lists is written anew whenever any page is

    def checks_of(self, label: str | None) -> list[Record]:
        return [check for check in self.checks if check.name == label]

    def has_row(self, claim: str) -> bool:
        return any("row" in listed and claim in listed["row"].evidence for listed in self.lists)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_env_collector(Collector)
    app.connect("doctree-resolved", fill_lists)
    app.connect("doctree-resolved", join_equations_and_checks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# --- reading


def pages(env: BuildEnvironment) -> dict[str, Page]:
    """The pages of the book by name, in the order of the table of contents as far as they stand in it."""
    if not hasattr(env, "gradelib_pages"):
        env.gradelib_pages = {}
    return env.gradelib_pages


class Collector(EnvironmentCollector):
    """Reads the evidence off every page, and sees to it that the lists of evidence are never old."""

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        pages(env).pop(docname, None)

    def merge_other(self, app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
        pages(env).update({name: page for name, page in pages(other).items() if name in docnames})

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        page = pages(app.env)[app.env.docname] = Page()
        for equation in doctree.findall(nodes.math_block):
            if equation.get("label"):
                page.equations[equation["label"]] = equation.line
        for cell in doctree.findall(_is_code_cell):
            _read_cell(cell, page)
        page.lists = [place.deepcopy() for place in doctree.findall(evidence_list)]

    def get_updated_docs(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        if is_for_readers(app):
            for place, fault in faults(env):
                LOGGER.warning(fault, location=place, type="gradelib")
        return [name for name, page in pages(env).items() if page.lists]


def _is_code_cell(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def _read_cell(cell: nodes.container, page: Page) -> None:
    for output in cell.findall(nodes.raw):
        if (record := _records.read(output.astext())) is None:
            continue
        kind, data, _ = record
        records, name = (page.checks, data["label"]) if kind == "check" else (page.claims, data["name"])
        anchor = f"{kind}-{name}"
        if earlier := sum(other.name == name for other in records):
            anchor += f"-{earlier + 1}"
        cell["ids"].append(anchor)
        records.append(Record(name, data, anchor, cell.line))


def is_for_readers(app: Sphinx) -> bool:
    """Whether cells were run and pages are written; the exporter of notebooks does neither."""
    return app.builder.format == "html" and app.config.nb_execution_mode != "off"


# --- judging


def is_effective(checks: list[Record]) -> bool:
    """Whether one of the checks refused a wrong variant."""
    return any(check.data["tried"] for check in checks)


def is_excused(checks: list[Record]) -> bool:
    """Whether one of the checks says in writing what it lets pass, or why it has nothing to refuse."""
    return any(check.data["excused"] for check in checks)


def faults(env: BuildEnvironment) -> Iterator[tuple[tuple[str, int | None], str]]:
    """What is wrong with equations and checks, each with its place."""
    known = {label for page in pages(env).values() for label in page.equations}
    for docname, page in sorted(pages(env).items()):
        for label, line in page.equations.items():
            checks = page.checks_of(label)
            if not label.startswith("eq-"):
                yield (docname, line), "a numbered equation without a label; write it as `$$ … $$ (eq-name)`"
            elif not checks:
                yield (docname, line), f"no check of {label}: a cell on this page must end in one, or display one"
            elif not is_effective(checks) and not is_excused(checks):
                yield (docname, line), f"the check of {label} could not fail, since it has no formula to vary"
        for check in page.checks:
            if check.name not in known:
                yield (docname, check.line), f"a check of {check.name}, but no equation has this label"


# --- showing


def equation_link(app: Sphinx, here: str, label: str) -> nodes.Element | None:
    """The number of an equation, as a link to it; None where the book has no such equation."""
    domain = app.env.get_domain("math")
    if app.builder.format == "latex":
        found = domain.equations.get(label)
        return math_reference("", "", docname=found[0], target=label) if found else None
    return domain.resolve_xref(app.env, here, app.builder, "eq", label, None, None)


def link(app: Sphinx, here: str, there: str, anchor: str, text: str) -> nodes.reference:
    """A link from page `here` to a place on page `there`."""
    address = "" if here == there else app.builder.get_relative_uri(here, there)
    return nodes.reference(text, text, internal=True, refuri=f"{address}#{anchor}" if anchor else address)


def fill_lists(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(evidence_list)):
        place.replace_self(place["make"](app, docname, place.children))


def join_equations_and_checks(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """A badge beside the number of each checked equation leads to the check; the check's output leads back."""
    page = pages(app.env).get(docname)
    if not is_for_readers(app) or page is None:
        return
    for equation in list(doctree.findall(nodes.math_block)):
        if checks := page.checks_of(equation.get("label")):
            number = equation_link(app, docname, equation["label"]).astext()
            badge = BADGE.format(anchor=escape(checks[0].anchor), number=escape(number))
            equation.replace_self([_html('<div class="gl-equation">'), equation.deepcopy(), _html(badge)])
    for output in list(doctree.findall(nodes.raw)):
        if record := _records.read(output.astext()):
            output.replace_self(_html(_line(app, docname, *record)))


def _line(app: Sphinx, docname: str, kind: str, data: dict[str, Any], text: str) -> str:
    """The words of a record, in which its name has become a link."""
    if kind == "check":
        name, back = data["label"], equation_link(app, docname, data["label"])
        words, spoken = back.astext() if back else name, "Back to equation "
    else:
        name = words = data["name"]
        ledger = next((there for there, page in pages(app.env).items() if page.has_row(name)), None)
        back, spoken = link(app, docname, ledger, f"row-{name}", name) if ledger else None, "In the ledger: "
    if back is None:
        return f'<pre class="gl-record">{escape(text)}</pre>'
    address = back.get("refuri") or f"#{back['refid']}"
    anchor = f'<a href="{escape(address)}" aria-label="{spoken}{escape(words)}">{escape(words)}</a>'
    return f'<pre class="gl-record">{escape(text).replace(escape(name), anchor, 1)}</pre>'


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def table(head: list[str], rows: list[list[list[nodes.Node]]], *, kind: str) -> nodes.table:
    """A table of paragraphs: for each row and column the nodes of one paragraph, or whole blocks."""
    widths = [nodes.colspec(colwidth=1) for _ in head]
    top = nodes.thead("", _row([[nodes.Text(word)] for word in head]))
    body = nodes.tbody("", *map(_row, rows))
    return nodes.table("", nodes.tgroup("", *widths, top, body, cols=len(head)), classes=["colwidths-auto", kind])


def _row(cells: list[list[nodes.Node]]) -> nodes.row:
    inline = (nodes.Text, nodes.Inline)
    return nodes.row(
        "",
        *(
            nodes.entry("", *(cell if cell and not isinstance(cell[0], inline) else [nodes.paragraph("", "", *cell)]))
            for cell in cells
        ),
    )
