"""`check(exercise_id, answer)`: the verdict on a learner's answer. It never raises and leaves nothing changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from gradelib._names import nearest
from gradelib.marker import guard
from gradelib.marker.compare import equivalent
from gradelib.marker.diagnosis import (
    dependence_hint,
    diagnose_formula,
    shape_hint,
    trial_points,
    values_of,
)
from gradelib.marker.exercise import Exercise
from gradelib.marker.language import Formula, Misfit, Undefined, Unreadable
from gradelib.marker.reading import is_blank, read
from gradelib.marker.result import Result

__all__ = ["Result", "check", "mark"]


def check(exercise_id: str, answer: Any = None) -> Result:
    """Mark an answer: formula text, a sympy expression, a number, a tensor or a function of tensors.

    Always returns a `Result`; an untouched stub (`...`) is unanswered, and what cannot be understood is unreadable.
    """
    from gradelib import exercises

    if type(exercise_id) is not str or exercise_id not in exercises.ids():
        near = nearest(exercise_id, exercises.ids()) if type(exercise_id) is str else None
        hint = f"Did you mean {near!r}?" if near else "The text of the exercise gives its id."
        return Result("unknown", "unreadable", f"There is no exercise with this id. {hint}")
    return mark(exercises.get(exercise_id), answer)


Run = Callable[[Callable[[], guard.Report], float], guard.Report]


def mark(exercise: Exercise, answer: Any, *, seed: int = 0, run: Run = guard.run) -> Result:
    """Mark an answer to an exercise given as data, at the test points of `seed`; like `check`, it never raises.

    `run` calls the trial of a function and ends it after so many seconds, with the exceptions of `guard.run`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = _report(exercise, answer, seed, run)
    except Unreadable as error:
        report = _unreadable(str(error))
    except guard.TooLong:
        report = _wrong(f"Your function was still running after {guard.SECONDS:g} seconds. Is there an endless loop?")
    except (guard.Crashed, MemoryError):
        report = _wrong(
            "Your function needed too much memory, or ended Python itself. How large is its largest tensor?"
        )
    except Exception:
        report = _unreadable("This answer could not be read. Give a formula as text, a number, a tensor or a function.")
    reached = exercise.points if report["state"] == "correct" else 0
    return Result(exercise.id, report["state"], report["text"], report["mistake"], reached, exercise.points)


def _report(exercise: Exercise, answer: Any, seed: int, run: Run) -> guard.Report:
    if is_blank(answer):
        return _say(
            "unanswered", "Nothing to mark yet: put your answer in the place of the three dots and run the cell again."
        )
    answer = read(answer, exercise.names)
    if isinstance(answer, Formula):
        return _judge_formula(exercise, answer, seed)
    return _judge_function(exercise, answer, seed, run)


def _judge_function(exercise: Exercise, function: Callable, seed: int, run: Run) -> guard.Report:
    try:
        from gradelib.marker.functions import judge
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return _unreadable("Functions are marked with torch, which is not installed here; formulas need none.")
    return run(lambda: judge(function, exercise, seed), guard.SECONDS)


def _judge_formula(exercise: Exercise, formula: Formula, seed: int) -> guard.Report:
    if exercise.answer is None:
        return _unreadable(f"This exercise asks for a function of ({', '.join(exercise.inputs)}), not for a formula.")
    verdict = equivalent(formula, exercise.formula, exercise.inputs, seed=seed, tolerance=exercise.tolerance)
    if verdict:
        return _say("correct", "That is right.")
    at = trial_points(exercise)
    if found := diagnose_formula(values_of(formula, at), exercise):
        return _wrong(found.hint, found.mistake)
    return _unlike_any(exercise, formula, at)


def _unlike_any(exercise: Exercise, formula: Formula, at: list) -> guard.Report:
    """A wrong formula that makes no known mistake: say of its shape, value or inputs what one can."""
    point = at[0]
    try:
        value = formula.evaluate(point.values())
    except Misfit as error:
        sizes = ", ".join(f"{name} = {size}" for name, size in point.sizes.items())
        return _unreadable(f"{error} (Tried with {sizes}.)")
    except Undefined as error:
        return _wrong(f"Your formula has no value at some allowed inputs. {error}")
    right = exercise.formula.evaluate(point.values())
    return _wrong(shape_hint(value, right, point.sizes) or dependence_hint(formula, exercise))


def _say(state: str, text: str, mistake: str | None = None) -> guard.Report:
    return {"state": state, "text": text, "mistake": mistake}


def _wrong(text: str, mistake: str | None = None) -> guard.Report:
    return _say("incorrect", text, mistake)


def _unreadable(text: str) -> guard.Report:
    return _say("unreadable", text)
