"""`gradelib bank test FILE.py`, `gradelib bank write FILE.py --out FOLDER`, and `gradelib check ID ANSWER`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradelib import exercises
from gradelib._names import one_of
from gradelib._options import names
from gradelib.exercises.bank import Bank
from gradelib.exercises.handout import write
from gradelib.exercises.trial import Trial, counted, tried

ACTIONS = ("test", "write")
_DESCRIPTION = (
    "test marks the right forms and the known mistakes of your own exercises, and says what is wrong with them or "
    "missing. write makes a notebook for each learner, with the exercises in that learner's variant."
)
_LEARNERS = ("ada", "bob", "eve", "zoe")  # learners for whom exercises that vary are tried


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bank` and `check` to the commands."""
    parser = commands.add_parser("bank", help="test exercises of your own, or hand them out", description=_DESCRIPTION)
    parser.add_argument("action", metavar="ACTION", help="test or write")
    parser.add_argument("file", type=Path, metavar="FILE.py", help="with a list EXERCISES")
    parser.add_argument("--learner", type=names, default=(), metavar="ID,ID", help="write notebooks for these")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the notebooks")
    parser.set_defaults(run=_run_bank)
    parser = commands.add_parser("check", help="mark one answer", description="Mark one answer, and print the verdict.")
    parser.add_argument("exercise", metavar="ID", help="of the exercise")
    parser.add_argument("answer", metavar="ANSWER", help="a formula, a number or a choice")
    add_bank(parser)
    parser.add_argument("--learner", default="", metavar="ID", help="in whose variant")
    parser.set_defaults(run=_run_check)


def add_bank(parser: argparse.ArgumentParser) -> None:
    """Add the option `--bank`, which several commands have."""
    parser.add_argument("--bank", type=Path, metavar="FILE.py", help="with exercises of your own")


def _run_check(options: argparse.Namespace) -> int:
    from gradelib.marker.check import mark

    if options.bank:
        exercises.use(options.bank, options.learner)
    result = mark(exercises.get(options.exercise), options.answer)
    print(result)
    return 0 if result else 1


def _run_bank(options: argparse.Namespace) -> int:
    bank = Bank.read(options.file)
    exercises.refuse_taken(bank)
    if one_of("action", options.action, ACTIONS) == "write":
        for path in write(bank, options.out, options.learner):
            print(path)
        return 0
    trials = [tried(exercise) for exercise in bank.exercises()]
    if bank.is_varied:
        _add_faults_of_variants(trials, bank)
    print("\n".join(_report(trials)))
    return 1 if any(trial.faults for trial in trials) else 0


def _add_faults_of_variants(trials: Sequence[Trial], bank: Bank) -> None:
    for learner in _LEARNERS:
        for trial, exercise in zip(trials, bank.exercises(learner), strict=True):
            if exercise != trial.exercise and not trial.faults:
                trial.faults += [f"{fault} (In the variant of {learner}.)" for fault in tried(exercise).faults]


def _report(trials: Sequence[Trial]) -> Iterator[str]:
    for trial in trials:
        exercise, broken = trial.exercise, bool(trial.faults)
        forms, mistakes = counted(1 + len(exercise.also_right), "right form"), len(exercise.mistakes)
        about = "a choice" if exercise.choice else f"{forms}, {counted(mistakes, 'mistake')}"
        yield f"{'✗' if broken else '✓'} {exercise.id}: {about}"
        yield from (f"    ✗ {fault}" for fault in trial.faults)
        yield from (f"    ○ {gap}" for gap in trial.gaps)
    count = sum(bool(trial.faults) for trial in trials)
    yield f"{counted(len(trials), 'exercise')}, {count or 'none'} with faults."
