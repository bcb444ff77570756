"""Recorded experiments on the pages: `{recorded} NAME` below a result, `{experiments}`, the list of all, `{gpu-costs}`.

Both are computed from the rows; a page is read again when they change.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.nodes import make_refnode

from book.extensions.evidence import recorded
from book.extensions.evidence.domain import domain
from book.extensions.evidence.nodes import paragraph, table
from book.extensions.evidence.recorded import Summary
from gradelib.experiments import NAMES, gpu_measurements
from gradelib.experiments.store import FOLDER

NO_ANSWER = "Nothing is recorded yet that answers this."


class read_in(nodes.General, nodes.Element):  # noqa: N801
    """Stands for the links to the chapters that use the experiment `experiment`, until all pages are read."""


class _OfExperiments(SphinxDirective):
    def summary(self, name: str) -> Summary:
        """What there is of an experiment; an unknown name and a damaged file are faults of the page."""
        try:
            found = recorded.summary(name)
            self.env.note_dependency(recorded.path(name))
        except ValueError as error:
            raise self.error(str(error)) from error
        return found


class Recorded(_OfExperiments):
    """Two lines: which run a result is from, how large and on what, whether it is current, and how to repeat it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        found = self.summary(self.arguments[0])
        domain(self.env).note_use(self.env.docname, found.name)
        lead = pending_xref(
            "",
            nodes.inline("", found.name),
            refdomain="evidence",
            reftype="experiment",
            reftarget=found.name,
            refdoc=self.env.docname,
            refexplicit=True,
        )
        lines = [paragraph("Recorded: ", lead, f", {found.run}."), paragraph("Again: ", _code(found.command))]
        for line in lines:
            line["classes"].append("gl-recorded")
            self.set_source_info(line)
        return list(lines)


class Experiments(_OfExperiments):
    """All experiments: a small table, and a section for each with its question and its answer."""

    def run(self) -> list[nodes.Node]:
        found = [self.summary(name) for name in NAMES]
        domain(self.env).note_experiments(self.env.docname)
        head = ["Experiment", "Rows", "State"]
        rows = [[[_inner_link(one)], [nodes.Text(one.rows)], [nodes.Text(_state_word(one))]] for one in found]
        return [table(head, rows, kind="gl-runs"), *map(self.section, found)]

    def section(self, found: Summary) -> nodes.section:
        told = {
            "On": found.data,
            "Run": ", ".join(part for part in (found.rows, found.seeds, found.steps) if part),
            "Controls": found.controls.removeprefix("Recorded: "),
            "Cost": found.cost,
            "Date": found.date,
            "State": found.state,
        }
        items = [paragraph(nodes.strong("", name), f": {said}") for name, said in told.items() if said]
        items.append(paragraph(nodes.strong("", "Again"), ": ", _code(found.command)))
        items.append(paragraph(nodes.strong("", "Read in"), ": ", read_in(experiment=found.name)))
        name = paragraph(nodes.emphasis("", found.name))
        body = nodes.bullet_list("", *(nodes.list_item("", item) for item in items))
        answer = paragraph(found.answer or NO_ANSWER)
        title = nodes.title("", found.question)
        return nodes.section("", title, name, answer, body, ids=[anchor(found.name)], names=[anchor(found.name)])


class GPUCosts(SphinxDirective):
    """What `make gpu` measured: milliseconds a step of each objective, by latents, and how far it is from the CPU."""

    batch = 128

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(FOLDER / "gpu.json"))
        found = gpu_measurements()
        at_batch = [entry for entry in found["speed"] if entry["batch"] == self.batch]
        costs = {(entry["objective"], entry["latents"]): entry for entry in at_batch}
        latents, objectives = dict.fromkeys(d for _, d in costs), dict.fromkeys(name for name, _ in costs)
        head = ["Objective", *(f"d = {d}" for d in latents)]
        rows = [
            [[_code(name)], *([nodes.Text(_cost(costs.get((name, d), {})))] for d in latents)] for name in objectives
        ]
        return [paragraph(self.sentence(found)), table(head, rows, kind="gl-runs")]

    def sentence(self, found: dict[str, Any]) -> str:
        apart = {entry["dtype"]: 0.0 for entry in found["agreement"]}
        for entry in found["agreement"]:
            apart[entry["dtype"]] = max(apart[entry["dtype"]], entry["losses"])
        layers = "–".join(map(str, (784, *found["sizes"]["hidden"], "d")))
        said = ", ".join(f"{largest:.0e} in {dtype}" for dtype, largest in apart.items())
        return (
            f"Milliseconds of a step with Adam, and the most memory in MB, on one {found['device']} with torch "
            f"{found['versions']['torch']}: network {layers}, batch {self.batch}. The losses of the first "
            f"{found['sizes']['agreement_steps']} steps were at most this far from the CPU's, relative to the largest: "
            f"{said}."
        )


def _cost(entry: dict[str, Any]) -> str:
    return f"{entry['milliseconds']:.1f} ms, {entry['megabytes']:,.0f} MB" if "milliseconds" in entry else "–"


class Measured(SphinxRole):
    """A number of a recorded experiment within a sentence: `NAME COLUMN KEY=VALUE …`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        name, column, *which = self.text.split()
        try:
            said = recorded.measured(name, column, **dict(one.split("=") for one in which))
            self.env.note_dependency(recorded.path(name))
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        return [nodes.Text(said)], []


class ReadIn(SphinxPostTransform):
    """The chapters that use an experiment, as links."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        for place in list(self.document.findall(read_in)):
            place.replace_self(self.links(place["experiment"]) or [nodes.Text("no chapter yet")])

    def links(self, name: str) -> list[nodes.Node]:
        numbers, parts = self.env.toc_secnumbers, []
        for page in domain(self.env).pages_that_use(name):
            number = numbers.get(page, {}).get("", ())
            words = nodes.Text("chapter " + ".".join(map(str, number)) if number else self.env.titles[page].astext())
            parts += [nodes.Text(", "), make_refnode(self.app.builder, self.env.docname, page, "", words)]
        return parts[1:]


def anchor(name: str) -> str:
    """Where the list tells of an experiment."""
    return f"experiment-{name}"


def _state_word(found: Summary) -> str:
    """The first word of the state, where there are rows."""
    return found.state.split()[0].strip(":;") if found.date else "not run"


def _inner_link(found: Summary) -> nodes.reference:
    return nodes.reference("", found.name, internal=True, refid=anchor(found.name))


def _code(text: str) -> nodes.literal:
    return nodes.literal("", text)
