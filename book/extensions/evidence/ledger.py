"""The ledger of claims and the errata: `book/claims.yml` and `book/errata.yml` have several lists of rows.

A row quotes the slides and names its evidence: labels of checked equations (`eq-…`), names of measured claims, and
recorded experiments. A quotation that is not on its slide stops the build, and so does a status that the evidence does
not bear. While a chapter is not in the book, its rows say so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.addnodes import pending_xref
from sphinx.domains.std import StandardDomain
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from book.extensions.evidence import recorded, slides
from book.extensions.evidence.domain import domain
from book.extensions.evidence.nodes import paragraph, table

NOT_ATTEMPTED = "not attempted"
STATUSES = ("reproduced", "partly", "differs", NOT_ATTEMPTED)
PROVED, MEASURED = "proved", "measured"
KINDS = ("statement", "equation", "figure", "assumption")
SLIDES = "slides.txt"  # beside the file with the rows
# The lists of a file: what a row must have, what it may have, and the heads of its columns.
_SHOWN = ("evidence", "experiments", "answered_by", "note")
LISTS: dict[str, tuple[set[str], set[str], list[str]]] = {
    "slides": ({"name", "kind", "where", "quotes", "status"}, {*_SHOWN}, ["The slides say", "Status", "Found here"]),
    "adds": ({"name", "says"}, {*_SHOWN}, ["The book adds", "Status", "Found here"]),
    "slips": ({"where", "quotes", "correct", "evidence"}, {"note"}, ["The slides say", "Correct is", "Shown by"]),
    "conditions": ({"where", "quotes", "correct", "evidence"}, {"note"}, ["The slides say", "To add", "Shown by"]),
    "extraction": ({"where", "quotes", "correct", "evidence"}, {"note"}, ["As extracted", "Correct is", "Shown by"]),
}


class LedgerError(ValueError):
    """A row that says too little, or too much."""


@dataclass(frozen=True)
class Row:
    """One row; `quotes` are words of the slides, `says` words of the book, both in MyST."""

    name: str
    kind: str  # one of KINDS in the ledger of the slides, otherwise ""
    where: tuple[int, ...]  # numbers of slides
    quotes: tuple[str, ...]
    says: str
    status: str
    evidence: tuple[str, ...]
    experiments: tuple[str, ...]
    answered_by: tuple[str, ...]  # those experiments whose question is the row's
    note: str


@dataclass(frozen=True)
class Part:
    """The rows of one chapter, by their list."""

    chapter: str  # its label
    title: str
    lists: dict[str, list[Row]]

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.lists.values() for row in rows]


@dataclass(frozen=True)
class Book:
    """A file of rows. `announced` are the titles, headings and announcements of the slides, which state nothing."""

    parts: list[Part]
    announced: list[tuple[str, tuple[int, ...]]]

    def rows(self, name: str) -> list[Row]:
        return [row for part in self.parts for row in part.lists.get(name, ())]


class ledger_part(nodes.section):  # noqa: N801
    """The rows of one `chapter`, as they are to be read once that chapter is in the book."""


# --- the files


def read(path: Path) -> Book:
    """The rows of a file; raises LedgerError at the first row that a reader could not trust."""
    content = yaml.safe_load(path.read_text(encoding="utf8"))
    parts = []
    for part in content["chapters"]:
        lists = {key: [_row(key, row) for row in part[key]] for key in LISTS if key in part}
        parts.append(Part(part["chapter"], part["title"], lists))
    found = Book(parts, [(row["quote"], _where(row["where"])) for row in content.get("announced", ())])
    if any(row.where for part in parts for row in part.rows):
        _compare(found, slides.read(path.with_name(SLIDES)))
    for name, times in Counter(row.name for part in parts for row in part.rows if row.name).items():
        if times > 1:
            raise LedgerError(f"{times} rows have the name {name}.")
    return found


def _row(kind_of_list: str, row: dict[str, Any]) -> Row:
    needed, allowed, _ = LISTS[kind_of_list]
    called = row.get("name") or " ".join(str(row.get("quotes", ["a row"])[0]).split())
    if missing := needed - set(row):
        raise LedgerError(f"{called}: a row of {kind_of_list} needs {sorted(missing)[0]!r}.")
    if unknown := set(row) - needed - allowed:
        raise LedgerError(f"{called}: a row of {kind_of_list} has no {sorted(unknown)[0]!r}.")
    if row.get("kind", KINDS[0]) not in KINDS:
        raise LedgerError(f"{called}: the kind {row['kind']!r} is none of {', '.join(KINDS)}.")
    evidence, answered_by = tuple(row.get("evidence", ())), tuple(row.get("answered_by", ()))
    experiments = (*answered_by, *row.get("experiments", ()))
    return Row(
        name=row.get("name", ""),
        kind=row.get("kind", ""),
        where=_where(row.get("where", ())),
        quotes=tuple(" ".join(quote.split()) for quote in row.get("quotes", ())),
        says=" ".join(row.get("says", row.get("correct", "")).split()),
        status=_status(called, row.get("status") if kind_of_list == "slides" else None, evidence, experiments),
        evidence=evidence,
        experiments=experiments,
        answered_by=answered_by,
        note=" ".join(row.get("note", "").split()),
    )


def _status(called: str, status: str | None, evidence: tuple[str, ...], experiments: tuple[str, ...]) -> str:
    """The status, once the evidence bears it; for what the slides do not say, it follows from the evidence alone."""
    if status is None:
        measured = experiments or not all(map(is_equation, evidence))
        return (MEASURED if measured else PROVED) if evidence or experiments else NOT_ATTEMPTED
    if status not in STATUSES:
        raise LedgerError(f"{called}: the status {status!r} is none of {', '.join(STATUSES)}.")
    if (status == NOT_ATTEMPTED) == bool(evidence or experiments):
        fault = "not attempted, but it names evidence" if evidence else f"{status}, but it names no evidence"
        raise LedgerError(f"{called}: {fault}.")
    for name in experiments:
        if status == "reproduced" and recorded.seeds(name) < recorded.LEAST_SEEDS:
            raise LedgerError(
                f"{called}: reproduced, but {name} is not complete with {recorded.LEAST_SEEDS} seeds or more."
            )
    return status


def _where(where: int | list[int]) -> tuple[int, ...]:
    return (where,) if isinstance(where, int) else tuple(where)


def _compare(book: Book, there: slides.Slides) -> None:
    """Raise LedgerError for a quotation that its slides do not have, and for a slide without one of the quotations."""
    rows = [(row.quotes, row.where) for part in book.parts for row in part.rows if row.where]
    for quotes, where in [*rows, *(((quote,), where) for quote, where in book.announced)]:
        said = {quote: there.holds(quote, where) for quote in quotes}
        if not said:
            raise LedgerError(f"A row on slide {where[0]} quotes nothing.")
        for quote, found in said.items():
            if not found:
                raise LedgerError(f"{quote}: not the words of slide {', '.join(map(str, where))}.")
        for number in where:
            if not any(number in found for found in said.values()):
                raise LedgerError(f"{quotes[0]}: nothing of this row stands on slide {number}.")


def count(book: Book) -> dict[str, Counter[str]]:
    """How many rows of the slides have each status, by kind."""
    counted: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for row in book.rows("slides"):
        counted[row.kind][row.status] += 1
    return counted


# --- the pages


class _OfFile(SphinxDirective):
    """The argument is the file with the rows."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        source, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(source)
        self.env.note_dependency(str(Path(source).with_name(SLIDES)))
        try:
            return self.blocks(read(Path(path)))
        except (LedgerError, KeyError, OSError) as error:
            raise self.error(f"{self.arguments[0]}: {error}") from error

    def blocks(self, book: Book) -> list[nodes.Node]:
        raise NotImplementedError

    def inline(self, text: str) -> list[nodes.Node]:
        return self.parse_inline(text)[0]


class Ledger(_OfFile):
    """A table for each chapter with the rows of one list; the option says which."""

    option_spec = {"list": lambda name: directives.choice(name, tuple(LISTS))}  # noqa: RUF012

    def blocks(self, book: Book) -> list[nodes.Node]:
        name = self.options["list"]
        return [self.section(part, name) for part in book.parts if part.lists.get(name)]

    def section(self, part: Part, name: str) -> ledger_part:
        lead = self.reference("std", "ref", part.chapter, nodes.inline("", "Read the chapter"), refexplicit=True)
        kind = "claims" if name in ("slides", "adds") else "slips"
        body = table(LISTS[name][2], [self.row(row) for row in part.lists[name]], kind=f"gl-{kind}")
        title = nodes.title("", "", *self.inline(part.title))
        return ledger_part(
            "", title, paragraph(lead, "."), body, ids=[f"{name}-of-{part.chapter}"], chapter=part.chapter
        )

    def row(self, row: Row) -> list[list[nodes.Node]]:
        evidence, here = domain(self.env), self.env.docname
        new = [
            name for name in row.evidence if not is_equation(name) and name not in evidence.data["rows"].get(here, [])
        ]
        evidence.note_row(here, row.evidence)
        anchors = dict.fromkeys(f"row-{name}" for name in ([row.name] if row.name else []) + new)
        first = nodes.container("", *map(self.quoted, row.quotes), ids=list(anchors))
        if row.where:
            place = _place(row.where) + f", {row.kind}" * bool(row.kind)
            first += paragraph(nodes.inline(place, place, classes=["gl-where"]))
        elif row.says:
            first += paragraph(*self.inline(row.says))
        shown = [block for name in row.evidence for block in self.evidence(name)]
        shown += [block for name in row.experiments for block in self.experiment(name, name in row.answered_by)]
        shown += [paragraph(*self.inline(row.note))] * bool(row.note)
        second = paragraph(*self.inline(row.says)) if row.where and row.says else paragraph(status(row.status))
        return [[first], [second], shown]

    def quoted(self, quote: str) -> nodes.Element:
        """The words of a slide, in quotation marks; a displayed formula stands without."""
        if quote.startswith("$$"):
            return nodes.container("", *self.parse_text_to_nodes(quote))
        return paragraph("“", *self.inline(quote), "”")

    def evidence(self, name: str) -> list[nodes.paragraph]:
        """An equation with what its checks refused, or the words of a measured claim; each leads to its cell."""
        missing = nodes.inline("", f"{name} is missing")
        if not is_equation(name):
            setting = self.reference("evidence", "setting", name, nodes.inline())
            return [paragraph(self.reference("evidence", "claim", name, missing)), paragraph(setting)]
        number = self.reference("evidence", "equation", name, nodes.inline())
        return [paragraph(number, " ", self.reference("evidence", "check", name, missing))]

    def experiment(self, name: str, answers: bool) -> list[nodes.paragraph]:
        """What there is of a recorded experiment, with its answer where it `answers` what the row says."""
        self.env.note_dependency(recorded.path(name))
        lead = self.reference("evidence", "experiment", name, nodes.inline("", name), refexplicit=True)
        size, *more = recorded.words(name)
        more += [recorded.summary(name).answer] * answers
        return [paragraph("Recorded experiment ", lead, f": {size}"), *(paragraph(said) for said in more if said)]

    def reference(self, domain: str, kind: str, target: str, text: nodes.Node, **options: bool) -> pending_xref:
        return pending_xref(
            "", text, refdomain=domain, reftype=kind, reftarget=target, refdoc=self.env.docname, **options
        )


class Totals(_OfFile):
    """How many statements, equations, figures and assumptions of the slides have which status."""

    def blocks(self, book: Book) -> list[nodes.Node]:
        counted = count(book)
        sums = sum(counted.values(), Counter[str]())
        lines = [(f"{kind}s", counted[kind]) for kind in KINDS] + [("together", sums)]
        rows = [[kind, *(str(found[name]) for name in STATUSES), str(found.total())] for kind, found in lines]
        added = Counter(row.status for row in book.rows("adds"))
        told = ", ".join(f"{added[name]} {name}" for name in (PROVED, MEASURED, NOT_ATTEMPTED))
        return [
            table(["", *STATUSES, "all"], [[[nodes.Text(cell)] for cell in row] for row in rows], kind="gl-counts"),
            paragraph(f"What the book adds: {added.total()} rows, {told}."),
        ]


class Announced(_OfFile):
    """The words of the slides that state nothing, in the order of the slides."""

    def blocks(self, book: Book) -> list[nodes.Node]:
        lines = [paragraph(f"{_place(where)}: “", *self.inline(quote), "”") for quote, where in book.announced]
        return [nodes.bullet_list("", *(nodes.list_item("", line) for line in lines))]


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


def _place(where: tuple[int, ...]) -> str:
    """Slide 3; Slides 1, 2 and 5 to 7."""
    runs: list[list[int]] = []
    for number in where:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [word for run in runs for word in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    numbers = " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
    return f"Slide{'s' * (len(where) > 1)} {numbers}"
