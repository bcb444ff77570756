"""A teacher's own exercises: a Python file with a list `EXERCISES`.

    from gradelib.marker.exercise import Exercise, Mistake

    EXERCISES = [Exercise(id="slope", prompt="…", inputs={"x": "vector:n", "y": "vector:n"}, answer="…", mistakes=(…))]

An entry may also be a function of a `random.Random` that returns an `Exercise`: its numbers then differ from learner to
learner, and are the same each time for one learner. `gradelib bank test FILE.py` says what is wrong or missing.
"""

from __future__ import annotations

import random
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradelib.marker.exercise import Exercise

Variant = Callable[[random.Random], Exercise]

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Bank:
    """The file's name and its text, which may travel to another process."""

    name: str
    source: str

    @classmethod
    def read(cls, path: str | Path) -> Bank:
        """The bank in a file; raises OSError where there is none, and ValueError where it is no text."""
        try:
            return cls(Path(path).name, Path(path).read_text(encoding="utf8"))
        except UnicodeDecodeError:
            raise ValueError(f"{path} is no Python file.") from None

    def exercises(self, learner: str = "") -> list[Exercise]:
        """The exercises, in the variant of this learner: the same one however the name is capitalised.

        Runs the file. Raises ValueError, with one sentence, where it does not run or is no bank.
        """
        made = [self._exercise(entry, learner.strip().casefold()) for entry in self._entries()]
        for exercise in made:
            if not _ID.fullmatch(exercise.id):
                raise ValueError(
                    f"{self.name}: an id is made of small letters, digits and dashes, such as mean-of-ten, but not "
                    f"{exercise.id!r}."
                )
        if twice := [one.id for place, one in enumerate(made) if one.id in {other.id for other in made[:place]}]:
            raise ValueError(f"{self.name} has two exercises with the id {twice[0]!r}.")
        return made

    @property
    def is_varied(self) -> bool:
        """Whether learners get exercises that differ."""
        return any(not isinstance(entry, Exercise) for entry in self._entries())

    def _entries(self) -> list[Exercise | Variant]:
        scope: dict[str, Any] = {"__name__": "bank", "__file__": self.name}
        try:
            exec(compile(self.source, self.name, "exec"), scope)
        except Exception as error:
            raise ValueError(f"{self.name} stops {_where(error, self.name)}: {error}.") from None
        entries = scope.get("EXERCISES")
        if not isinstance(entries, list | tuple) or not entries:
            raise ValueError(f"{self.name} is no bank: it needs a list EXERCISES with at least one exercise.")
        for entry in entries:
            if not (isinstance(entry, Exercise) or callable(entry)):
                raise ValueError(
                    f"{self.name}: an entry of EXERCISES is an Exercise, or a function that makes one, but one is a "
                    f"{type(entry).__name__}."
                )
        return list(entries)

    def _exercise(self, entry: Exercise | Variant, learner: str) -> Exercise:
        if isinstance(entry, Exercise):
            return entry
        name = getattr(entry, "__name__", "")
        try:
            made = entry(random.Random(f"{learner}\n{name}"))
        except Exception as error:
            raise ValueError(f"{self.name} stops {_where(error, self.name)}: {error}.") from None
        if not isinstance(made, Exercise):
            raise ValueError(f"{self.name}: the function {name} must return an Exercise.")
        return made


def _where(error: Exception, name: str) -> str:
    """The kind of error and the last line of the file that it came through."""
    if isinstance(error, SyntaxError):
        return f"in line {error.lineno} with a {type(error).__name__}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return f"in line {lines[-1]} with a {type(error).__name__}" if lines else f"with a {type(error).__name__}"
