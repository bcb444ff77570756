"""From the marks of files to the scores of learners: several files in one row, partial credit, and overrides.

Nothing here is marked: with another share for known mistakes, or other overrides, all marks stay as they are.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gradelib._names import one_of
from gradelib.classroom import Marked
from gradelib.marker.exercise import Exercise
from gradelib.marker.result import Result

KNOWN_MISTAKE = 0.5  # of its points, for an answer that makes a known mistake
_COLUMNS = ("student_id", "exercise", "score", "comment")


@dataclass(frozen=True)
class Override:
    """A score that the teacher has set, and why."""

    score: float
    comment: str = ""


@dataclass(frozen=True)
class Row:
    """One learner: the files, and for each exercise the mark, the answer as it was given, and an override."""

    learner: str
    files: tuple[Marked, ...]
    marks: Mapping[str, Result] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """The sum of the scores; None where nothing was marked."""
        return sum(mark.score for mark in self.marks.values()) if self.marks else None

    @property
    def sandboxed(self) -> bool:
        """Whether all files ran in the sandbox."""
        return all(file.sandboxed for file in self.files)

    @property
    def problem(self) -> str | None:
        """What was wrong with the files, each named where there are several."""
        problems = [(file.learner, file.problem) for file in self.files if file.problem]
        if len(self.files) == 1:
            return problems[0][1] if problems else None
        return " ".join(f"{name}: {problem}" for name, problem in problems) or None


def row(
    learner: str,
    files: Sequence[Marked],
    known_mistake: float = KNOWN_MISTAKE,
    overrides: Mapping[str, Override] | None = None,
    of: Mapping[str, Exercise] | None = None,
) -> Row:
    """The row of one learner. Of several marks for one exercise the best counts, and of equal ones the last.

    An override needs its exercise in `of`, since there may be no mark for it.
    """
    marks: dict[str, Result] = {}
    answers: dict[str, str] = {}
    for file in files:
        for mark in file.marks:
            scored = credited(mark, known_mistake)
            if (old := marks.get(mark.exercise)) is None or _rank(scored) >= _rank(old):
                marks[mark.exercise] = scored
                answers[mark.exercise] = file.answers.get(mark.exercise, "")
    for name, override in (overrides or {}).items():
        worth = (of or {})[name].max_score
        old = marks.get(name, Result(name, "unanswered", "Nothing was handed in.", None, 0, worth))
        marks[name] = replace(old, score=override.score)
    return Row(learner, tuple(files), marks, {k: text for k, text in answers.items() if text}, overrides or {})


def credited(mark: Result, known_mistake: float) -> Result:
    """The mark with this share (0 to 1) of the exercise's points for a known mistake."""
    if mark.state == "incorrect" and mark.mistake is not None:
        return replace(mark, score=known_mistake * mark.max_score)
    return mark


def _rank(mark: Result) -> tuple[float, bool]:
    return mark.score, mark.state != "unanswered"


def share(text: str | float) -> float:
    """The value of `--known-mistake`; raises ValueError for what is no share."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"--known-mistake must be a number between 0 and 1, but it is {text!r}.") from None
    if not 0 <= number <= 1:
        raise ValueError(f"The share for a known mistake lies between 0 and 1, but it is {number:g}.")
    return number


# --- the file of overrides


def read_overrides(
    path: Path, learners: Sequence[str], exercises: Mapping[str, Exercise]
) -> dict[str, dict[str, Override]]:
    """The overrides in a CSV file, by learner and exercise.

    Its columns are student_id, exercise, score and, if there is something to say, comment. Raises ValueError, with the
    line, for a column that is missing, a learner or an exercise that is not there, and a score that cannot be; OSError
    where there is no such file.
    """
    found: dict[str, dict[str, Override]] = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if lost := [name for name in _COLUMNS[:3] if name not in (reader.fieldnames or ())]:
            raise ValueError(f"{path} needs the columns {', '.join(_COLUMNS[:3])}, but it has no {lost[0]}.")
        for values in reader:
            try:
                learner, name, override = _override(values, learners, exercises)
                if name in found.setdefault(learner, {}):
                    raise ValueError(f"The score of {learner} in {name} is set for the second time.")
            except ValueError as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
            found[learner][name] = override
    return found


def _override(
    values: Mapping[str, str | None], learners: Sequence[str], exercises: Mapping[str, Exercise]
) -> tuple[str, str, Override]:
    learner = one_of("learner", _value(values, "student_id"), learners)
    exercise = exercises[one_of("exercise", _value(values, "exercise"), list(exercises))]
    text = _value(values, "score")
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= exercise.max_score:
        raise ValueError(f"A score in {exercise.id} lies between 0 and {exercise.max_score:g}, but it is {text!r}.")
    return learner, exercise.id, Override(score, _value(values, "comment"))


def _value(values: Mapping[str, str | None], column: str) -> str:
    """What stands in a column, without the apostrophe that the marks have in front of what looks like a formula."""
    text = (values.get(column) or "").strip()
    return text[1:] if column == "student_id" and text.startswith("'") else text
