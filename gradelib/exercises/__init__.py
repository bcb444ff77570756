"""The exercises: `get(id)`, `every()` and `ids()`. Those of the book, one file per chapter, and those of `use`d banks.

To add one to the book, write an `Exercise(...)` into the list of its chapter's file and run
`pytest tests/marker/test_exercises.py`. To keep some of your own, write a bank: see `gradelib.exercises.bank`.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path

from gradelib._names import one_of
from gradelib.exercises.bank import Bank
from gradelib.marker.exercise import Exercise

CHAPTERS = range(1, 13)

_of_banks: dict[str, dict[str, Exercise]] = {}  # by the name of the bank
_handed_in: set[str] = set()


@lru_cache(maxsize=1)
def _of_the_book() -> dict[str, Exercise]:
    return {exercise.id: exercise for chapter in CHAPTERS for exercise in of_chapter(chapter)}


def _table() -> dict[str, Exercise]:
    every = dict(_of_the_book())
    for bank in _of_banks.values():
        every |= bank
    return every


def of_chapter(chapter: int) -> list[Exercise]:
    """The exercises of one chapter, in the order in which it poses them."""
    return importlib.import_module(f"gradelib.exercises.chapter{chapter:02d}").EXERCISES


def chapter(text: str) -> int:
    """The number of a chapter that is named in words, as on a command line; ValueError if the book has none of it."""
    if text not in map(str, CHAPTERS):
        raise ValueError(f"There is no chapter {text!r}; the book has chapters {CHAPTERS[0]} to {CHAPTERS[-1]}.")
    return int(text)


def every() -> list[Exercise]:
    """Every exercise of the book, chapter by chapter, and then those of banks."""
    return list(_table().values())


def ids() -> tuple[str, ...]:
    """The id of every exercise."""
    return tuple(_table())


def get(exercise_id: str) -> Exercise:
    """The exercise with this id; ValueError with the nearest id if there is none."""
    return _table()[one_of("exercise", exercise_id, _table())]


def use(bank: Bank | str | Path, learner: str = "") -> tuple[str, ...]:
    """Let `check`, `get` and `ids` know the exercises of a bank, in the variant of this learner; their ids.

    Used again, a bank takes the place of what it was before. Raises OSError for a file that is not there, and
    ValueError, with one sentence, for a file that is no bank or has an id that is taken.
    """
    bank = bank if isinstance(bank, Bank) else Bank.read(bank)
    made = {exercise.id: exercise for exercise in bank.exercises(learner)}
    refuse_taken(bank, *(name for name in _of_banks if name != bank.name))
    _of_banks[bank.name] = made
    return tuple(made)


def refuse_taken(bank: Bank, *others: str) -> None:
    """Raise ValueError where an id of the bank is one of the book's, or of these other banks in use."""
    ids = {exercise.id for exercise in bank.exercises()}
    if taken := sorted(ids & {*_of_the_book()}.union(*(_of_banks[name] for name in others))):
        raise ValueError(f"{bank.name}: another exercise has the id {taken[0]!r} already; choose another one.")


def hand_in(*exercise_ids: str) -> None:
    """Let `check` take answers to these exercises, whose answer key is with the teacher, and say *handed in*."""
    _handed_in.update(exercise_ids)


def is_handed_in(exercise_id: str) -> bool:
    """Whether answers to this exercise are marked elsewhere."""
    return exercise_id in _handed_in and exercise_id not in _table()
