"""What the pages say of a recorded experiment, from its rows: what there is, how long, on what, and what it found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from book.extensions.evidence.answers import answer, effect
from gradelib import experiments
from gradelib.experiments import running
from gradelib.experiments.experiment import Job, Row

# Columns whose sign is part of the answer.
SIGNED = (
    "difference",
    "adam_difference",
    "difference_formula",
    "difference_fitted",
    "difference_codes",
    "gap",
)
LEAST_SEEDS = 3  # with fewer, nothing is reproduced
DATA = {"mnist": "MNIST", "mnist5k": "5,000 digits of MNIST", "digits": "8×8 digits", "patches": "64×64 patches"}


@dataclass(frozen=True)
class Summary:
    """One recorded experiment in words; what rows would tell is empty where there are none."""

    name: str
    question: str
    data: str
    rows: str  # "25 of 202 rows"
    seeds: str  # "1 to 5 seeds for each setting"
    steps: str  # "1,500 to 12,000 steps"
    cost: str  # "0.4 core-hours on CPU, x86_64, AVX512"
    date: str
    state: str  # "current…", or "stale…" with the reason
    controls: str
    answer: str
    command: str

    @property
    def run(self) -> str:
        """What was run, in one line."""
        length = ", ".join(part for part in (self.rows, self.seeds, self.steps) if part)
        return "; ".join(part for part in (length, self.cost, self.date, self.state.partition(";")[0]) if part)


def summary(name: str) -> Summary:
    """What there is of an experiment; raises ValueError for an unknown name and for a damaged file."""
    found, experiment = _load(name), experiments.find(name)
    rows = list(found.rows.values())
    done = [row for row in rows if row["state"] == "done"]
    data = dict.fromkeys(experiment.data_of(job) for job in experiment.jobs.values())
    source = " --source MNIST" * ("mnist" in data)
    diverged = len(rows) - len(done)
    return Summary(
        name=name,
        question=found.question,
        data=", ".join(DATA[one] for one in data),
        rows=f"{len(rows)} of {len(experiment.jobs)} rows" + f", {diverged} of them diverged" * bool(diverged),
        seeds=_seeds(found.table) if done else "",
        steps=_numbers({row["job"]["steps"] for row in done}, "{:,} steps") if done else "",
        cost=_cost(rows),
        date=_dates([row["provenance"]["date"] for row in rows]),
        state=_state(name),
        controls=_controls(done, experiment.jobs.values()),
        answer=answer(found),
        command=f"gradelib experiment run {name}{source} --out FOLDER",
    )


def measured(name: str, column: str, **which: str) -> str:
    """A number of the table of an experiment with its standard error, signed where it is a difference.

    `which` says in which line it stands, each value as it is printed. Raises ValueError where not one line is meant, or
    where it has no such number.
    """
    lines = [line for line in _load(name).table if all(_shown(line.get(key)) == value for key, value in which.items())]
    if len(lines) != 1 or lines[0].get(column) is None:
        asked = ", ".join(f"{key}={value}" for key, value in which.items())
        raise ValueError(f"{name} has {len(lines)} lines with {asked}, and there must be one, with {column!r}.")
    line = lines[0]
    error, deviation = line.get(f"{column}_error"), line.get(f"{column}_deviation")
    if error is None and deviation is not None:
        error = deviation / math.sqrt(line["seeds"])
    said = effect(line[column], error)
    return said if column in SIGNED else said.removeprefix("+")


def _load(name: str) -> experiments.Recorded:
    """What is recorded: read and evaluated once a build, as many places ask for it."""
    return _kept(experiments.load, name)


@lru_cache(maxsize=len(experiments.NAMES))
def _kept(load: Callable[[str], experiments.Recorded], name: str) -> experiments.Recorded:
    return load(name)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def seeds(name: str) -> int:
    """The smallest number of seeds in the table of an experiment; 0 while its grid has rows that are not recorded."""
    found = _load(name)
    return min((line.get("seeds", 0) for line in found.table), default=0) if not found.missing else 0


def path(name: str) -> str:
    """The recorded file."""
    from gradelib.experiments.store import Store

    return str(Store(experiments.find(name)).path)


def words(name: str) -> list[str]:
    """Sentences for the ledger: what there is, how long and on what, the controls, and whether it is stale."""
    found = summary(name)
    size = ", ".join(part for part in (f"{found.rows} on {found.data}", found.seeds, found.steps) if part)
    stale = f"{found.state[0].upper()}{found.state[1:]}." if found.state.startswith("stale") else ""
    return [sentence for sentence in (f"{size}.", found.controls, stale) if sentence]


@lru_cache(maxsize=len(experiments.NAMES))
def _state(name: str) -> str:
    """Whether the code still gives the recorded numbers, as `running.state_of` says it.

    No row is added by code that gives other digits than the rows before. So where one is from the code of today, the
    tiny run need not be repeated.
    """
    found, experiment = _load(name), experiments.find(name)
    today = running.code_digest(experiment)
    if not found.stale and any(row["provenance"]["code"] == today for row in found.rows.values()):
        return "current"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on busy cores such small sums take many times as long with more
    try:
        return running.state_of(experiment)
    finally:
        torch.set_num_threads(threads)


def _seeds(table: Sequence[Row]) -> str:
    counts = {line["seeds"] for line in table if "seeds" in line} or {0}
    return f"{_numbers(counts, '{}')} seed{'s' * (max(counts) > 1)} for each setting"


def _cost(rows: Sequence[Row]) -> str:
    """Hours by device: of cores on a CPU, of the clock elsewhere; "at least" where training is not in the rows."""
    hours: dict[str, float] = {}
    for row in rows:
        device = row["provenance"]["device"]
        clock = "cpu_seconds" if device.startswith("CPU") else "seconds"
        hours[device] = hours.get(device, 0) + running.spent(row, clock) / 3600
    said = [
        f"{spent:.1f} {'core-hours' if device.startswith('CPU') else 'hours'} on {device}"
        for device, spent in sorted(hours.items())
    ]
    untold = any(row["state"] == "done" and "seconds" not in row["numbers"] for row in rows)
    return "at least " * untold + " and ".join(said)


def _dates(dates: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys((min(dates), max(dates)))) if dates else ""


def _controls(rows: Iterable[Row], jobs: Iterable[Job]) -> str:
    there, planned = {row["job"]["control"] for row in rows}, dict.fromkeys(job["control"] for job in jobs)
    recorded = ", ".join(control for control in planned if control in there)
    missing = ", ".join(control for control in planned if control not in there)
    if not recorded:
        return ""
    return f"Recorded: {recorded}" + (f"; not yet: {missing}." if missing else ".")


def _numbers(values: set[int], form: str) -> str:
    low, high = min(values), max(values)
    return form.format(low) if low == high else f"{low:,} to {form.format(high)}"
