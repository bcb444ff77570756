"""What a row of the ledger says of a recorded experiment: its rows, length, controls, and answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradelib import experiments

LEAST_SEEDS = 3  # with fewer, nothing is reproduced

_Table = Sequence[dict[str, Any]]


def seeds(name: str) -> int:
    """The smallest number of seeds in the table of an experiment; 0 while its grid has rows that are not recorded."""
    found = experiments.load(name)
    return min((line.get("seeds", 0) for line in found.table), default=0) if not found.missing else 0


def path(name: str) -> str:
    """The recorded file."""
    from gradelib.experiments.store import Store

    return str(Store(experiments.find(name)).path)


def words(name: str) -> list[str]:
    """Sentences on an experiment, from its rows: what there is, the length and the controls, and what it found."""
    found, experiment = experiments.load(name), experiments.find(name)
    jobs = [row["job"] for row in found.rows.values() if row["state"] == "done"]
    grid = len(experiment.jobs)
    head = f"Recorded experiment {name}: {len(jobs)} of {grid} rows on {_DATA.get(experiment.data, experiment.data)}"
    if not jobs:
        return [f"{head}."]
    main = [job for job in jobs if job["control"] != "length"] or jobs
    steps = _numbers({job["steps"] for job in main}, "{:,} steps")
    seeds = {line["seeds"] for line in found.table if "seeds" in line} or {0}
    there, planned = {job["control"] for job in jobs}, dict.fromkeys(job["control"] for job in experiment.jobs.values())
    controls = ", ".join(control for control in planned if control in there)
    missing = ", ".join(control for control in planned if control not in there)
    lengths = f"{head}, {steps} each, {_numbers(seeds, '{}')} seed{'s' * (max(seeds) > 1)} for each setting."
    compared = f"Recorded: {controls}" + (f"; not yet: {missing}." if missing else ".")
    stale = f"Stale: {found.stale}." if found.stale else ""
    answer = _ANSWERS[name](found.table) if name in _ANSWERS else ""
    return [sentence for sentence in (lengths, compared, stale, answer) if sentence]


def _objectives(table: _Table) -> str:
    lines = [line for line in table if line["objective"] == "grae_column" and line["activation"] == "softplus"]
    losses = []
    for line in lines:
        if (saved := line["difference"]) is not None:
            share = 100 * saved / (line["loss"] - saved)
            losses.append(f"{_signed(saved)} ({_signed(share, 1)} %) at β = {line['beta']:g}")
    said = f"Held-out β-VAE loss when trained with GRAE≈, less that of the β-VAE, in nats: {', '.join(losses)}."
    return said if losses else ""


def _blocks(table: _Table) -> str:
    settings = dict.fromkeys((line["beta"], line["latents"], line["block"]) for line in table)
    told = []
    for setting in settings:
        of = {line["model"]: line for line in table if (line["beta"], line["latents"], line["block"]) == setting}
        owed = [f"{line['nats_between_blocks']:.2f} {_POSTERIORS[model]}" for model, line in of.items()]
        if "block" in of:
            owed.append(
                f"{of['block']['rotated_nats_between_blocks']:.2f} with blocks and its latents turned at random"
            )
        told.append("(β, d, b) = ({:g}, {}, {}): ".format(*setting) + ", ".join(owed))
    return f"Nats that the decoder owes between the blocks: {'; '.join(told)}."


_DATA = {"mnist": "MNIST"}
_POSTERIORS = {"block": "with blocks", "diagonal": "diagonal", "full": "full", "grae": "GRAE"}
_ANSWERS: dict[str, Callable[[_Table], str]] = {"mnist-objectives": _objectives, "mnist-blocks": _blocks}


def _numbers(values: set[int], form: str) -> str:
    low, high = min(values), max(values)
    return form.format(low) if low == high else f"{low:,} to {form.format(high)}"


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
