"""`check(exercise_id, answer)`: the verdict on a learner's answer. It never raises and leaves nothing changed."""

from __future__ import annotations

import contextlib
import inspect
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gradelib._names import nearest
from gradelib.marker import guard
from gradelib.marker.diagnosis import formula_outcome
from gradelib.marker.exercise import Exercise
from gradelib.marker.language import Formula, UnreadableError
from gradelib.marker.parser import ascii_text
from gradelib.marker.reading import choice_text, is_blank, is_of_gradelib, read
from gradelib.marker.result import Outcome, Result, handed_in
from gradelib.marker.vocabulary import sentence

__all__ = ["Result", "check", "mark"]

# The last answer to each exercise that `check` was given here, stubs aside; nbgrader's cells mark what was told.
handed_over: dict[str, Any] = {}
OF_GRADELIB = "This is a function of gradelib itself; write one of your own."

# Calls the trial of a function and ends it after so many seconds, with the exceptions of `guard.run`.
Run = Callable[[Callable[[], Any], float], Any]


def check(*arguments: Any, **named: Any) -> Result:
    """Mark an answer: formula text, a sympy expression, a number, a tensor, a function of tensors, or a choice.

    Always returns a `Result`, however it is called; an untouched stub (`...`) is unanswered, and what cannot be
    understood is unreadable.
    """
    from gradelib import exercises

    try:
        bound = _SIGNATURE.bind(*arguments, **named)
    except TypeError:
        return _unknown('Call it with the exercise\'s id and one answer: check("id", answer).')
    exercise_id, answer = (bound.arguments.get(name) for name in ("exercise_id", "answer"))
    if type(exercise_id) is str and exercises.is_handed_in(exercise_id):
        noted = _note(exercise_id, answer)
        return handed_in(exercise_id) if noted else Result(exercise_id, "unanswered", sentence("blank"))
    if type(exercise_id) is not str or exercise_id not in exercises.ids():
        near = nearest(exercise_id, exercises.ids()) if type(exercise_id) is str else None
        return _unknown(
            f"There is no exercise with this id. Did you mean {near!r}?"
            if near
            else "There is no exercise with this id. The text of the exercise gives its id."
        )
    exercise = exercises.get(exercise_id)
    _note(exercise_id, answer)
    if is_of_gradelib(answer):
        return Result(exercise_id, "incorrect", OF_GRADELIB, None, 0, exercise.max_score)
    return mark(exercise, answer)


def _note(exercise_id: str, answer: Any) -> bool:
    """Keep what was handed over, unless it is a stub; whether it was kept."""
    with contextlib.suppress(Exception):  # what an object of the learner's own may raise
        if not is_blank(answer):
            handed_over[exercise_id] = answer
            return True
    return False


_SIGNATURE = inspect.Signature([
    inspect.Parameter("exercise_id", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="str"),
    inspect.Parameter("answer", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation="Any"),
])  # fmt: skip
check.__signature__ = _SIGNATURE  # type: ignore[attr-defined]  # what help and the editor show


def mark(exercise: Exercise, answer: Any, *, seed: int = 0, run: Run = guard.run) -> Result:
    """Mark an answer to an exercise given as data, at the test points of `seed`; like `check`, it never raises."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            outcome = _outcome(exercise, answer, seed, run)
    except UnreadableError as error:
        outcome = Outcome("unreadable", str(error))
    except guard.TimeLimitError as error:
        outcome = Outcome("incorrect", str(error))
    except (guard.CrashError, MemoryError):
        outcome = Outcome(
            "incorrect",
            "Your function needed too much memory, or ended Python itself. How large is its largest tensor?",
        )
    except Exception:
        outcome = Outcome("unreadable", sentence("apology"))
    reached = exercise.max_score if outcome.state == "correct" else 0
    return Result(
        exercise.id, outcome.state, outcome.text, outcome.mistake, reached, exercise.max_score, outcome.read_as
    )


def _outcome(exercise: Exercise, answer: Any, seed: int, run: Run) -> Outcome:
    if is_blank(answer):
        return Outcome("unanswered", sentence("blank"))
    if exercise.choice is not None:
        return _choice_outcome(exercise, answer)
    answer = read(answer, exercise.names)
    if not isinstance(answer, Formula):
        try:
            from gradelib.marker.functions import function_outcome
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise UnreadableError("no_torch") from None
        return Outcome(*run(partial(function_outcome, answer, exercise, seed), guard.SECONDS))
    if exercise.answer is None:
        raise UnreadableError("wants_function", names=", ".join(exercise.inputs))
    return formula_outcome(exercise, answer, seed)


def _choice_outcome(exercise: Exercise, answer: Any) -> Outcome:
    assert exercise.choice is not None
    options, reasons = exercise.choice.labels(exercise.id)
    text = ascii_text(choice_text(answer) or "").upper()
    example = f"{next(iter(options))}{next(iter(reasons))}"
    letters = [word for word in re.findall(r"(?<![A-Z])[A-Z](?![A-Z])", text) if word in options]
    numbers = [word for word in re.findall(r"[0-9]+", text) if word in reasons]
    if len(letters) == len(numbers) == 1:
        pair = options[letters[0]], reasons[numbers[0]]
        if pair == exercise.choice.right:
            return Outcome("correct", sentence("correct"))
        return Outcome("incorrect", exercise.choice.hints[pair], " because ".join(pair))
    raise UnreadableError("wants_choice", example=example, options=", ".join(options), reasons=", ".join(reasons))


def _unknown(text: str) -> Result:
    return Result("unknown", "unreadable", text)
