"""Notebooks with the exercises of a bank, to be filled in by learners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gradelib._files import write_atomically
from gradelib.exercises.bank import Bank
from gradelib.marker.exercise import Exercise


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

    cells = [new_code_cell(imports(asked), id="imports")]
    for exercise in asked:
        cells.append(new_markdown_cell(question(exercise), id=f"{exercise.id}-question"))
        cells.append(new_code_cell(stub(exercise), id=exercise.id, metadata={"tags": ["exercise"]}))
    return new_notebook(cells=cells)


def imports(asked: Sequence[Exercise]) -> str:
    """The first cell of a notebook: with torch where a function is asked for, and with the ids of what is handed in."""
    torch = "import torch\n\n" if any(exercise.function for exercise in asked) else ""
    ids = ", ".join(f'"{exercise.id}"' for exercise in asked)
    return f"{torch}from gradelib import check, exercises\n\nexercises.hand_in({ids})"


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


def solution(exercise: Exercise) -> str | None:
    """A right answer as text; None for a function, whose source is not known."""
    if exercise.choice is None:
        return exercise.answer
    options, reasons = exercise.choice.labels(exercise.id)
    option, reason = exercise.choice.right
    letter = next(label for label, key in options.items() if key == option)
    return letter + next(label for label, key in reasons.items() if key == reason)
