"""The ledger of claims and the list of slips, from `book/claims.yml` and `book/errata.yml`.

A row names its chapter and its evidence: labels of checked equations (`eq-…`) and names of measured claims. While the
chapter is not in the book, the row says so. Once it is there, evidence that it does not hold is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from book.extensions.evidence.domain import Record, equation_link, evidence_list, is_for_readers, link, pages, table

LOGGER = logging.getLogger(__name__)
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


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("book.extensions.evidence.domain")
    app.add_directive("claim-ledger", Ledger)
    app.add_directive("slips", Slips)
    app.connect("env-get-updated", warn_of_missing_evidence)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


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
    """A table for each chapter, filled in once all pages are read. The argument is the file with the rows."""

    required_arguments = 1
    kind = "claims"

    def run(self) -> list[nodes.Node]:
        source, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(source)
        try:
            return [self.section(part) for part in read(Path(path))]
        except (LedgerError, KeyError, OSError) as error:
            raise self.error(f"{self.arguments[0]}: {error}") from error

    def section(self, part: Part) -> nodes.section:
        """The heading and the words are there from the start; what depends on other pages is filled in in the end."""
        lead = evidence_list(make=partial(lead_in, part.chapter))
        body = table(HEADS[self.kind], [self.row(part.chapter, row) for row in part.rows], kind=f"gl-{self.kind}")
        return nodes.section("", nodes.title("", "", *self.inline(part.title)), lead, body, ids=[f"of-{part.chapter}"])

    def row(self, chapter: str, row: Row) -> list[list[nodes.Node]]:
        first, *second = (nodes.paragraph("", "", *self.inline(text)) for text in row.words)
        first["ids"] = [f"row-{name}" for name in row.evidence if is_claim(name)]
        note = [nodes.paragraph("", "", *self.inline(row.note))] * bool(row.note)
        status = evidence_list(make=partial(status_of, chapter, row))
        shown = evidence_list("", *note, make=partial(evidence_of, chapter, row), chapter=chapter, row=row)
        return [[first], second or [status], [shown]]

    def inline(self, text: str) -> list[nodes.Node]:
        return self.parse_inline(text)[0]


class Slips(Ledger):
    """The same for slips of the slides, where the second column says what is right."""

    kind = "slips"


def is_claim(name: str) -> bool:
    return not name.startswith("eq-")


def lead_in(chapter: str, app: Sphinx, here: str, note: list[nodes.Node]) -> list[nodes.Node]:
    found = find_chapter(app.env, chapter)
    if found is None:
        return [nodes.paragraph("", "This chapter is not written yet.")]
    docname, anchor = found
    return [nodes.paragraph("", "", link(app, here, docname, anchor, "Read the chapter"), nodes.Text("."))]


def status_of(chapter: str, row: Row, app: Sphinx, here: str, note: list[nodes.Node]) -> list[nodes.Node]:
    status = row.status if find_chapter(app.env, chapter) else NOT_ATTEMPTED
    word = nodes.inline(status, status, classes=["gl-status", f"gl-{status.replace(' ', '-')}"])
    return [nodes.paragraph("", "", word)]


def evidence_of(chapter: str, row: Row, app: Sphinx, here: str, note: list[nodes.Node]) -> list[nodes.Node]:
    if find_chapter(app.env, chapter):
        return [*(_evidence(app, here, name) for name in row.evidence), *note]
    return [nodes.paragraph("", "not yet")]


def _evidence(app: Sphinx, here: str, name: str) -> nodes.paragraph:
    """An equation with what its checks refused, or the words of a measured claim; each leads to its cell."""
    records = find(app.env, name)
    if not records:
        return nodes.paragraph("", "", nodes.literal("", name), nodes.Text(" is missing"))
    docname, record = records[0]
    if is_claim(name):
        return nodes.paragraph("", "", link(app, here, docname, record.anchor, record.data["measured"]))
    said = f"{sum(record.data['tried'] for _, record in records)} wrong variants refused"
    number = equation_link(app, here, name) or nodes.literal("", name)
    return nodes.paragraph("", "", number, nodes.Text(" "), link(app, here, docname, record.anchor, said))


# --- judging


def find_chapter(env: BuildEnvironment, label: str) -> tuple[str, str] | None:
    """Page and anchor of a chapter's label; None while the book has no such chapter."""
    domain = env.get_domain("std")
    return next((tuple(found[:2]) for found in (domain.anonlabels.get(label),) if found), None)


def find(env: BuildEnvironment, name: str) -> list[tuple[str, Record]]:
    """The checks of a label, or the records of a claim, each with its page."""
    found = pages(env).items()
    kind = "claims" if is_claim(name) else "checks"
    return [(docname, record) for docname, page in found for record in getattr(page, kind) if record.name == name]


def warn_of_missing_evidence(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """A status without its evidence is a warning, and so is a measured claim that has no row; no page is outdated."""
    if not is_for_readers(app):
        return []
    listed = [(docname, place) for docname, page in pages(env).items() for place in page.lists if "row" in place]
    for docname, place in listed:
        for name in place["row"].evidence if find_chapter(env, place["chapter"]) else ():
            if not find(env, name):
                LOGGER.warning("“%s” has no evidence: no cell shows %s", place["row"].words[0], name, location=docname)
    known = {name for _, place in listed for name in place["row"].evidence}
    for docname, page in pages(env).items():
        for record in page.claims if listed else ():
            if record.name not in known:
                LOGGER.warning("no ledger has a row for %s", record.name, location=(docname, record.line))
    return []
