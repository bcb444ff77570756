"""The ledger of claims and the list of slips, from `book/claims.yml` and `book/errata.yml`.

A row names its chapter and its evidence: labels of checked equations (`eq-…`) and names of measured claims. While the
chapter is not in the book, the row says so. Once it is there, evidence that it does not hold is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.domains.std import StandardDomain
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from book.extensions.evidence.domain import domain
from book.extensions.evidence.nodes import paragraph, table

NOT_ATTEMPTED = "not attempted"
STATUSES = ("reproduced", "partly", "differs", NOT_ATTEMPTED)
HEADS = {"claims": ["The paper says", "Status", "Measured here"], "slips": ["The slides say", "Correct is", "Shown by"]}


class LedgerError(ValueError):
    """A row that says too little, or too much."""


@dataclass(frozen=True)
class Row:
    """One claim or one slip; `words` are the texts of its first columns, in MyST."""

    words: tuple[str, ...]
    status: str
    evidence: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Part:
    """The rows of one chapter."""

    chapter: str  # its label
    title: str
    rows: list[Row] = field(default_factory=list)


class ledger_part(nodes.section):  # noqa: N801
    """The rows of one `chapter`, as they are to be read once that chapter is in the book."""


# --- the files


def read(path: Path) -> list[Part]:
    """The parts of a ledger; raises LedgerError at the first row that a reader could not trust."""
    parts = yaml.safe_load(path.read_text(encoding="utf8"))
    return [_part(part) for part in parts]


def _part(part: dict[str, Any]) -> Part:
    rows = [_row(row) for key in HEADS for row in part.get(key, [])]
    return Part(part["chapter"], part["title"], rows)


def _row(row: dict[str, Any]) -> Row:
    words = tuple(" ".join(row[key].split()) for key in ("says", "correct") if key in row)
    status, evidence = row.get("status", "reproduced"), tuple(row.get("evidence", ()))
    if unknown := set(row) - {"says", "correct", "status", "evidence", "note"}:
        raise LedgerError(f"{words[0]}: a row has no {sorted(unknown)[0]!r}.")
    if status not in STATUSES:
        raise LedgerError(f"{words[0]}: the status {status!r} is none of {', '.join(STATUSES)}.")
    if (status == NOT_ATTEMPTED) == bool(evidence):
        fault = "not attempted, but it names evidence" if evidence else f"{status}, but it names no evidence"
        raise LedgerError(f"{words[0]}: {fault}.")
    return Row(words, status, evidence, row.get("note", ""))


# --- the pages


class Ledger(SphinxDirective):
    """A table for each chapter. The argument is the file with the rows."""

    required_arguments = 1
    kind = "claims"

    def run(self) -> list[nodes.Node]:
        source, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(source)
        try:
            return [self.section(part) for part in read(Path(path))]
        except (LedgerError, KeyError, OSError) as error:
            raise self.error(f"{self.arguments[0]}: {error}") from error

    def section(self, part: Part) -> ledger_part:
        lead = self.reference("std", "ref", part.chapter, nodes.inline("", "Read the chapter"), refexplicit=True)
        body = table(HEADS[self.kind], [self.row(row) for row in part.rows], kind=f"gl-{self.kind}")
        title = nodes.title("", "", *self.inline(part.title))
        return ledger_part("", title, paragraph(lead, "."), body, ids=[f"of-{part.chapter}"], chapter=part.chapter)

    def row(self, row: Row) -> list[list[nodes.Node]]:
        domain(self.env).note_row(self.env.docname, row.evidence)
        first, *second = (paragraph(*self.inline(text)) for text in row.words)
        first["ids"] = [f"row-{name}" for name in row.evidence if not is_equation(name)]
        note = [paragraph(*self.inline(row.note))] * bool(row.note)
        return [[first], second or [paragraph(status(row.status))], [*map(self.evidence, row.evidence), *note]]

    def evidence(self, name: str) -> nodes.paragraph:
        """An equation with what its checks refused, or the words of a measured claim; each leads to its cell."""
        missing = nodes.inline("", f"{name} is missing")
        if not is_equation(name):
            return paragraph(self.reference("evidence", "claim", name, missing))
        number = self.reference("evidence", "equation", name, nodes.inline())
        return paragraph(number, " ", self.reference("evidence", "check", name, missing))

    def reference(self, domain: str, kind: str, target: str, text: nodes.Node, **options: bool) -> pending_xref:
        return pending_xref(
            "", text, refdomain=domain, reftype=kind, reftarget=target, refdoc=self.env.docname, **options
        )

    def inline(self, text: str) -> list[nodes.Node]:
        return self.parse_inline(text)[0]


class Slips(Ledger):
    """The same for slips of the slides, where the second column says what is right."""

    kind = "slips"


class UnwrittenChapters(SphinxPostTransform):
    """A part of the ledger whose chapter is not in the book says so, and asks for no evidence."""

    default_priority = 5  # before references are looked up

    def run(self, **kwargs: Any) -> None:
        written = cast(StandardDomain, self.env.get_domain("std")).anonlabels
        for part in self.document.findall(ledger_part):
            if part["chapter"] in written:
                continue
            part[1].replace_self(paragraph("This chapter is not written yet."))
            for row in next(part.findall(nodes.tbody)):
                row[-1].children = [paragraph("not yet")]
            for word in list(part.findall(_is_status)):
                word.replace_self(status(NOT_ATTEMPTED))


def status(name: str) -> nodes.inline:
    return nodes.inline(name, name, classes=["gl-status", f"gl-{name.replace(' ', '-')}"])


def _is_status(node: nodes.Node) -> bool:
    return isinstance(node, nodes.inline) and "gl-status" in node["classes"]


def is_equation(name: str) -> bool:
    return name.startswith("eq-")
