"""`gradelib grade FOLDER --out RESULTS`: the marks of a class, from the notebooks that it handed in.

What lies in the folder is the work of strangers. It is read as bytes here; what it holds is looked at by the marker, in
another process and, there, in a sandbox. The results hold, besides the reports, what is needed to go on after an end
of any kind: the private seed, and the marks of each file under the digest of its content.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradelib
from gradelib import classroom, exercises, parallel
from gradelib._files import create_atomically
from gradelib._names import one_of
from gradelib._options import names, whole_number
from gradelib._text import printable
from gradelib.classroom import Marked, reports, slicing, submission
from gradelib.marker.result import Result

SEED = "seed"  # the files and folders of the results that are not for the class
MARKS = "marks"


@dataclass(frozen=True)
class HandedIn:
    """A file that somebody handed in: its content and what its code cells pose, or why it is no notebook."""

    learner: str
    sha256: str = ""
    content: bytes = b""
    names: frozenset[str] = frozenset()
    problem: str | None = None


@dataclass(frozen=True)
class Settings:
    """What marks depend on besides the file."""

    exercises: tuple[str, ...]
    seed: int
    sandbox: bool

    @property
    def key(self) -> str:
        """A digest of the settings and of this version of the answer key: marks of other ones are not these."""
        return sha256(json.dumps([asdict(self), _version()]).encode()).hexdigest()[:16]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grade` to the commands."""
    parser = commands.add_parser(
        "grade", help="mark a folder of notebooks", description="Mark the notebooks in a folder, and report on them."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with the learners' notebooks, subfolders included")
    parser.add_argument("--out", type=Path, required=True, metavar="RESULTS", help="a folder for the reports")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--exercises", type=names, metavar="ID,ID", help="mark these (all that the notebooks pose)")
    chosen.add_argument("--chapter", type=names, metavar="N,N", help="mark all exercises of these chapters")
    parser.add_argument("--seed", metavar="N", help="of the random test points (a fresh one, kept in RESULTS)")
    parser.add_argument("--no-sandbox", action="store_true", help="run the learners' code unprotected")
    parallel.add_arguments(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    summary = grade(
        options.folder,
        options.out,
        asked=_asked(options.exercises, options.chapter),
        seed=whole_number("--seed", options.seed),
        sandbox=not options.no_sandbox,
        where=parallel.where_from(options),
    )
    print(summary)
    return 0


def grade(
    folder: Path,
    results: Path,
    *,
    asked: Sequence[str] | None = None,
    seed: int | None = None,
    sandbox: bool = True,
    where: parallel.Where | None = None,
    quiet: bool = False,
) -> str:
    """Mark the notebooks in `folder`, write the reports into `results`, and return one line that sums them up.

    `asked` are the exercises (by default all that a notebook poses outside its solutions), `seed` that of their test
    points (by default a fresh one, kept in `results`). What was marked already, and has not changed, is not marked
    again. With a shard in `where` only its part is marked, and no report is written. Raises ValueError or OSError, with
    one sentence and before anything is written, for what cannot be marked, and RuntimeError where the sandbox is
    missing.
    """
    where = where or parallel.Where()
    _check_results_folder(results)
    files = handed_in(folder)
    asked = posed(files) if asked is None else _known(asked)
    if sandbox and (reason := classroom.sandbox_problem()):
        raise RuntimeError(f"{reason} (--no-sandbox runs the learners' code unprotected.)")
    with _rolled_back_on_error(results):
        settings = Settings(asked, _kept_seed(results, seed), sandbox)
        found = _mark_all(files, settings, results, where, quiet=quiet)
    if where.shard:
        return _shard_line(where.shard, files, found)
    marked = {file.learner: _marked(file, found.get(file.sha256), sandbox) for file in files}
    data = reports.write(results, marked, asked, folder=printable(folder.resolve().name))
    return _summary(data, results)


# --- what was handed in


def handed_in(folder: Path) -> list[HandedIn]:
    """The notebooks in `folder` and below, each under its path without the ending; hidden ones are left out.

    Raises ValueError, with one sentence, where there is no such folder or no notebook in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one into which the notebooks were collected.")
    found: dict[str, Path] = {}
    for path in sorted(_notebooks(folder)):
        name = path.relative_to(folder)
        learner = printable(name.with_suffix("").as_posix())
        found[printable(name.as_posix()) if learner in found else learner] = path
    if not found:
        raise ValueError(f"There are no notebooks (*.ipynb) in {folder}.")
    return [_handed_in(learner, found[learner]) for learner in sorted(found, key=lambda name: (name.casefold(), name))]


def _notebooks(folder: Path) -> Iterator[Path]:
    for parent, subfolders, files in os.walk(folder, onerror=_raise):  # which follows no links
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(".ipynb") and not name.startswith("."):
                yield Path(parent, name)


def _raise(error: OSError) -> None:
    """A subfolder that cannot be listed may hold someone's work."""
    raise error


def _handed_in(learner: str, path: Path) -> HandedIn:
    digest = ""
    try:
        content, digest = submission.fetch(path)
        names = (name for source in submission.posing(content) for name in slicing.checked(source))
        return HandedIn(learner, digest, content, frozenset(names))
    except submission.SubmissionError as refused:
        return HandedIn(learner, digest, problem=str(refused))


# --- which exercises


def posed(files: Sequence[HandedIn]) -> tuple[str, ...]:
    """The exercises that at least one notebook poses, in the book's order.

    Raises ValueError where there are none.
    """
    named = {name for file in files for name in file.names}
    if found := tuple(name for name in exercises.ids() if name in named):
        return found
    raise ValueError("No notebook poses an exercise of the book; name those to be marked with --exercises.")


def _known(asked: Sequence[str]) -> tuple[str, ...]:
    """The exercises asked for, in the book's order; ValueError for one that it does not have."""
    known = {one_of("exercise", name, exercises.ids()) for name in asked}
    if not known:
        raise ValueError("--exercises must name at least one exercise.")
    return tuple(name for name in exercises.ids() if name in known)


def _asked(names: Sequence[str] | None, chapters: Sequence[str] | None) -> Sequence[str] | None:
    if chapters is None:
        return names
    return [exercise.id for chapter in chapters for exercise in exercises.of_chapter(exercises.chapter(chapter))]


# --- marking


@dataclass(frozen=True)
class _Job:
    """The content travels with the job: the workers of a cluster may see other disks."""

    content: bytes
    settings: Settings


def _mark_all(
    files: Sequence[HandedIn], settings: Settings, results: Path, where: parallel.Where, *, quiet: bool
) -> dict[str, dict[str, Any]]:
    """What the marker says of each file, by the digest of its content; the same content is marked once."""
    jobs = {file.sha256: _Job(file.content, settings) for file in files if file.problem is None}
    folder = results / MARKS / settings.key
    found = parallel.run_all(_mark, jobs, folder, where, label="Marking", quiet=quiet)
    failures = [_failure_text(key, one) for key, one in found.items() if parallel.FAILURE in one]
    if failures and len(failures) == len(found):
        raise RuntimeError(f"No notebook could be marked. The first: {failures[0]}")
    return found


_warm: dict[Settings, classroom.Marker] = {}  # at most one: making it takes longer than marking with it
_one_at_a_time = threading.Lock()  # a worker of a cluster may have several threads


def _mark(job: _Job) -> dict[str, Any]:
    """Mark one file, in a worker process."""
    with _one_at_a_time, TemporaryDirectory() as folder:
        path = Path(folder, "notebook.ipynb")
        path.write_bytes(job.content)
        marked = _marker(job.settings).mark(path)
    marks = [{**asdict(mark), "text": printable(mark.text)} for mark in marked.marks]
    problem = marked.problem and printable(marked.problem)
    return {"marks": marks, "problem": problem, "sandboxed": marked.sandboxed}


def _marker(settings: Settings) -> classroom.Marker:
    """The marker of this process, warm since its first file."""
    if settings not in _warm:
        _close()
        _warm[settings] = classroom.Marker(settings.exercises, seed=settings.seed, sandbox=settings.sandbox).__enter__()
        Finalize(None, _close, exitpriority=100)  # a worker process does not come past `atexit`
    return _warm[settings]


def _close() -> None:
    while _warm:
        _warm.popitem()[1].__exit__(None, None, None)


def _marked(file: HandedIn, found: Mapping[str, Any] | None, sandbox: bool) -> Marked:
    if file.problem or not found:
        return Marked(file.learner, file.sha256, (), file.problem or "This file was not marked yet.", sandbox)
    if parallel.FAILURE in found:
        problem = f"This file could not be marked; the same command tries again. {_failure_text(file.sha256, found)}"
        return Marked(file.learner, file.sha256, (), problem, sandbox)
    marks = tuple(Result(**mark) for mark in found["marks"])
    return Marked(file.learner, file.sha256, marks, found["problem"], found["sandboxed"])


def _failure_text(key: str, found: Mapping[str, Any]) -> str:
    return printable(found[parallel.FAILURE]).removeprefix(f"{key}: ")


# --- the folder of the results


def _check_results_folder(results: Path) -> None:
    """Raise ValueError where `results` is something else than a new folder, an empty one, or one of this command."""
    if results.exists() and not results.is_dir():
        raise ValueError(f"{results} is a file, but --out needs a folder.")
    if results.is_dir() and not (results / SEED).exists() and any(path.name[0] != "." for path in results.iterdir()):
        raise ValueError(f"{results} holds other things; give --out a new or an empty folder.")


@contextmanager
def _rolled_back_on_error(results: Path) -> Iterator[None]:
    """Take away again what a first run has begun, where it failed without a mark."""
    existed, begun = results.exists(), (results / SEED).exists()
    try:
        yield
    except Exception:
        if not begun and not _holds_marks(results):
            shutil.rmtree(results / MARKS, ignore_errors=True)
            (results / SEED).unlink(missing_ok=True)
            if not existed:
                results.rmdir()
        raise


def _holds_marks(results: Path) -> bool:
    found = map(parallel.read, results.glob(f"{MARKS}/*/[!.]*.json"))
    return any(one is not None and parallel.FAILURE not in one for one in found)


def _kept_seed(results: Path, wanted: int | None) -> int:
    """The seed of these results: the one there, or else the one wanted, or else a fresh one, and it is kept."""
    results.mkdir(parents=True, exist_ok=True)
    file = results / SEED
    create_atomically(file, f"{secrets.randbelow(2**32) if wanted is None else wanted}\n")  # by one of several shards
    kept = int(file.read_text(encoding="ascii"))
    if wanted is not None and wanted != kept:
        raise ValueError(f"{results} was marked with another seed; leave --seed out, or give another --out.")
    return kept


@cache
def _version() -> str:
    """A digest of the package: with another answer key, or another marker, all is marked anew."""
    sources = sorted(Path(gradelib.__file__).parent.rglob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


# --- the last line


def _summary(data: Mapping[str, Any], results: Path) -> str:
    mean = f", mean {data['mean']:.3g} of {data['max_score']:g} points" if data["marked"] else ""
    counts = f"{_count(data['submissions'], 'submission')}: {data['marked']} marked{mean}"
    return f"{counts}, {_count(data['problems'], 'problem')}. Report: {results / 'class.html'}"


def _shard_line(shard: tuple[int, int], files: Sequence[HandedIn], found: Mapping[str, Any]) -> str:
    done = sum(file.problem is not None or file.sha256 in found for file in files)
    return (
        f"Shard {shard[0]} of {shard[1]} is done; {done} of {_count(len(files), 'submission')} are marked so far. "
        "When all shards are done, the same command without --shard writes the reports."
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
