"""Run what is missing of an experiment, or some of it again."""

from __future__ import annotations

import datetime
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import stdev
from typing import Any

import torch

from gradelib import datasets, parallel, training
from gradelib.datasets import Dataset
from gradelib.experiments import provenance
from gradelib.experiments.experiment import Experiment, Job, Row
from gradelib.experiments.models import group_of, passes, trained_together
from gradelib.experiments.store import Store

SECONDS_A_PASS = 0.0009  # of one step at 784–128–128 and batch 128 on one core, where no row says better


@dataclass(frozen=True)
class Task:
    """One job with all that a worker needs, who may be on another machine."""

    experiment: str
    job: Job
    source: str | None
    device: str
    until: float | None


def work(task: Task) -> tuple[Row, dict[str, Any]] | None:
    """The row of a job and its arrays; None where the time is up. This runs in a worker."""
    from gradelib.experiments import find

    if task.until is not None and time.time() > task.until:
        return None
    torch.set_num_threads(1)  # sums in another order would be other numbers, and the other cores have their own jobs
    experiment = find(task.experiment)
    data = load_data(experiment.data_of(task.job), task.source)
    place = training.place_of(task.device)
    started, worked = time.perf_counter(), time.process_time()
    try:
        numbers, arrays = experiment.run(task.job, experiment.settings, data, str(place))
        outcome = _outcome(numbers)
    except FloatingPointError as error:
        outcome = {"state": "diverged", "message": str(error)}
    if outcome["state"] != "done":
        arrays = {}
    cost = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - worked}
    origin = origin_of(experiment, data, place) | {name: round(value, 1) for name, value in cost.items()}
    return {"job": dict(task.job), **outcome, "provenance": origin}, arrays


def work_together(tasks: Mapping[str, Task]) -> dict[str, tuple[Row, dict[str, Any]]]:
    """The rows of a group of jobs and their arrays by key, empty where the time is up. This runs in a worker.

    Their models are trained side by side, so that a GPU has enough to do.
    """
    from gradelib.experiments import find

    first = next(iter(tasks.values()))
    if first.until is not None and time.time() > first.until:
        return {}
    experiment = find(first.experiment)
    data = load_data(experiment.data_of(first.job), first.source)
    jobs = [training for task in tasks.values() for training in experiment.trainings(task.job)]
    found = {}
    with trained_together(jobs, data, first.device):
        for key, task in tasks.items():
            if (row := work(replace(task, until=None))) is not None:
                found[key] = row
    return found


def groups(tasks: Mapping[str, Task]) -> dict[str, dict[str, Task]]:
    """The tasks in groups whose models are trained side by side, by the key of their first.

    A GPU takes all models that can be; a CPU the small ones of the digits, which give a core too little to do one by
    one. Larger ones gain nothing there, and a group that is killed is lost as a whole.
    """
    from gradelib.experiments import find

    found: dict[Any, dict[str, Task]] = {}
    for key, task in tasks.items():
        experiment = find(task.experiment)
        data, together = experiment.data_of(task.job), experiment.trainings(task.job)
        apart = not together or (data != "digits" and task.device == "cpu")
        which = key if apart else frozenset(group_of(job) for job in together)
        found.setdefault((task.experiment, data, which), {})[key] = task
    return {next(iter(group)): group for group in found.values()}


def _outcome(numbers: Mapping[str, Any]) -> Row:
    bad = [name for name, value in numbers.items() if isinstance(value, float) and not math.isfinite(value)]
    if bad:
        return {"state": "diverged", "message": f"These numbers are not finite: {', '.join(bad)}."}
    return {"state": "done", "numbers": {name: _rounded(value) for name, value in numbers.items()}}


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


@lru_cache(maxsize=2)
def load_data(name: str, source: str | None) -> Dataset:
    """The data of an experiment; `source` goes with "mnist" alone. A missing one is said in one sentence."""
    if name != "mnist":
        return datasets.load(name)
    try:
        return datasets.load(name, source=source)
    except (ImportError, ConnectionError) as error:
        raise FileNotFoundError(
            "'mnist' is not here: give the folder of its four IDX files (train-images-idx3-ubyte, "
            "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, gzipped or not), as torchvision "
            f"leaves them, with --source FOLDER, or install gradelib[images], which downloads it. ({error})"
        ) from error


def origin_of(experiment: Experiment, data: Dataset, place: torch.device) -> dict[str, Any]:
    """The provenance of a row but for its seconds; its seed is in the job."""
    return {
        "data": data_digest(data),
        "settings": provenance.settings_digest(experiment.settings),
        "code": code_digest(experiment),
        "versions": provenance.versions(),
        "device": provenance.device_name(place),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


@lru_cache(maxsize=4)
def data_digest(data: Dataset) -> str:
    """The digest of a data set, computed once."""
    return provenance.data_digest(data)


def code_digest(experiment: Experiment) -> str:
    """The digest of the code that does a job of the experiment."""
    return provenance.code_digest(f"{experiment.run.__module__}.run")


# --- what is missing


def run(
    experiment: Experiment,
    where: parallel.Where,
    *,
    source: str | None = None,
    device: str = "auto",
    minutes: float | None = None,
    folder: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Do the jobs that have no row yet and merge each row into the recorded file as it arrives.

    No job starts after `minutes`. Before the first row the tiny run is recorded, later it is compared: rows of code
    that gives other numbers do not belong beside the old ones. Raises ValueError where they would, or for a file that
    is cut, altered or of other settings or data, FileNotFoundError for missing data, and RuntimeError where jobs
    failed, which the next call tries again.
    """
    store = Store(experiment, folder)
    head, rows = store.read()
    place = training.place_of(device)
    missing = {key: job for key, job in experiment.jobs.items() if key not in rows}
    say(f"{experiment.name}: {len(rows)} of {len(experiment.jobs)} rows are there; {estimate(experiment, rows)}.")
    if not missing:
        return
    _check_data(store, rows, source)
    for name in sorted({experiment.data_of(job) for job in missing.values()}):
        load_data(name, source)
    _compare_tiny(store, head, rows)
    until = None if minutes is None else time.time() + 60 * minutes
    added = 0

    def record(_: str, results: Mapping[str, tuple[Row, dict[str, Any]]]) -> None:
        nonlocal added
        for key, result in results.items():
            store.merge(key, *result)
            added += 1

    tasks = {key: Task(experiment.name, job, source, str(place), until) for key, job in experiment.jobs.items()}
    # Of all jobs, and not of those that are missing: a shard is the same part of them whatever the others have done.
    left = {key: {name: group[name] for name in group if name in missing} for key, group in groups(tasks).items()}
    done = [key for key, group in left.items() if not group]
    failures = parallel.run_jobs(work_together, left, where, record=record, done=done, label=experiment.name)
    say(f"{store.path}: {added} rows more, {len(missing) - added} to go.")
    if failures:
        first = next(iter(failures.values()))
        raise RuntimeError(f"{len(failures)} jobs failed, and the same command tries them again; {first.sentence}")


def _check_data(store: Store, rows: Mapping[str, Row], source: str | None) -> None:
    """Rows are of the data that are here."""
    for key, row in rows.items():
        here = data_digest(load_data(store.experiment.data_of(row["job"]), source))
        if row["provenance"]["data"] != here:
            raise ValueError(
                f"{store.path} holds results of other data (its digest was {row['provenance']['data']} in {key!r} and "
                f"is {here}); use another folder with --out, or the data of the old rows."
            )


def _compare_tiny(store: Store, head: Mapping[str, Any], rows: Mapping[str, Row]) -> None:
    if rows and _is_tried(store.experiment, head):
        return
    found = store.experiment.tiny()
    if not rows or "tiny" not in head:
        store.change_head(tiny=_dated(store.experiment, found))
    elif (what := difference(head["tiny"]["digits"], found)) is not None:
        raise ValueError(
            f"The code gives other numbers than the rows of {store.path} ({what}); see whether they still hold with "
            f"'gradelib experiment confirm {store.experiment.name}'."
        )
    else:
        store.change_head(tiny=_dated(store.experiment, found))


def _dated(experiment: Experiment, digits: Mapping[str, str]) -> dict[str, Any]:
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    origin = {"versions": provenance.versions(), "code": code_digest(experiment)}
    return {"date": today, **origin, "digits": dict(digits)}


def _is_tried(experiment: Experiment, head: Mapping[str, Any]) -> bool:
    """Whether the digits of the tiny run are from this very code with these very versions, so that it need not run."""
    tiny = head.get("tiny", {})
    return (tiny.get("code"), tiny.get("versions")) == (code_digest(experiment), provenance.versions())


def difference(there: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """The first number of a tiny run that is not what it was; None where all are."""
    for name in {**there, **here}:
        if there.get(name) != here.get(name):
            return f"{name} was {there.get(name)} and is {here.get(name)}"
    return None


def estimate(experiment: Experiment, rows: Mapping[str, Row]) -> str:
    """How many hours of one core the missing rows take, from those that are there and were made on a CPU."""
    done = [row for row in rows.values() if row["state"] == "done" and row["provenance"]["device"].startswith("CPU")]
    left = [job for key, job in experiment.jobs.items() if key not in rows]
    seconds = 0.0
    for kind in {_kind(job) for job in left}:
        alike = [row for row in done if _kind(row["job"]) == kind]
        known = sum(_cost(row["job"]) for row in alike)
        rate = sum(spent(row, "cpu_seconds") for row in alike) / known if known else SECONDS_A_PASS
        seconds += rate * sum(_cost(job) for job in left if _kind(job) == kind)
    basis = f"at the pace of {len(done)} rows" if done else "at a nominal pace"
    return f"the other {len(left)} take about {seconds / 3600:.1f} core-hours {basis}"


def spent(row: Row, name: str) -> float:
    """Seconds of a row; where its model was trained beside others, its share of that comes to what it took alone.

    `name` is "seconds" or "cpu_seconds".
    """
    alone, training = row["provenance"][name], row.get("numbers", {}).get(name, 0)
    return float(alone if training <= alone else alone + training)


def _kind(job: Job) -> tuple[Any, ...]:
    """What rows of one pace have in common."""
    return job.get("data"), job["optimiser"]


def _cost(job: Job) -> float:
    models = len(job.get("betas") or job.get("kinds") or [0])
    return passes(job["objective"], job["latents"], job.get("fraction", 1.0)) * job["steps"] * models


# --- some of it again


def confirm(
    experiment: Experiment,
    where: parallel.Where,
    *,
    source: str | None = None,
    device: str = "auto",
    folder: Path | None = None,
    count: int = 3,
    seed: int | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Run `count` random jobs again, and say whether each lies within the recorded spread of its seeds.

    The spread is twice the standard deviation of the difference of two seeds.

    Where all do, the digits of the tiny run are renewed, with date and versions, and the experiment is current;
    otherwise it is stale, and the recorded file says so. Raises what `run` raises, and ValueError where no recorded row
    has others that differ in the seed alone.
    """
    store = Store(experiment, folder)
    _, rows = store.read()
    there = {key: row for key, row in rows.items() if experiment.number in row.get("numbers", {})}
    candidates = {key: others for key, row in there.items() if len(others := _seeds_of(row, there)) > 1}
    if not candidates:
        raise ValueError(
            f"{store.path} has no two rows that differ in the seed alone; run more of the experiment first."
        )
    _check_data(store, rows, source)
    place = training.place_of(device)
    chosen = random.Random(seed).sample(sorted(candidates), min(count, len(candidates)))
    tasks = {key: Task(experiment.name, rows[key]["job"], source, str(place), None) for key in chosen}
    verdicts: dict[str, bool] = {}

    def record(key: str, result: tuple[Row, dict[str, Any]] | None) -> None:
        assert result is not None  # there is no limit of time
        verdicts[key] = _within(key, rows[key], result[0], candidates[key], experiment.number, say)

    failures = parallel.run_jobs(work, tasks, where, record=record, label=f"confirm {experiment.name}")
    if failures:
        raise RuntimeError(next(iter(failures.values())).sentence)
    if all(verdicts.values()):
        store.change_head(tiny=_dated(experiment, experiment.tiny()), stale=None)
    else:
        failed = ", ".join(key for key, held in verdicts.items() if not held)
        store.change_head(stale=f"run again, these were not within the spread of the seeds: {failed}")
    say(f"{experiment.name}: {'current' if all(verdicts.values()) else 'stale'}.")
    return all(verdicts.values())


def _seeds_of(row: Row, rows: Mapping[str, Row]) -> list[Row]:
    """The rows whose jobs differ from this one in a seed alone, itself included."""

    def bare(job: Job) -> Job:
        return {name: value for name, value in job.items() if name not in ("seed", "noise_seed")}

    return [other for other in rows.values() if bare(other["job"]) == bare(row["job"])]


def _within(key: str, old: Row, new: Row, seeds: Sequence[Row], number: str, say: Callable[[str], None]) -> bool:
    if new["state"] != "done":
        say(f"{key}: {new['message']}")
        return False
    # Sums in another order make another training, of the same distribution: two of them differ by √2 deviations.
    spread = 2 * math.sqrt(2) * stdev(row["numbers"][number] for row in seeds)
    before, now = old["numbers"][number], new["numbers"][number]
    held = abs(now - before) <= spread
    say(f"{key}: {number} was {before:.4f} and is {now:.4f}, {'within' if held else 'beyond'} the spread {spread:.4f}.")
    return held


def summary(experiment: Experiment, folder: Path | None = None) -> str:
    """What `gradelib experiment list` says: the question, how many rows there are, whether they are current."""
    store = Store(experiment, folder)
    _, rows = store.read()
    lines = [experiment.name, f"  {experiment.question}"]
    diverged = sum(row["state"] != "done" for row in rows.values())
    lines.append(
        f"  {len(rows)} of {len(experiment.jobs)} rows" + (f", {diverged} of them diverged" if diverged else "")
    )
    if rows:
        hours = sum(spent(row, "cpu_seconds") for row in rows.values()) / 3600
        dates = [row["provenance"]["date"] for row in rows.values()]
        devices = ", ".join(sorted({row["provenance"]["device"] for row in rows.values()}))
        lines.append(f"  {hours:.1f} core-hours, {min(dates)} to {max(dates)}, on {devices}")
        lines.append(f"  {state_of(experiment, folder)}")
    if len(rows) < len(experiment.jobs):
        lines.append(f"  {estimate(experiment, rows)}: gradelib experiment run {experiment.name}")
    return "\n".join(lines)


def state_of(experiment: Experiment, folder: Path | None = None) -> str:
    """Whether the code still gives the recorded numbers, by the tiny run: "current…", or "stale…" with the reason.

    Raises ValueError for a file that is cut, altered or of other settings.
    """
    head, rows = Store(experiment, folder).read()
    if not rows:
        return "nothing is recorded yet"
    if head.get("stale"):
        return f"stale: {head['stale']}"
    if not _is_tried(experiment, head) and (what := difference(head["tiny"]["digits"], experiment.tiny())):
        return f"stale until confirmed: {what}"
    today = code_digest(experiment)
    older = sum(row["provenance"]["code"] != today for row in rows.values())
    return "current" + (f"; of earlier code with the same tiny digits: {older} rows" if older else "")
