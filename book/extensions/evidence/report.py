"""The report of equations: `{equation-report}` counts what was checked, and the same stands as JSON beside the page.

It is made from the evidence that Sphinx holds of all pages, and written anew whenever one of them changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book.extensions.evidence.domain import (
    Page,
    Record,
    equation_link,
    evidence_list,
    is_effective,
    is_for_readers,
    link,
    pages,
    table,
)
from gradelib.equations import NO_FORMULA

HEAD = ["Equation", "Checked as", "Points", "Wrong variants", "Refused", "Same", "Excused"]


class EquationReport(SphinxDirective):
    """All labelled equations of the book, chapter by chapter, with what their checks refused."""

    def run(self) -> list[nodes.Node]:
        return [evidence_list(make=report)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("book.extensions.evidence.domain")
    app.add_directive("equation-report", EquationReport)
    app.connect("build-finished", write_json)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# --- counting


def count(checks: Iterable[Record]) -> dict[str, int]:
    """Points and wrong variants of some checks; `tried` is the sum of what was refused, the same, and excused."""
    data = [check.data for check in checks]
    excused = sum(e["mutant"] != NO_FORMULA for one in data for e in one["excused"])
    refused, same = (sum(one[key] for one in data) for key in ("tried", "same"))
    points = sum(one["points"] for one in data)
    return {"points": points, "tried": refused + same + excused, "refused": refused, "same": same, "excused": excused}


def totals(found: Iterable[Page]) -> dict[str, int]:
    """The sums over some pages."""
    found = list(found)
    equations = [page.checks_of(label) for page in found for label in page.equations]
    return {
        "labelled": len(equations),
        "checked": sum(bool(checks) for checks in equations),
        "effective": sum(map(is_effective, equations)),
        "checks": sum(len(page.checks) for page in found),
        **count(check for page in found for check in page.checks),
    }


def chapters(app: Sphinx) -> dict[str, Page]:
    """The pages with labelled equations, in the order of their names."""
    return {name: page for name, page in sorted(pages(app.env).items()) if page.equations}


# --- the page


def report(app: Sphinx, here: str, _: list[nodes.Node]) -> list[nodes.Node]:
    found = chapters(app)
    if not found:
        return [_paragraph("No page of this book has a labelled equation.")]
    tables = [block for item in found.items() for block in _chapter(app, here, *item)]
    return [*_summary(found), _machines(here), *_survivors(app, here, found), *tables]


def _machines(here: str) -> nodes.paragraph:
    file = f"{Path(here).name}.json"
    return _paragraph("The same for machines: ", nodes.reference("", file, internal=True, refuri=file), ".")


def _summary(found: dict[str, Page]) -> list[nodes.Node]:
    """The totals, as a list that a screen reader can step through."""
    sums = totals(found.values())
    words = {
        "labelled": "equations have a number",
        "checked": "of them have a check",
        "effective": "have a check that refused a wrong variant",
        "checks": "checks in all",
        "points": "random points at which both sides were computed",
        "tried": "spoilt variants tried",
        "refused": "of them refused",
        "same": "were the same function, differently written",
        "excused": "passed, and are excused below",
    }
    items = [
        _paragraph(nodes.strong("", f"{sums[key]:,}".replace(",", " ")), f" {said}") for key, said in words.items()
    ]
    return [nodes.bullet_list("", *(nodes.list_item("", item) for item in items), classes=["gl-totals"])]


def _survivors(app: Sphinx, here: str, found: dict[str, Page]) -> list[nodes.Node]:
    """Every spoilt variant that passed, with the reason why it may."""
    rows = [
        [
            [_number(app, here, check.name)],
            [link(app, here, docname, check.anchor, check.data["kind"])],
            [nodes.literal("", excused["mutant"])],
            [nodes.Text(excused["reason"])],
        ]
        for docname, page in found.items()
        for check in page.checks
        for excused in check.data["excused"]
    ]
    body = (
        table(["Equation", "Check", "What passes", "Why it may"], rows, kind="gl-survivors")
        if rows
        else _paragraph("None.")
    )
    return [_heading("survivors", nodes.Text("Survivors")), body]


def _chapter(app: Sphinx, here: str, docname: str, page: Page) -> list[nodes.Node]:
    title = app.env.titles[docname].deepcopy().children
    lead = nodes.reference("", "", *title, internal=True, refuri=app.builder.get_relative_uri(here, docname))
    rows = [_equation(app, here, docname, label, page.checks_of(label)) for label in page.equations]
    return [_heading(f"of-{Path(docname).name}", lead), table(HEAD, rows, kind="gl-equations")]


def _equation(app: Sphinx, here: str, docname: str, label: str, checks: list[Record]) -> list[list[nodes.Node]]:
    links: list[nodes.Node] = []
    for check in checks:
        links += [nodes.Text(", ")] * bool(links) + [link(app, here, docname, check.anchor, check.data["kind"])]
    words = nodes.Text(" " + label.removeprefix("eq-").replace("-", " "))
    counted = [[nodes.Text(str(number))] for number in count(checks).values()]
    return [[_number(app, here, label), words], links or [nodes.Text("not checked")], *counted]


def _number(app: Sphinx, here: str, label: str) -> nodes.Node:
    return equation_link(app, here, label) or nodes.literal("", label)


def _paragraph(*parts: nodes.Node | str) -> nodes.paragraph:
    return nodes.paragraph("", "", *(nodes.Text(part) if isinstance(part, str) else part for part in parts))


def _heading(name: str, title: nodes.Node) -> nodes.rubric:
    """A heading; a section of its own would be too late for the numbers and for the table of contents."""
    return nodes.rubric("", "", title, ids=[name], **{"heading-level": 2})


# --- JSON


def as_data(app: Sphinx) -> dict[str, Any]:
    """The report for machines: totals, then each chapter with its equations and their checks."""
    return {
        "totals": totals(chapters(app).values()),
        "chapters": [
            {
                "page": f"{docname}.html",
                "title": app.env.titles[docname].astext(),
                "totals": totals([page]),
                "equations": [
                    {
                        "label": label,
                        "number": _number(app, docname, label).astext().strip("()"),
                        "effective": is_effective(page.checks_of(label)),
                        "checks": [_check_as_data(check) for check in page.checks_of(label)],
                    }
                    for label in page.equations
                ],
            }
            for docname, page in chapters(app).items()
        ],
    }


def _check_as_data(check: Record) -> dict[str, Any]:
    return {
        "kind": check.data["kind"],
        "anchor": check.anchor,
        **count([check]),
        "survivors": check.data["excused"],
    }


def write_json(app: Sphinx, error: Exception | None) -> None:
    """`equations.json` beside each page that has the report."""
    if error or not is_for_readers(app):
        return
    for docname, page in pages(app.env).items():
        if any(listed["make"] is report for listed in page.lists):
            text = json.dumps(as_data(app), ensure_ascii=False, indent=1)
            Path(app.outdir, docname).with_suffix(".json").write_text(text + "\n", encoding="utf8")
