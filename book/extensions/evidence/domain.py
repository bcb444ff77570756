"""The domain of the evidence: the checks and claims that cells showed, labelled equations, and rows of the ledger.

Sphinx keeps it with the pages that it has read, so that a page from the cache counts like a new one. An equation
without a check that could have failed is a warning, and with that fails the build.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.builders.latex.nodes import math_reference
from sphinx.domains import ObjType
from sphinx.domains.math import MathDomain
from sphinx.errors import NoUri
from sphinx.roles import XRefRole
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

from book.extensions.cells import is_code_cell
from book.extensions.domain import PageDomain
from gradelib.mime_renderer import record

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.builders import Builder
    from sphinx.environment import BuildEnvironment

# The tables of a domain are class attributes, which Sphinx copies for each build.
# ruff: noqa: RUF012

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """A check or a claim, with the place of its cell."""

    kind: str  # "check" or "claim"
    name: str  # the label of the equation, or the name of the claim
    data: dict[str, Any]  # the fields of `gradelib.equations.Check` or `gradelib.claims.Claim`
    docname: str
    anchor: str
    line: int | None


class EvidenceDomain(PageDomain):
    """Checks and claims, the labels of equations, and who reports on them."""

    name = "evidence"
    label = "evidence"
    object_types = {"check": ObjType("check", "check"), "claim": ObjType("claim", "claim")}
    roles = {"check": XRefRole(warn_dangling=True), "claim": XRefRole(warn_dangling=True)}
    dangling_warnings = {"check": "no cell shows a check of %(target)s", "claim": "no cell shows the claim %(target)s"}
    initial_data = {
        "equations": {},  # the labels of a page, in order, with their lines
        "tex": {},  # the equations themselves, by page and label
        "records": {},  # its checks and claims, in order
        "rows": {},  # the names of the evidence in the rows of its ledger
        "reports": {},  # the pages that have a report
        "uses": {},  # the recorded experiments that a page names below its results
        "experiments": {},  # the pages that list the recorded experiments
    }
    data_version = 3

    # --- reading

    def process_doc(self, env: BuildEnvironment, docname: str, document: nodes.document) -> None:
        for equation in document.findall(is_labelled_equation):
            self.equations.setdefault(docname, {})[equation["label"]] = equation.line
            self.data["tex"].setdefault(docname, {})[equation["label"]] = equation.astext()
        for cell in document.findall(is_code_cell):
            for shown in cell.findall(record):
                cell["ids"].append(self.note_record(docname, shown, cell.line))

    def note_record(self, docname: str, shown: record, line: int | None) -> str:
        """Remember what a cell of the page showed; returns the anchor of the cell."""
        kind, name, records = shown["kind"], shown["name"], self.data["records"].setdefault(docname, [])
        earlier = sum((one.kind, one.name) == (kind, name) for one in records)
        anchor = f"{kind}-{name}" + f"-{earlier + 1}" * bool(earlier)
        records.append(Record(kind, name, shown["data"], docname, anchor, line))
        return anchor

    def note_row(self, docname: str, evidence: Iterable[str]) -> None:
        self.data["rows"].setdefault(docname, []).extend(evidence)

    def note_report(self, docname: str) -> None:
        self.data["reports"][docname] = True

    def note_use(self, docname: str, name: str) -> None:
        self.data["uses"].setdefault(docname, []).append(name)

    def note_experiments(self, docname: str) -> None:
        self.data["experiments"][docname] = True

    # --- finding

    @property
    def equations(self) -> dict[str, dict[str, int | None]]:
        """The lines of the labelled equations, by page and label."""
        return self.data["equations"]

    def records(self, kind: str, name: str | None = None, docname: str | None = None) -> list[Record]:
        """The checks or the claims, in the order of the pages; only those of this name and of this page, if given."""
        pages = sorted(self.data["records"]) if docname is None else [docname]
        found = (one for page in pages for one in self.data["records"].get(page, ()) if one.kind == kind)
        return [one for one in found if name in (None, one.name)]

    def page_of_row(self, name: str) -> str | None:
        """The first page with a row that rests on this evidence."""
        return next((docname for docname, names in sorted(self.data["rows"].items()) if name in names), None)

    def pages_that_use(self, experiment: str) -> list[str]:
        """The pages that name a recorded experiment below a result, in their order."""
        return sorted(docname for docname, names in self.data["uses"].items() if experiment in names)

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        hidden = -1  # from the search; other books can still refer to it
        for kind in self.object_types:
            for name, one in {one.name: one for one in reversed(self.records(kind))}.items():
                yield name, name, kind, one.docname, one.anchor, hidden

    # --- references

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> nodes.Element | None:
        """A link to the first cell, with its own words or with what the cells found."""
        if typ == "equation":
            return self.link_to_equation(fromdocname, target)
        if typ == "setting":
            return self.setting(target)
        if typ == "experiment":
            page = next(iter(self.data["experiments"]), None)
            return make_refnode(builder, fromdocname, page, f"experiment-{target}", contnode) if page else contnode
        found = self.records(typ, target)
        if not found:
            if not has_outputs(env.app):
                raise NoUri(target, typ)
            return None
        measured = found[0].data["measured"] if typ == "claim" else f"{tried(found)} wrong variants refused"
        words = contnode if node.get("refexplicit") else nodes.Text(measured)
        return make_refnode(builder, fromdocname, found[0].docname, found[0].anchor, words)

    def setting(self, name: str) -> nodes.Element:
        """How long a measured claim was trained, and the control that could have refuted it."""
        found = self.records("claim", name)
        return nodes.inline(
            "", "In the chapter: {length}. Control: {control}.".format(**found[0].data) if found else ""
        )

    def resolve_any_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> list[tuple[str, nodes.Element]]:
        """Claims alone: a check has the label of its equation, to which such a reference leads."""
        known = self.records("claim", target)
        found = self.resolve_xref(env, fromdocname, builder, "claim", target, node, contnode) if known else None
        return [("evidence:claim", found)] if found else []

    def link_to_equation(self, here: str, label: str) -> nodes.Element:
        """The number of an equation as a link from page `here`; the label alone, where no equation has it."""
        math, builder = cast(MathDomain, self.env.get_domain("math")), self.env.app.builder
        if builder.format == "latex" and label in math.equations:
            return math_reference("", "", docname=math.equations[label][0], target=label)
        found = math.resolve_xref(self.env, here, builder, "eq", label, pending_xref(), nodes.inline())
        return found or nodes.literal("", label)

    # --- judging

    def check_consistency(self) -> None:
        if has_outputs(self.env.app):
            for place, fault in self.faults():
                LOGGER.warning(fault, location=place, type="evidence")

    def faults(self) -> Iterator[tuple[tuple[str, int | None], str]]:
        """What is wrong with equations, checks and claims, each with its place."""
        for docname, equations in sorted(self.equations.items()):
            for label, line in equations.items():
                checks = self.records("check", label, docname)
                if not label.startswith("eq-"):
                    yield (docname, line), "a numbered equation without a label; write it as `$$ … $$ (eq-name)`"
                elif not checks:
                    yield (docname, line), f"no check of {label}: a cell on this page must end in one, or display one"
                elif not tried(checks) and not any(check.data["excused"] for check in checks):
                    yield (docname, line), f"the check of {label} could not fail, since it has nothing to vary"
        known = {label for equations in self.equations.values() for label in equations}
        for check in self.records("check"):
            if check.name not in known:
                yield (check.docname, check.line), f"a check of {check.name}, but no equation has this label"
        for claim in self.records("claim") if self.data["rows"] else ():
            if self.page_of_row(claim.name) is None:
                yield (claim.docname, claim.line), f"no ledger has a row for {claim.name}"


def domain(env: BuildEnvironment) -> EvidenceDomain:
    return cast(EvidenceDomain, env.get_domain(EvidenceDomain.name))


def outdated_lists(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """A page with a ledger, a report or the experiments is written anew whenever any page is."""
    data = domain(env).data
    return [*data["rows"], *data["reports"], *data["experiments"]]


def has_outputs(app: Sphinx) -> bool:
    """Whether cells were run and pages are written; a builder that does neither has nothing to judge."""
    return app.builder.format == "html" and app.config.nb_execution_mode != "off"


def tried(checks: Iterable[Record]) -> int:
    """How many wrong variants the checks refused."""
    return sum(check.data["tried"] for check in checks)


def kind_of(check: Record) -> str:
    """Whether a check is "exact", "numeric", or of a "case" only."""
    return "case" if check.data["case"] else check.data["evidence"]


def kind_of_equation(checks: Iterable[Record]) -> str:
    """The best kind among the checks of an equation."""
    kinds = set(map(kind_of, checks))
    return next(kind for kind in ("exact", "numeric", "case") if kind in kinds)


def is_labelled_equation(node: nodes.Node) -> bool:
    return isinstance(node, nodes.math_block) and bool(node.get("label"))
