"""The exercises of the book, one file per chapter: `get(id)`, `every()` and `ids()`.

To add one, write an `Exercise(...)` into the list of its chapter's file and run
`pytest tests/marker/test_exercises.py`.
"""

from __future__ import annotations

import importlib
from functools import lru_cache

from gradelib._names import one_of
from gradelib.marker.exercise import Exercise

CHAPTERS = range(1, 13)


@lru_cache(maxsize=1)
def _table() -> dict[str, Exercise]:
    return {exercise.id: exercise for chapter in CHAPTERS for exercise in of_chapter(chapter)}


def of_chapter(chapter: int) -> list[Exercise]:
    """The exercises of one chapter, in the order in which it poses them."""
    return importlib.import_module(f"gradelib.exercises.chapter{chapter:02d}").EXERCISES


def chapter(text: str) -> int:
    """The number of a chapter that is named in words, as on a command line; ValueError if the book has none of it."""
    if text not in map(str, CHAPTERS):
        raise ValueError(f"There is no chapter {text!r}; the book has chapters {CHAPTERS[0]} to {CHAPTERS[-1]}.")
    return int(text)


def every() -> list[Exercise]:
    """Every exercise of the book, chapter by chapter."""
    return list(_table().values())


def ids() -> tuple[str, ...]:
    """The id of every exercise."""
    return tuple(_table())


def get(exercise_id: str) -> Exercise:
    """The exercise with this id; ValueError with the nearest id if there is none."""
    return _table()[one_of("exercise", exercise_id, _table())]
