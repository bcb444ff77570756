"""Links between an equation and its check, and from a claim to its row of the ledger."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

from book.extensions.evidence.domain import domain, is_labelled_equation, kind_of_equation
from book.extensions.evidence.nodes import checked_equation, spoken, spoken_reference
from gradelib.mime_renderer import record

HOW = {"exact": "proved", "numeric": "checked", "case": "checked in a case"}


class RecordLinks(SphinxPostTransform):
    """The name in the line of a record becomes a link to what the record is about."""

    default_priority = 5  # MyST-NB has chosen the form of each output

    def run(self, **kwargs: Any) -> None:
        for line in list(self.document.findall(record)):
            before, _, after = line.astext().partition(line["name"])
            line.children = []
            line += [nodes.Text(before), self.link(line), nodes.Text(after)]

    def link(self, line: record) -> nodes.Node:
        evidence, here, name = domain(self.env), self.env.docname, line["name"]
        if line["kind"] == "check":
            back = evidence.link_to_equation(here, name)
            return spoken(back, f"Back to equation {back.astext()}") if isinstance(back, nodes.reference) else back
        ledger = evidence.page_of_row(name)
        if ledger is None or self.app.builder.format != "html":  # LaTeX has no anchors at rows
            return nodes.Text(name)
        back = make_refnode(self.app.builder, here, ledger, f"row-{name}", nodes.Text(name))
        return spoken(back, f"In the ledger: {name}")


class Badges(SphinxPostTransform):
    """Beside the number of a checked equation a badge leads to its first check on the page."""

    default_priority = RecordLinks.default_priority
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        evidence, here = domain(self.env), self.env.docname
        for equation in list(self.document.findall(is_labelled_equation)):
            if checks := evidence.records("check", equation["label"], here):
                number = evidence.link_to_equation(here, equation["label"]).astext()
                how = HOW[kind_of_equation(checks)]
                label = f"Equation {number} is {how}: go to the check"
                badge = spoken_reference("", "✓", refid=checks[0].anchor, label=label, classes=["gl-badge"])
                parent = equation.parent
                parent.replace(equation, checked_equation("", equation, badge))
