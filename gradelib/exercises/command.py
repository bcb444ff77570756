"""`gradelib bank test FILE.py`, `gradelib bank write FILE.py --out FOLDER`, and `gradelib check ID ANSWER`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradelib import exercises
from gradelib._files import write_atomically
from gradelib._names import one_of
from gradelib._options import names
from gradelib.exercises.bank import Bank
from gradelib.exercises.trial import Trial, tried
from gradelib.marker.exercise import Exercise

ACTIONS = ("test", "write")
_DESCRIPTION = (
    "test marks the right forms and the known mistakes of your own exercises, and says what is wrong with them or "
    "missing. write makes a notebook for each learner, with the exercises in that learner's variant."
)
_VARIANTS = ("", "ada", "bob", "eve", "zoe")  # learners for whom exercises that vary are tried


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
    exercises.use(bank)
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
    for learner in _VARIANTS[1:]:
        for trial, exercise in zip(trials, bank.exercises(learner), strict=True):
            if exercise != trial.exercise and not trial.faults:
                trial.faults += [f"{fault} (In the variant of {learner}.)" for fault in tried(exercise).faults]


def _report(trials: Sequence[Trial]) -> Iterator[str]:
    for trial in trials:
        exercise, broken = trial.exercise, bool(trial.faults)
        about = (
            "" if exercise.choice else f" {1 + len(exercise.also_right)} right forms, {len(exercise.mistakes)} mistakes"
        )
        yield f"{'✗' if broken else '✓'} {exercise.id}:{about or ' a choice'}"
        yield from (f"    ✗ {fault}" for fault in trial.faults)
        yield from (f"    ○ {gap}" for gap in trial.gaps)
    count = sum(bool(trial.faults) for trial in trials)
    yield f"{len(trials)} exercises, {count or 'none'} with faults."


# --- notebooks for learners


def write(bank: Bank, folder: Path | None, learners: Sequence[str]) -> list[Path]:
    """Write a notebook for each learner into the folder, under the learner's name; their paths.

    They hold the questions in the learner's variant and stubs, but neither answers nor hints. Raises ValueError, with
    one sentence, where learners or a folder are missing, or a notebook is there already.
    """
    import nbformat

    if folder is None or not learners:
        raise ValueError("Name a folder for the notebooks by --out, and the learners by --learner.")
    texts = {}
    for learner in learners:
        path = folder / f"{learner}.ipynb"
        if path.name != f"{learner}.ipynb" or path.exists():
            raise ValueError(f"{path} is there already, or is no file name; nothing was written.")
        texts[path] = nbformat.writes(_notebook(bank.exercises(learner))) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)


def _notebook(asked: Sequence[Exercise]) -> object:
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    ids = ", ".join(f'"{exercise.id}"' for exercise in asked)
    cells = [new_code_cell(f"from gradelib import check, exercises\n\nexercises.hand_in({ids})", id="imports")]
    for exercise in asked:
        cells.append(new_markdown_cell(question(exercise), id=f"{exercise.id}-question"))
        cells.append(new_code_cell(stub(exercise), id=exercise.id, metadata={"tags": ["exercise"]}))
    return new_notebook(cells=cells)


def question(exercise: Exercise) -> str:
    """An exercise as Markdown: its id, its points, what it asks, and the inputs that an answer may use."""
    points = f"{exercise.max_score:g} point{'' if exercise.max_score == 1 else 's'}"
    parts = [f"### {exercise.id} ({points})", *exercise.question.split("\n")]
    if exercise.inputs:
        parts.append(f"The answer may use: {', '.join(f'`{name}`' for name in exercise.inputs)}.")
    return "\n\n".join(parts)


def stub(exercise: Exercise) -> str:
    """The cell in which the answer is to be written."""
    name = exercise.id.replace("-", "_")
    if exercise.function is None:
        return f'{name} = ...\ncheck("{exercise.id}", {name})'
    return f'def {name}({", ".join(exercise.inputs)}):\n    return ...\n\n\ncheck("{exercise.id}", {name})'
