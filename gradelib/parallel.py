"""Many independent jobs, on this machine or on a cluster: each is done once, and its result is kept in a file.

joblib is the only seam. A job runs in a worker process. Its result comes back as text and is written here, by the
process that handed it out: the workers of a cluster need not share a disk with it, and a worker that outlives it
writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import joblib

from gradelib._names import one_of

Job = TypeVar("Job")
Result = dict[str, Any]

FAILURE = "failure"  # the key under which a result has the sentence of a job that could not be done
SETTINGS = ".settings.json"  # no job's file begins with a dot
PATIENCE = 10.0  # seconds to wait for a scheduler and for its first worker


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the options that `where_from` reads."""
    group = parser.add_argument_group("where it runs")
    group.add_argument("--workers", metavar="K", help="processes on this machine (as many as it has cores)")
    group.add_argument("--backend", default="loky", metavar="NAME", help="loky: this machine (the default); dask")
    group.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, for example tcp://10.0.0.1:8786")
    group.add_argument("--shard", metavar="i/N", help="do the i-th of N parts only; all parts share one folder")


def where_from(namespace: argparse.Namespace) -> Where:
    """What the options say; raises ValueError, with one sentence, where they make no sense."""
    workers = namespace.workers
    if workers is not None and not workers.isdecimal():
        raise ValueError(f"--workers must be a whole number, but it is {workers!r}.")
    return Where(
        backend=namespace.backend,
        workers=workers if workers is None else int(workers),
        scheduler=namespace.scheduler,
        shard=_read_shard(namespace.shard),
    )


def _read_shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(_shard_must_be(text))
    return int(parts[0]), int(parts[1])


def _shard_must_be(text: str) -> str:
    return f"--shard must be i/N with i from 1 to N, for example 2/8, but it is {text!r}."


def run_all(
    function: Callable[[Job], Result],
    jobs: Mapping[str, Job],
    folder: Path,
    where: Where,
    *,
    label: str,
    quiet: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Result]:
    """Do each job once and keep its result as `folder/<key>.json`, whole or not at all; see `path_of` for odd keys.

    What is there already is not done again. Returns what is there in the end, by key and in the order of `jobs`: the
    results of all shards so far. Numbers that are not finite become None, as they have no place in JSON.

    `function` and the jobs go to other processes, so they must be picklable. A job that raises, or that kills its
    worker, stops no other: its result is a sentence under `FAILURE`, and the next call tries it again.

    `settings` are what the results depend on besides their jobs. Raises ValueError where the folder holds results of
    other settings or something else, ConnectionError where the scheduler cannot be reached or goes away, ImportError
    without Dask, and RuntimeError where the cluster has no worker.
    """
    folder = Path(folder)
    _claim(folder, settings or {})
    mine = dict(list(jobs.items())[where.shard[0] - 1 :: where.shard[1]] if where.shard else jobs)
    left = [_Task(function, key, job) for key, job in mine.items() if not _is_done(path_of(folder, key))]
    results = (
        _on_cluster(left, where.scheduler)
        if where.scheduler
        else _on_this_machine(left, where.workers or joblib.cpu_count())
    )
    with _bar(label, quiet, done=len(mine) - len(left), total=len(mine)) as bar:
        for key, text in results:
            write_whole(path_of(folder, key), text)
            bar.update()
    found = {key: read(path_of(folder, key)) for key in jobs}
    return {key: result for key, result in found.items() if result is not None}


def path_of(folder: Path, key: str) -> Path:
    """The file of a key's result: its own name where that can name a file, otherwise one that no other key gets."""
    name = re.sub(r"[^\w .-]|^\.", _escaped, key) or "%"
    if len(_bytes(name)) > 200:
        name = f"{name[:40]}-{hashlib.sha256(_bytes(key)).hexdigest()}"
    return Path(folder) / f"{name}.json"


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in _bytes(found[0]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # a key may be the name of a file, which need not be UTF-8


def write_whole(path: Path, text: str) -> None:
    """Write a file so that at every moment, even when killed, either the old one is there or the new one."""
    unfinished = path.with_name(f".{uuid.uuid4().hex}.unfinished")  # two runs may write the same file at a time
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make `folder` the place of the results of these settings; raise ValueError where it is another's."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, but results need a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SETTINGS
    if not file.exists():
        if any(folder.glob("[!.]*.json")):
            raise ValueError(f"{folder} holds files that did not come from here; use another folder.")
        write_whole(file, _as_json(settings))
    there, here = json.loads(file.read_text(encoding="utf-8")), json.loads(_as_json(settings))
    for name in there | here:
        if there.get(name) != here.get(name):
            raise ValueError(
                f"{folder} holds results of other settings ({name} was {there.get(name)!r} and is {here.get(name)!r}); "
                "use another folder or delete this one."
            )
    for leftover in folder.glob(".*.unfinished"):  # of a run that was killed; a young one may be in use
        if time.time() - leftover.stat().st_mtime > 3600:
            leftover.unlink(missing_ok=True)


def read(path: Path) -> Result | None:
    """The result in a file, or None where there is none or an unreadable one, which is then made again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _is_done(path: Path) -> bool:
    result = read(path)
    return result is not None and FAILURE not in result


def _bar(label: str, quiet: bool, *, done: int, total: int) -> Any:
    from tqdm.auto import tqdm

    hidden = True if quiet or os.environ.get("TQDM_DISABLE") else None  # None: hidden where no terminal is
    return tqdm(desc=label, initial=done, total=total, disable=hidden)


@dataclass(frozen=True)
class _Task:
    """A job with its function. Dask would spread a large argument over the workers, and lose it with one of them."""

    function: Callable[[Any], Result]
    key: str
    job: Any

    def __call__(self) -> tuple[str, str]:
        """The key, and the result as JSON. This runs in the worker, and what goes wrong here is a result, too."""
        os.environ["TQDM_DISABLE"] = "1"  # the worker shares its terminal with the bar of all jobs
        try:
            return self.key, _as_json(self.function(self.job))
        except (Exception, SystemExit) as error:
            return self.key, _failed(f"{self.key}: {type(error).__name__}: {error}", traceback.format_exc())


def _failed(sentence: str, details: str = "") -> str:
    return _as_json({FAILURE: sentence, "traceback": details})


def _as_json(result: Mapping[str, Any]) -> str:
    return json.dumps(_finite(result), allow_nan=False, indent=1)


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _on_this_machine(tasks: list[_Task], workers: int) -> Iterator[tuple[str, str]]:
    """Results from processes on this machine, as they come.

    A process that dies takes its pool with it, and nobody says which job it was at. But jobs are handed out in order,
    so it was at one of the first that are left. Half as many of those are tried in a fresh pool, then half of these,
    and a job whose process dies when it is alone is the one.
    """
    sizes = [workers, *_halves(workers)]
    left, deaths = {task.key: task for task in tasks}, 0
    while left:
        size = sizes[deaths]
        suspects = list(left.values())[: size if deaths else None]
        pool = joblib.Parallel(
            n_jobs=max(2, min(size, len(suspects))),  # joblib would do the work of 1 in this very process
            backend="loky",
            pre_dispatch=size,
            batch_size=1,
            return_as="generator_unordered",
        )
        try:
            for key, text in pool(joblib.delayed(task)() for task in suspects):
                del left[key]
                yield key, text
            deaths = 0
        except BrokenExecutor:
            deaths += 1
            if deaths == len(sizes):
                key, deaths = suspects[0].key, 0
                del left[key]
                yield key, _failed(f"{key}: its process died, also alone; it may need more memory than there is.")


def _halves(size: int) -> list[int]:
    """Half of `size`, half of that, and so on down to 1, which is there at least."""
    return [max(1, size // 2), *(_halves(size // 2) if size > 3 else [])]


def _on_cluster(tasks: list[_Task], address: str) -> Iterator[tuple[str, str]]:
    """Results from the workers of a Dask cluster, as they come; Dask itself gives a lost worker's jobs to another."""
    if not tasks:
        return
    with _connect(address) as client:
        pool = joblib.Parallel(
            n_jobs=-1,
            backend=_cluster_backend(client),
            pre_dispatch="all",  # so that workers that join later find work
            batch_size=1,
            return_as="generator_unordered",
        )
        try:
            yield from pool(joblib.delayed(task)() for task in tasks)
        except CancelledError:
            raise ConnectionError(
                f"The scheduler at {address} went away; what was done is kept, and the same command goes on from there."
            ) from None


def _connect(address: str) -> Any:
    """A client of the scheduler, once it has a worker."""
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("--backend dask needs a package that is not here: pip install 'gradelib[dask]'.") from None
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


def _cluster_backend(client: Any) -> Any:
    from joblib._dask import DaskDistributedBackend

    class Cluster(DaskDistributedBackend):
        """joblib's backend, where a job that Dask gives up has a result; joblib itself would wait for it for ever."""

        def submit(self, func: Any, callback: Callable[..., None]) -> Any:
            key = func.items[0][0].key
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: done.exception() and callback([(key, _given_up(key, done))]))
            return future

    return Cluster(client=client)


def _given_up(key: str, future: Any) -> str:
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return _failed(f"{key}: every worker that tried it died; it may need more memory than they have.")
    return _failed(f"{key}: the cluster could not run it: {type(error).__name__}: {error}")
