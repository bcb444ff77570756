"""What `gradelib bank test` tries: that exercises mark as their author means, and what they still lack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradelib.exercises.handout import solution
from gradelib.marker.check import mark
from gradelib.marker.exercise import Exercise, Mistake
from gradelib.marker.parser import parse

SEEDS = range(10)
RIGHT_FORMS, MISTAKES = 4, 5  # that the exercises of the book have at least
_MOST_LETTERS = 200


@dataclass
class Trial:
    """What was found out about one exercise: what is wrong with it, and what it lacks."""

    exercise: Exercise
    faults: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


def tried(exercise: Exercise) -> Trial:
    """Mark the right forms and the known mistakes of an exercise; nothing is raised."""
    found = Trial(exercise)
    try:
        found.faults += _faults(exercise)
        found.gaps += _gaps(exercise)
    except Exception as error:  # whatever is wrong with a teacher's data
        if not found.faults:
            found.faults.append(f"It cannot be marked: {' '.join(str(error).split())}")
    return found


def _faults(exercise: Exercise) -> Iterator[str]:
    if exercise.function is not None:
        _call_reference(exercise)
    for form in _right_forms(exercise):
        if wrong := _not_right(exercise, form):
            yield f"The right form {_name(form)} is marked: {wrong}"
            if form is _right_forms(exercise)[0]:
                return  # with a broken answer all others are wrong
    for mistake in exercise.mistakes:
        yield from _faults_of(mistake, exercise)


def _call_reference(exercise: Exercise) -> None:
    """Raise ValueError where the right function itself fails, or gives no tensor."""
    from gradelib.marker.functions import function_cases

    try:
        function_cases(exercise)
    except Exception as error:
        raise ValueError(
            f"its function must return a tensor at all inputs ({type(error).__name__}: {error})."
        ) from None


def _not_right(exercise: Exercise, form: Any) -> str | None:
    """The verdict at the first seed at which a right form is not right; functions are tried at three."""
    seeds = SEEDS if isinstance(form, str) else SEEDS[:3]
    results = (mark(exercise, form, seed=seed) for seed in seeds)
    return next((result.text for result in results if not result), None)


def _faults_of(mistake: Mistake, exercise: Exercise) -> Iterator[str]:
    result = mark(exercise, mistake.answer)
    if result:
        yield f"The mistake {_name(mistake.answer)} equals the answer."
    elif result.mistake != str(mistake):
        same = next((other for other in exercise.mistakes if str(other) == result.mistake), None)
        if same is not None:
            yield f"The mistake {_name(mistake.answer)} equals the mistake {_name(same.answer)}, whose hint it gets."
        else:
            yield f"The mistake {_name(mistake.answer)} does not get its hint, but: {result.text}"
    for form in _right_forms(exercise):
        if isinstance(form, str) and len(form) > 2 and _plain(form) in _plain(mistake.hint):
            yield f"The hint on {_name(mistake.answer)} says the answer."


def _gaps(exercise: Exercise) -> Iterator[str]:
    if not exercise.prompt.strip():
        yield "It has no prompt."
    if exercise.choice is not None:
        return
    forms = _right_forms(exercise)
    if (lacking := RIGHT_FORMS - len(_different(forms, exercise))) > 0:
        yield f"{counted(lacking, 'more right form')} would try the marker (also_right)."
    if (lacking := MISTAKES - len(exercise.mistakes)) > 0:
        yield f"{counted(lacking, 'more known mistake')} would give more learners a hint (mistakes)."
    for name in exercise.inputs:
        if exercise.answer is not None and name not in exercise.formula.names:
            yield f"The answer does not depend on {name}."
    for mistake in exercise.mistakes:
        if not (0 < len(mistake.hint) < _MOST_LETTERS and mistake.hint.rstrip().endswith((".", "?", "!"))):
            yield f"The hint on {_name(mistake.answer)} is no sentence of less than {_MOST_LETTERS} letters."


def _right_forms(exercise: Exercise) -> Sequence[Any]:
    if exercise.choice is not None:
        return [solution(exercise)]
    return [exercise.answer if exercise.answer is not None else exercise.reference, *exercise.also_right]


def _different(forms: Sequence[Any], exercise: Exercise) -> list[Any]:
    """The forms that are not the same tree."""
    seen: list[Any] = []
    for form in forms:
        try:
            tree = parse(form, exercise.names).root if isinstance(form, str) else form
        except ValueError:
            tree = form
        if tree not in seen:
            seen.append(tree)
    return seen


def _name(form: Any) -> str:
    return form if isinstance(form, str) else getattr(form, "__name__", "of a function")


def _plain(text: str) -> str:
    return re.sub(r"\s", "", text)


def counted(number: int, thing: str) -> str:
    """The number and the thing, in the plural where it is not one."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
