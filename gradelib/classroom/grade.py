"""`gradelib grade FOLDER --out RESULTS`: the marks of a class, from the notebooks that it handed in.

What lies in the folder is the work of strangers. It is read as bytes here; what it holds is looked at by the marker, in
another process and, there, in a sandbox. The results hold, besides the reports, what is needed to go on after an end
of any kind: the private seed, and the marks of each file under the digest of its content.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
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
from typing import Any, NamedTuple

import gradelib
from gradelib import classroom, exercises, parallel
from gradelib._files import create_atomically
from gradelib._options import names, whole_number
from gradelib._text import printable
from gradelib.classroom import Marked, learners, reports, scores, submission
from gradelib.exercises.bank import Bank
from gradelib.exercises.command import add_bank
from gradelib.marker.exercise import Exercise
from gradelib.marker.result import Result

SEED = "seed"  # the files and folders of the results that are not for the class
MARKS = "marks"


@dataclass(frozen=True)
class HandedIn:
    """A file that somebody handed in: its content and the exercises that it poses, or why it is no notebook."""

    file: str
    learner: str
    sha256: str = ""
    content: bytes = b""
    posed: frozenset[str] = frozenset()
    problem: str | None = None

    def key(self, settings: Settings) -> str:
        """Under which its marks are kept: the digest of its content, and the learner's where exercises vary."""
        if settings.bank is None or not settings.bank.is_varied:
            return self.sha256
        return f"{self.sha256}-{sha256(self.learner.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Settings:
    """What marks depend on besides the file: the exercises asked for (None: those it poses), the seed, the sandbox."""

    exercises: tuple[str, ...] | None
    seed: int
    sandbox: bool
    bank: Bank | None = None

    @property
    def key(self) -> str:
        """A digest of the settings and of this version of the answer key: marks of other ones are not these."""
        return sha256(json.dumps([asdict(self), _version()]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Scoring:
    """What scores depend on besides the marks."""

    known_mistake: float = scores.KNOWN_MISTAKE
    overrides: Path | None = None


class Graded(NamedTuple):
    """One line that sums up a class, and whether all of it could be marked."""

    line: str
    complete: bool


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `grade` to the commands."""
    parser = commands.add_parser(
        "grade", help="mark a folder of notebooks", description="Mark the notebooks in a folder, and report on them."
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="with the learners' notebooks, subfolders included")
    add("--out", type=Path, required=True, metavar="RESULTS", help="a folder for the reports")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--exercises", type=names, metavar="ID,ID", help="mark these (all that a notebook poses)")
    chosen.add_argument("--chapter", type=names, metavar="N,N", help="mark all exercises of these chapters")
    add_bank(parser)
    add("--learner", metavar="REGEX", help="of file names, the learner's id in brackets; or moodle, canvas, nbgrader")
    add("--known-mistake", default=scores.KNOWN_MISTAKE, metavar="SHARE", help="of its points, 0 to 1 (%(default)s)")
    add("--overrides", type=Path, metavar="FILE", help="a CSV file with student_id, exercise, score and comment")
    add("--seed", metavar="N", help="of the random test points (a fresh one, kept in RESULTS)")
    add("--no-sandbox", action="store_true", help="run the learners' code unprotected")
    parallel.add_arguments(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    graded = grade(
        options.folder,
        options.out,
        asked=_asked(options.exercises, options.chapter),
        bank=options.bank and Bank.read(options.bank),
        learner=options.learner,
        scoring=Scoring(scores.share(options.known_mistake), options.overrides),
        seed=whole_number("--seed", options.seed),
        sandbox=not options.no_sandbox,
        where=parallel.where_from(options),
    )
    print(graded.line)
    return 0 if graded.complete else 1


def grade(
    folder: Path,
    results: Path,
    *,
    asked: Sequence[str] | None = None,
    bank: Bank | None = None,
    learner: str | None = None,
    scoring: Scoring | None = None,
    seed: int | None = None,
    sandbox: bool = True,
    where: parallel.Where | None = None,
    quiet: bool = False,
) -> Graded:
    """Mark the notebooks in `folder`, and write the reports into `results`.

    `asked` are the exercises (by default those that each notebook poses outside its solutions), of the book or of the
    `bank`, whose exercises are marked in the variant of the learner of each file. `learner` is a regular
    expression or a preset that finds the learner's id in the path of a file (by default its path without the ending),
    `seed` that of the test points (by default a fresh one, kept in `results`). What was marked already, and has not
    changed, is not marked again. With a shard in `where` only its part is marked, and no report is written. Raises
    ValueError or OSError, with one sentence and before anything is written, for what cannot be marked, and RuntimeError
    where the sandbox is missing or no file could be marked.
    """
    where, scoring = where or parallel.Where(), scoring or Scoring()
    _check_results_folder(results)
    if bank:
        exercises.use(bank)
    files, left_out = handed_in(folder, learners.pattern(learner), results)
    chosen = None if asked is None else _known(asked)
    if chosen is None and not any(file.posed for file in files):
        raise ValueError("No notebook poses an exercise that is known; name those to be marked with --exercises.")
    overrides = _overrides(scoring, files)
    if reason := classroom.system_problem():
        raise RuntimeError(reason)
    if sandbox and (reason := classroom.sandbox_problem()):
        raise RuntimeError(f"{reason} (--no-sandbox runs the learners' code unprotected.)")
    with _rolled_back_on_error(results):
        settings = Settings(chosen, _kept_seed(results, seed), sandbox, bank)
        found = _mark_all(files, settings, results, where, quiet=quiet)
    if where.shard:
        return Graded(_shard_line(where.shard, {file: file.key(settings) for file in files}, found), True)
    if bank:
        exercises.use(bank)  # marking has left it in the variant of some learner
    rows = _rows(files, found, settings, scoring, overrides)
    columns = _columns(chosen, rows)
    data = reports.write(
        results,
        rows,
        columns,
        posed=chosen is None,
        left_out=left_out,
        questions={name: _questions(bank, name) for name in rows} if bank and bank.is_varied else None,
        folder=printable(folder.resolve().name),
    )
    return Graded(_summary(data, results), not data["problems"])


# --- what was handed in


def handed_in(
    folder: Path, learner: re.Pattern[str] | None = None, results: Path | None = None
) -> tuple[list[HandedIn], list[learners.LeftOut]]:
    """The notebooks in `folder` and below, by learner, and the files left out; hidden ones are passed over.

    Raises ValueError, with one sentence, where there is no such folder or no notebook in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one into which the notebooks were collected.")
    found, left_out = learners.sort(folder, learner, (results or folder / "results").resolve())
    if not found:
        more = f" {left_out[0].file}: {left_out[0].why}" if left_out else ""
        raise ValueError(f"There are no notebooks (*.ipynb) in {folder}.{more}")
    files = [
        _handed_in(path, printable(path.relative_to(folder).as_posix()), name)
        for name in learners.in_order(list(found))
        for path in found[name]
    ]
    return files, left_out


def _handed_in(path: Path, file: str, learner: str) -> HandedIn:
    digest = ""
    try:
        content, digest = submission.fetch(path)
        posed = submission.posed(submission.cells_of(content), exercises.ids())
        return HandedIn(file, learner, digest, content, frozenset(posed))
    except submission.SubmissionError as refused:
        return HandedIn(file, learner, digest, problem=str(refused))


# --- which exercises


def _known(asked: Sequence[str]) -> tuple[str, ...]:
    """The exercises asked for, in the book's order; ValueError for one that it does not have."""
    known = {exercises.get(name).id for name in asked}
    if not known:
        raise ValueError("--exercises must name at least one exercise.")
    return tuple(name for name in exercises.ids() if name in known)


def _columns(chosen: Sequence[str] | None, rows: Mapping[str, scores.Row]) -> list[Exercise]:
    """The exercises of the reports: those asked for, or all that somebody was marked on, in the book's order."""
    wanted = {name for row in rows.values() for name in row.marks} if chosen is None else {*chosen}
    return [exercise for exercise in exercises.every() if exercise.id in wanted]


def _questions(bank: Bank, learner: str) -> dict[str, str]:
    return {exercise.id: exercise.question for exercise in bank.exercises(learner)}


def _overrides(scoring: Scoring, files: Sequence[HandedIn]) -> dict[str, dict[str, scores.Override]]:
    if scoring.overrides is None:
        return {}
    by_id = {exercise.id: exercise for exercise in exercises.every()}
    return scores.read_overrides(scoring.overrides, [*{file.learner: file for file in files}], by_id)


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
    learner: str


def _mark_all(
    files: Sequence[HandedIn], settings: Settings, results: Path, where: parallel.Where, *, quiet: bool
) -> dict[str, dict[str, Any]]:
    """What the marker says of each file, by the digest of its content; the same content is marked once."""
    jobs = {file.key(settings): _Job(file.content, settings, file.learner) for file in files if file.problem is None}
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
        if job.settings.bank:
            exercises.use(job.settings.bank, job.learner)
        marked = _marker(job.settings).mark(path)
    marks = [{**asdict(mark), "text": printable(mark.text)} for mark in marked.marks]
    problem = marked.problem and printable(marked.problem)
    return {"marks": marks, "answers": marked.answers, "problem": problem, "sandboxed": marked.sandboxed}


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


def _rows(
    files: Sequence[HandedIn],
    found: Mapping[str, Any],
    settings: Settings,
    scoring: Scoring,
    overrides: Mapping[str, Mapping[str, scores.Override]],
) -> dict[str, scores.Row]:
    by_learner: dict[str, list[Marked]] = {}
    for file in files:
        by_learner.setdefault(file.learner, []).append(_marked(file, found.get(file.key(settings)), settings.sandbox))
    by_id = {exercise.id: exercise for exercise in exercises.every()}
    return {
        learner: scores.row(learner, marked, scoring.known_mistake, overrides.get(learner), by_id)
        for learner, marked in by_learner.items()
    }


def _marked(file: HandedIn, found: Mapping[str, Any] | None, sandbox: bool) -> Marked:
    if file.problem or not found:
        return Marked(file.file, file.sha256, (), file.problem or "This file was not marked yet.", sandbox)
    if parallel.FAILURE in found:
        problem = f"This file could not be marked; the same command tries again. {_failure_text(file.sha256, found)}"
        return Marked(file.file, file.sha256, (), problem, sandbox)
    marks = tuple(Result(**mark) for mark in found["marks"])
    return Marked(file.file, file.sha256, marks, found["problem"], found["sandboxed"], found["answers"])


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


# Of the package, what marks depend on: the marker, the exercises and the mathematics of their references, and here what
# runs a notebook and judges its answers. A report, a figure or an experiment can change without a mark.
_MARKING = ("marker", "exercises", "likelihoods", "posteriors", "geometry", "objectives", "networks", "classroom")
_REPORTING = ("grade", "learners", "scores", "reports", "assignment", "command", "trial", "banks")


@cache
def _version() -> str:
    """A digest of the code that gives marks, without comments and docstrings: with another one all is marked anew."""
    digest = sha256()
    package = Path(gradelib.__file__).parent
    for path in sorted(path for path in package.rglob("*") if path.suffix in (".py", ".json")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] in _MARKING and not {*parts[1:]}.intersection(_REPORTING):
            content = path.read_text(encoding="utf8")
            digest.update(f"{path.name}\n{_meaning(content) if path.suffix == '.py' else content}\n".encode())
    return digest.hexdigest()


def _meaning(source: str) -> str:
    """The code of a module without its layout, its comments and its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


# --- the last line


def _summary(data: Mapping[str, Any], results: Path) -> str:
    of = "" if data["max_score"] is None else f" of {data['max_score']:g}"
    mean = f", mean {data['mean']:.3g}{of} points" if data["marked"] else ""
    counts = f"{_count(data['submissions'], 'submission')}: {data['marked']} marked{mean}"
    left_out = f", {_count(len(data['left_out']), 'file')} left out" if data["left_out"] else ""
    return f"{counts}, {_count(data['problems'], 'problem')}{left_out}. Report: {results / 'class.html'}"


def _shard_line(shard: tuple[int, int], files: Mapping[HandedIn, str], found: Mapping[str, Any]) -> str:
    done = sum(file.problem is not None or key in found for file, key in files.items())
    return (
        f"Shard {shard[0]} of {shard[1]} is done; {done} of {_count(len(files), 'submission')} are marked so far. "
        "When all shards are done, the same command without --shard writes the reports."
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
