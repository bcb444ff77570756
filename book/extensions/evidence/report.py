"""The report of equations: `{equation-report}` counts what was checked, and the same stands as JSON beside the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from book.extensions.evidence.domain import (
    EvidenceDomain,
    Record,
    domain,
    has_outputs,
    kind_of,
    kind_of_equation,
    tried,
)
from book.extensions.evidence.nodes import paragraph, table
from gradelib._files import write_atomically

LOGGER = logging.getLogger(__name__)
EXCEPTIONS = {
    "numbers": ("Checked with numbers only", "Why there is no exact check"),
    "part": ("Proved in part", "What the exact check proves"),
}
KINDS = ("exact", "numeric", "case")
SIDES = ("left", "right", "certificate")
HEAD = [
    "Equation",
    "Checked as",
    "Points",
    "Wrong variants",
    "Refused",
    "Same",
    "Excused",
    "The equation",
    "What was computed",
]
SUMMARY = {
    "labelled": "equations have a number",
    "checked": "of them have a check",
    "exact": "are proved with a symbol for every entry, some in a part named below; {exact_seconds:.0f} s for all",
    "numeric": "are checked with numbers only; {numeric_seconds:.0f} s for all checks with numbers",
    "case": "are checked in a case only, which is named below; {case_seconds:.0f} s for all",
    "effective": "have a check that refused a wrong variant",
    "checks": "checks in all",
    "points": "random points at which both sides were computed",
    "tried": "spoilt variants tried",
    "refused": "of them refused: {left} of a left side, {right} of a right side, {certificate} of a sum of squares",
    "same": "were the same function, differently written",
    "excused": "passed, and are excused below",
}


class equation_report(nodes.General, nodes.Element):  # noqa: N801
    """Stands for the report until all pages are read."""


class EquationReport(SphinxDirective):
    """All labelled equations of the book, chapter by chapter, with what their checks refused.

    The optional argument is a YAML file with the reasons why equations have no exact check (`numbers`), with what an
    exact check proves where that is not the whole equation (`part`), and with what letters stand for that a check has
    and its equation has not (`letters`).
    """

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        domain(self.env).note_report(self.env.docname)
        exceptions: dict[str, dict[str, Any]] = {}
        if self.arguments:
            relative, path = self.env.relfn2path(self.arguments[0])
            self.env.note_dependency(relative)
            try:
                exceptions = yaml.safe_load(Path(path).read_text(encoding="utf8"))
            except (OSError, yaml.YAMLError) as error:
                raise self.error(f"{self.arguments[0]}: {error}") from error
        return [equation_report(docname=self.env.docname, exceptions=exceptions)]


# --- counting


def is_exact(check: Record) -> bool:
    return kind_of(check) == "exact"


def count(checks: Iterable[Record]) -> dict[str, int]:
    """Points and wrong variants of some checks; `tried` is the sum of what was refused, the same, and excused."""
    checks = list(checks)
    excused = sum(len(check.data["excused"]) for check in checks)
    refused, same, points = tried(checks), *(sum(check.data[key] for check in checks) for key in ("same", "points"))
    return {"points": points, "tried": refused + same + excused, "refused": refused, "same": same, "excused": excused}


def totals(evidence: EvidenceDomain, pages: Iterable[str]) -> dict[str, float]:
    """The sums over some pages."""
    pages = list(pages)
    equations = [evidence.records("check", label, page) for page in pages for label in evidence.equations[page]]
    checks = [check for page in pages for check in evidence.records("check", docname=page)]
    kinds = [kind_of_equation(found) for found in equations if found]
    seconds = {kind: sum(check.data["seconds"] for check in checks if kind_of(check) == kind) for kind in KINDS}
    return {
        "labelled": len(equations),
        "checked": len(kinds),
        **{kind: kinds.count(kind) for kind in KINDS},
        **{f"{kind}_seconds": round(spent, 1) for kind, spent in seconds.items()},
        **{side: sum(check.data["by_side"].get(side, 0) for check in checks) for side in SIDES},
        "effective": sum(bool(tried(found)) for found in equations),
        "checks": len(checks),
        **count(checks),
    }


# --- the page


class ReportTables(SphinxPostTransform):
    """Puts the totals, the survivors and a table for each chapter in the place of the directive."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        for place in list(self.document.findall(equation_report)):
            place.replace_self(self.report(place["docname"], place["exceptions"]))

    def report(self, here: str, exceptions: dict[str, dict[str, Any]]) -> list[nodes.Node]:
        evidence = domain(self.env)
        if not evidence.equations:
            return [paragraph("No page of this book has a labelled equation.")]
        told = exceptions.get("letters", {})
        chapters = [block for page in sorted(evidence.equations) for block in self.chapter(here, page, told)]
        file = f"{Path(here).name}.json"
        machines = paragraph("The same for machines: ", nodes.reference("", file, internal=True, refuri=file), ".")
        lists = [*self.cases(here), *self.exceptions(here, exceptions), *self.survivors(here)]
        return [summary(totals(evidence, evidence.equations)), machines, *lists, *chapters]

    def exceptions(self, here: str, exceptions: dict[str, dict[str, Any]]) -> list[nodes.Node]:
        """Which equations are not proved exactly, or not wholly, and why; a warning where the lists are not right."""
        if not exceptions:
            return []
        evidence = domain(self.env)
        labels = {label for found in evidence.equations.values() for label in found if label.startswith("eq-")}
        exact = {check.name for check in evidence.records("check") if is_exact(check)}
        cases = {label for found in evidence.equations.values() for label in found if self.is_case(label)}
        numbers = labels - exact - cases
        wrong = {
            "has no exact check, and no reason why": numbers - set(exceptions["numbers"]),
            "has an exact check or a case, or is no equation; it needs no reason": set(exceptions["numbers"]) - numbers,
            "has no exact check that could be one of a part": set(exceptions["part"]) - exact,
        }
        if has_outputs(self.app):
            for fault, names in wrong.items():
                for name in sorted(names):
                    LOGGER.warning(f"{name} {fault}", location=here, type="evidence")
        blocks: list[nodes.Node] = []
        pages = sorted(evidence.equations.items())
        for key, (title, head) in EXCEPTIONS.items():
            reasons = exceptions[key]
            told = [(label, reasons[label]) for _, found in pages for label in found if label in reasons]
            rows = [[self.numbered(here, label), [nodes.Text(reason)]] for label, reason in told]
            blocks += [heading(key, nodes.Text(title)), table(["Equation", head], rows, kind="gl-exceptions")]
        return blocks

    def is_case(self, label: str) -> bool:
        checks = domain(self.env).records("check", label)
        return bool(checks) and kind_of_equation(checks) == "case"

    def cases(self, here: str) -> list[nodes.Node]:
        """Which equations are checked in a case only: what it is, and why there is no more."""
        evidence = domain(self.env)
        rows = [
            [self.numbered(here, label), [nodes.Text(evidence.records("check", label)[0].data["case"])]]
            for _, found in sorted(evidence.equations.items())
            for label in found
            if self.is_case(label)
        ]
        if not rows:
            return []
        body = table(["Equation", "What is tested, and why not the whole"], rows, kind="gl-cases")
        return [heading("cases", nodes.Text("Checked in a case only")), body]

    def survivors(self, here: str) -> list[nodes.Node]:
        """Every spoilt variant that passed, with the reason why it may."""
        evidence = domain(self.env)
        rows = [
            [
                [evidence.link_to_equation(here, check.name)],
                [self.link(here, check)],
                [nodes.literal("", excused["mutant"])],
                [nodes.Text(excused["reason"])],
            ]
            for check in evidence.records("check")
            for excused in check.data["excused"]
        ]
        head = ["Equation", "Check", "What passes", "Why it may"]
        body = table(head, rows, kind="gl-survivors") if rows else paragraph("None.")
        return [heading("survivors", nodes.Text("Survivors")), body]

    def chapter(self, here: str, page: str, told: Mapping[str, Any]) -> list[nodes.Node]:
        lead = make_refnode(self.app.builder, here, page, "", self.env.titles[page].deepcopy().children)
        rows = [self.equation(here, page, label, told.get(label, {})) for label in domain(self.env).equations[page]]
        return [heading(f"of-{Path(page).name}", lead), table(HEAD, rows, kind="gl-equations")]

    def equation(self, here: str, page: str, label: str, told: Mapping[str, str]) -> list[list[nodes.Node]]:
        evidence = domain(self.env)
        checks = evidence.records("check", label, page)
        links = [part for check in checks for part in (nodes.Text(", "), self.link(here, check))][1:]
        counted = [[nodes.Text(str(number))] for number in count(checks).values()]
        stands = [formula(evidence.data["tex"][page][label])]
        computed = [part for check in checks for part in (nodes.Text(" "), formula(check.data["formula"]))][1:]
        computed += [part for letter, words in told.items() for part in meaning(letter, words)]
        return [self.numbered(here, label), links or [nodes.Text("not checked")], *counted, stands, computed]

    def numbered(self, here: str, label: str) -> list[nodes.Node]:
        words = nodes.Text(" " + label.removeprefix("eq-").replace("-", " "))
        return [domain(self.env).link_to_equation(here, label), words]

    def link(self, here: str, check: Record) -> nodes.reference:
        kind = f"exact {check.data['kind']}" if check.data["evidence"] == "exact" else check.data["kind"]
        kind += ", a case" if check.data["case"] else ""
        return make_refnode(self.app.builder, here, check.docname, check.anchor, nodes.Text(kind))


def summary(sums: dict[str, float]) -> nodes.bullet_list:
    """The totals, as a list that a screen reader can step through."""
    told = {key: said.format(**sums) for key, said in SUMMARY.items() if sums[key] or key != "exact"}
    lines = [paragraph(nodes.strong("", f"{sums[key]:,}".replace(",", " ")), f" {said}") for key, said in told.items()]
    return nodes.bullet_list("", *(nodes.list_item("", line) for line in lines), classes=["gl-totals"])


def formula(tex: str) -> nodes.math:
    """TeX within a line; rows of an equation stand below each other."""
    rows = [part.strip() for part in tex.split("\n\n") if part.strip()]
    joined = r" \\ ".join(rows)
    text = rf"\begin{{aligned}}{joined}\end{{aligned}}" if "&" in joined or r"\\" in joined else joined
    return nodes.math(text, text)


def meaning(letter: str, words: str) -> list[nodes.Node]:
    """Words on a letter of a check, with formulas between dollars."""
    parts = words.split("$")
    said = [formula(part) if odd % 2 else nodes.Text(part) for odd, part in enumerate(parts) if part]
    return [nodes.Text(" Here "), formula(letter), nodes.Text(" is "), *said, nodes.Text(".")]


def heading(name: str, title: nodes.Node) -> nodes.rubric:
    """A heading; a section of its own would be too late for the numbers and for the table of contents."""
    return nodes.rubric("", "", title, ids=[name], **{"heading-level": 2})


# --- JSON


def write_json(app: Sphinx, error: Exception | None) -> None:
    """`equations.json` beside each page that has the report."""
    if error or not has_outputs(app):
        return
    evidence = domain(app.env)
    for docname in evidence.data["reports"]:
        text = json.dumps(as_data(app, evidence), ensure_ascii=False, indent=1)
        write_atomically(Path(app.outdir, docname).with_suffix(".json"), text + "\n")


def as_data(app: Sphinx, evidence: EvidenceDomain) -> dict[str, Any]:
    """The report for machines: totals, then each chapter with its equations and their checks."""
    return {
        "totals": totals(evidence, evidence.equations),
        "chapters": [
            {
                "page": f"{page}.html",
                "title": app.env.titles[page].astext(),
                "totals": totals(evidence, [page]),
                "equations": [
                    {
                        "label": label,
                        "number": evidence.link_to_equation(page, label).astext().strip("()"),
                        "effective": bool(tried(checks)),
                        "checks": [_check(check) for check in checks],
                    }
                    for label in labels
                    for checks in [evidence.records("check", label, page)]
                ],
            }
            for page, labels in sorted(evidence.equations.items())
        ],
    }


def _check(check: Record) -> dict[str, Any]:
    facts = {key: check.data[key] for key in ("kind", "evidence", "case", "sizes", "seconds", "by_side", "formula")}
    return {**facts, "anchor": check.anchor, **count([check]), "survivors": check.data["excused"]}
