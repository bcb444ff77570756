"""Many independent jobs in parallel, on this machine or on a cluster, with resume after any end.

The one seam is `concurrent.futures.Executor`: a pool of processes of loky here, `distributed.Client.get_executor()` on
a Dask cluster. Results are recorded by the process that hands the jobs out, as each of them arrives: workers need not
share a disk with it, and a worker that outlives it writes nothing.

`run_jobs` leaves it to its caller where results are kept; `run_all` keeps each in a JSON file of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from gradelib._files import write_atomically
from gradelib._names import one_of
from gradelib._options import whole_number

if TYPE_CHECKING:
    from distributed import Client

Job = TypeVar("Job")
R = TypeVar("R")
Result = dict[str, Any]  # what JSON can hold

FAILURE = "failure"  # the key under which a file of `run_all` has the sentence of a job that failed
PATIENCE = 10.0  # seconds to wait for a scheduler and for its first worker
IDLE_SECONDS = 60  # after which a process ends that no call has used again
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Where:
    """Where jobs run: in `workers` processes on this machine (as many as it has cores), or on a Dask cluster.

    `shard` (i, N), counted from 1, takes every N-th job, beginning with the i-th.
    """

    backend: str = "loky"
    workers: int | None = None
    scheduler: str | None = None
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where the parts do not go together."""
        on_cluster = one_of("backend", self.backend, ["loky", "dask"]) == "dask"
        if on_cluster and not self.scheduler:
            raise ValueError("--backend dask needs --scheduler ADDRESS, for example tcp://10.0.0.1:8786.")
        if self.scheduler and not on_cluster:
            raise ValueError("--scheduler is the address of a cluster, so it needs --backend dask, too.")
        if self.workers is not None and on_cluster:
            raise ValueError("--workers counts processes on this machine; a cluster uses the workers that it has.")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"--workers must be at least 1, but it is {self.workers}.")
        if self.shard and not 1 <= self.shard[0] <= self.shard[1]:
            raise ValueError(_shard_must_be("{}/{}".format(*self.shard)))

    def part_of(self, jobs: Mapping[str, Job]) -> dict[str, Job]:
        """The jobs of this shard, or all of them."""
        first, step = self.shard or (1, 1)
        return dict(islice(jobs.items(), first - 1, None, step))


@dataclass(frozen=True)
class Failure:
    """Why a job has no result: one sentence that begins with its key, and the traceback where there is one."""

    sentence: str
    traceback: str = ""
    was_lost: bool = False


# --- the options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options that `where_from` reads."""
    group = parser.add_argument_group("where it runs")
    group.add_argument("--workers", metavar="K", help="processes on this machine (as many as it has cores)")
    group.add_argument("--backend", default="loky", metavar="NAME", help="loky: this machine (the default); dask")
    group.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, for example tcp://10.0.0.1:8786")
    group.add_argument("--shard", metavar="i/N", help="do the i-th of N parts only; all parts share one folder")


def where_from(options: argparse.Namespace) -> Where:
    """What the options say; raises ValueError, with one sentence, where they make no sense."""
    shard = None
    if options.shard is not None:
        if not (found := re.fullmatch(r"(\d+)/(\d+)", options.shard, re.ASCII)):
            raise ValueError(_shard_must_be(options.shard))
        shard = int(found[1]), int(found[2])
    return Where(options.backend, whole_number("--workers", options.workers, least=1), options.scheduler, shard)


def _shard_must_be(text: str) -> str:
    return f"--shard must be i/N with i from 1 to N, for example 2/8, but it is {text!r}."


# --- jobs on an executor


def run_jobs(
    function: Callable[[Job], R],
    jobs: Mapping[str, Job],
    where: Where,
    *,
    record: Callable[[str, R], None],
    done: Collection[str] = (),
    label: str,
    quiet: bool = False,
) -> dict[str, Failure]:
    """Run `function` on each job; call `record(key, result)` in this thread, once for each result, as it arrives.

    Returns the failures, by key. `done` are the keys that are not run again (resume); a shard is a part of all jobs,
    done or not. `function`, jobs and results must be picklable. A job that raises, or that kills its worker even when
    it runs alone, is a failure and stops no other; jobs that were in flight when a worker died run again. What `record`
    raises ends the run. Raises ConnectionError where the scheduler cannot be reached or goes away, ImportError without
    Dask, RuntimeError where the cluster has no worker.
    """
    from tqdm.auto import tqdm

    mine = where.part_of(jobs)
    left = {key: partial(_attempt, function, key, job) for key, job in mine.items() if key not in done}
    failures: dict[str, Failure] = {}
    hidden = True if quiet or os.environ.get("TQDM_DISABLE") else None  # None: hidden where no terminal is
    bar = tqdm(desc=label, initial=len(mine) - len(left), total=len(mine), disable=hidden)
    with bar, closing(_outcomes(left, where)) as outcomes:
        for key, outcome in outcomes:
            if isinstance(outcome, Failure):
                failures[key] = outcome
                bar.set_postfix(failed=len(failures))
            else:
                record(key, outcome)
            bar.update()
    return failures


def _outcomes(left: dict[str, partial[R | Failure]], where: Where) -> Generator[tuple[str, R | Failure], None, None]:
    """The results and failures of the tasks in `left`, as they come, each once; in the end `left` is empty."""
    deaths: Counter[str] = Counter()
    while left:
        tasks, window = _next_round(left, deaths, where)
        with _cluster(where.scheduler) if where.scheduler else _processes(window) as executor:
            for key, future in _completed(executor, tasks, window):
                outcome = _outcome(key, future, where)
                if isinstance(outcome, Failure) and outcome.was_lost:
                    deaths[key] += 1
                    if window > 1 or deaths[key] == 1:
                        continue
                del left[key]
                yield key, outcome


def _next_round(left: Mapping[str, Job], deaths: Counter[str], where: Where) -> tuple[dict[str, Job], int]:
    """The jobs to submit next, and how many of them at a time.

    Nobody says which job it was that killed a worker. Those in flight run again; those that were in flight twice run
    one at a time, before all others. Dask itself runs a job again on other workers, and gives up at the fourth death.
    """
    from loky import cpu_count

    suspects = {key: task for key, task in left.items() if deaths[key] >= (1 if where.scheduler else 2)}
    if suspects:
        return suspects, 1
    return dict(left), len(left) if where.scheduler else min(len(left), where.workers or cpu_count())


def _completed(executor: Executor, tasks: Mapping[str, partial[R]], window: int) -> Iterator[tuple[str, Future[R]]]:
    """Submit the tasks, at most `window` at a time, and yield each with its future when that is done.

    A broken executor gets no more tasks; those that it has not got are left out.
    """
    waiting, in_flight, finished = iter(tasks.items()), dict[Future[R], str](), SimpleQueue[Future[R]]()
    while True:
        try:
            for key, task in islice(waiting, window - len(in_flight)):
                future = executor.submit(task)
                in_flight[future] = key
                future.add_done_callback(finished.put)
        except BrokenExecutor:
            waiting = iter(())
        if not in_flight:
            return
        future = finished.get()
        if not future.cancelled() and isinstance(future.exception(), BrokenExecutor):
            waiting = iter(())  # it may take more tasks for a moment, and they would seem to have died of themselves
        yield in_flight.pop(future), future


def _attempt(function: Callable[[Job], R], key: str, job: Job) -> R | Failure:
    """Run one job; this runs in the worker."""
    os.environ["TQDM_DISABLE"] = "1"  # the worker shares its terminal with the bar of all jobs
    try:
        return function(job)
    except (Exception, SystemExit) as error:
        return Failure(f"{key}: {type(error).__name__}: {error}", traceback.format_exc())


def _outcome(key: str, future: Future[R | Failure], where: Where) -> R | Failure:
    """What became of a task; raises ConnectionError where the scheduler is lost, which cancels all futures."""
    if future.cancelled():
        raise ConnectionError(f"The scheduler at {where.scheduler} went away; the same command goes on from here.")
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, _worker_death(where)):
        return Failure(f"{key}: its worker died, also when it ran alone; it may need more memory.", was_lost=True)
    # What a job raises is no exception of its future (`_attempt`). Dask has one, of any kind, for a result that is lost
    # with its worker while it is fetched.
    return Failure(f"{key}: it could not be run: {type(error).__name__}: {error}", was_lost=bool(where.scheduler))


def _worker_death(where: Where) -> type[Exception]:
    if not where.scheduler:
        return BrokenExecutor
    from distributed import KilledWorker

    return KilledWorker


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    with _connect(address) as client:
        yield client.get_executor(pure=False)  # a job that runs again is a new task


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    """Processes of this machine, which the next call uses again; they are killed with what they are at by an error."""
    from loky import get_reusable_executor

    executor = get_reusable_executor(workers, timeout=IDLE_SECONDS, env=ONE_THREAD)
    try:
        yield executor
    except BaseException:
        executor.shutdown(kill_workers=True)
        raise


def _connect(address: str) -> Client:
    """A client of the scheduler, once it has a worker."""
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("--backend dask needs a package that is not here: pip install distributed.") from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError):
        raise ConnectionError(
            f"No scheduler answers at {address}; start one with 'dask scheduler' and give the address that it prints."
        ) from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        client.close()
        raise RuntimeError(
            f"The scheduler at {address} has no workers; start some with 'dask worker {address}'."
        ) from None
    return client


# --- results in a folder of JSON files


def run_all(
    function: Callable[[Job], Result],
    jobs: Mapping[str, Job],
    folder: Path,
    where: Where,
    *,
    label: str,
    quiet: bool = False,
) -> dict[str, Result]:
    """Run each job once, by `run_jobs`, and write its result to `folder/<key>.json`, atomically.

    A job that has its file is not run again (resume). Returns what the folder holds in the end, by key and in the order
    of `jobs`: the results of all shards so far. The file of a job that failed has a sentence under `FAILURE`, and the
    next call tries it again. Keys must be good for names of files. Raises what `run_jobs` raises.
    """
    files = {key: folder / f"{key}.json" for key in jobs}
    folder.mkdir(parents=True, exist_ok=True)
    failures = run_jobs(
        partial(_encoded, function),
        jobs,
        where,
        record=lambda key, text: write_atomically(files[key], text),
        done={key for key, file in files.items() if FAILURE not in (read(file) or {FAILURE: "no file"})},
        label=label,
        quiet=quiet,
    )
    for key, failure in failures.items():
        write_atomically(files[key], as_json({FAILURE: failure.sentence, "traceback": failure.traceback}))
    found = {key: read(file) for key, file in files.items()}
    return {key: result for key, result in found.items() if result is not None}


def read(path: Path) -> Result | None:
    """The result in a file, or None where there is none or an unreadable one, which is then made again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def as_json(result: Mapping[str, Any]) -> str:
    """The text of a file; raises TypeError or ValueError for what JSON cannot hold, such as infinity."""
    return json.dumps(result, allow_nan=False, indent=1)


def _encoded(function: Callable[[Job], Result], job: Job) -> str:
    """The result as text, made in the worker, so that what JSON cannot hold is the failure of this job alone."""
    return as_json(function(job))
