"""Which thought went wrong: a wrong answer's values are compared with those of known mistakes.

An answer is seen here only as its values at the test points, so that a formula and a function are diagnosed alike.
None stands for a point where there is no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradelib.marker.compare import points
from gradelib.marker.domains import Point
from gradelib.marker.exercise import Exercise, Mistake
from gradelib.marker.language import Formula, Misfit, Undefined, parse
from gradelib.marker.mutation import mutants

Values = Sequence[Any]

# With n = d a mistake in the shapes has a value after all.
SQUARE_SIZES = ({"n": 3, "d": 3}, {"n": 4, "d": 4})
_CLOSE = 1e-8


class Diagnosis(NamedTuple):
    """What to tell the learner, and the name of the mistake (None if it is not a known one)."""

    hint: str
    mistake: str | None


HINTS = {
    "sign": "The size is right, but the sign is not. Should this quantity be positive or negative?",
    "mean for sum": "You are off by the number of terms. Does the definition ask for a sum or for a mean?",
    "factor": "You are right up to a constant factor. Follow the halves and twos from the first line on.",
    "transpose": "This is the transpose of what is asked. Which index counts the rows?",
    "inverse": "This is the inverse of what is asked. Which of the two does the question want?",
    "beta inverted": "beta stands on the wrong side of a fraction. What should happen as beta grows?",
    "beta dropped": "beta is missing somewhere. Which term does it price?",
    "sign of a term": "The sign of one term or exponent is wrong. Check each of them in a simple case.",
    "inverse in one place": "In one place something is inverted that should not be, or the other way round.",
    "dropped term": "One term is missing. In which simple case would you notice it?",
    "dropped factor": "One factor or power is missing. Check the units, or the shapes, of each term.",
    "order": "The order of the factors matters for matrices. Check one product by its shapes or by a 2 × 2 example.",
    "n for d": "n and d are confused somewhere. Which of the two counts the pixels, and which the latents?",
    "one factor": "One of your terms is off by a constant factor, such as a half.",
    "exponent": "One exponent is not right. How should the answer scale when that input doubles?",
    "number": "One of the numbers in your answer is not right. Try the simplest case.",
    "function": "One of the functions is not the right one: sum or product, trace or determinant, rows or columns?",
    "function dropped": "A function is missing around one part of your answer.",
}

# What a mutant of the right answer is called, and what to call it to a learner.
_MUTATION = {
    "beta inverted": "beta inverted",
    "sign of a term": "sign of a term",
    "dropped term": "dropped term",
    "beta dropped": "beta dropped",
    "inverse": "inverse in one place",
    "order": "order",
    "transpose": "order",
    "n for d": "n for d",
    "mean for sum": "mean for sum",
    "factor": "one factor",
    "dropped factor": "dropped factor",
    "exponent": "exponent",
    "number": "number",
    "function": "function",
    "function dropped": "function dropped",
}


def trial_points(exercise: Exercise) -> list[Point]:
    """The points at which answers are diagnosed: those of the comparison, and some with n = d."""
    return [*points(exercise.inputs), *points(exercise.inputs, sizes=SQUARE_SIZES)]


def values_of(formula: Formula, at: Sequence[Point]) -> list[Any]:
    """The formula's value at each point, None where it has none."""
    return [_value(formula, point) for point in at]


def _value(formula: Formula, point: Point) -> Any:
    try:
        return formula.evaluate(point.values())
    except (Misfit, Undefined):
        return None


def same(a: Values, b: Values) -> bool:
    """Whether the values agree wherever both exist, at two points at least."""
    both = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    one_sided = sum((x is None) != (y is None) for x, y in zip(a, b, strict=True))
    return len(both) > 1 and not one_sided and all(_close(x, y) for x, y in both)


def _close(x: Any, y: Any) -> bool:
    if np.shape(x) != np.shape(y):
        return False
    return bool(np.max(abs(np.subtract(x, y)), initial=0) <= _CLOSE * max(np.max(np.abs(y), initial=0), 1e-12))


def known_mistake(values: Values, mistakes: Sequence[Mistake], of: Callable[[Mistake], Values]) -> Diagnosis | None:
    """The first of the known mistakes that has these values; `of` gives the values of a mistake."""
    for mistake in mistakes:
        if same(values, of(mistake)):
            return Diagnosis(mistake.hint, str(mistake))
    return None


def diagnose_formula(values: Values, exercise: Exercise) -> Diagnosis | None:
    """The mistake behind wrong values in a formula exercise: a known one, or a general one."""
    at = trial_points(exercise)
    right = values_of(exercise.formula, at)
    known = known_mistake(values, exercise.mistakes, lambda m: values_of(parse(m.answer, exercise.names), at))
    return known or general_mistake(values, right, [point.sizes for point in at]) or _mutation(values, exercise, at)


def general_mistake(values: Values, right: Values, sizes: Sequence[dict[str, int]]) -> Diagnosis | None:
    """A wrong sign, factor, transpose or inverse of the whole answer, or a mean in place of a sum."""
    for name, guess in _guesses(values, right, sizes):
        if same(values, guess):
            return Diagnosis(HINTS[name], name)
    return None


def _guesses(values: Values, right: Values, sizes: Sequence[dict[str, int]]) -> Iterator[tuple[str, Values]]:
    yield "sign", _each(lambda r: -r, right)
    for size in ("n", "d"):
        yield "mean for sum", [None if r is None else r / s.get(size, 1) for r, s in zip(right, sizes, strict=True)]
        yield "mean for sum", [None if r is None else r * s.get(size, 1) for r, s in zip(right, sizes, strict=True)]
    if factor := _factor(values[0], right[0]):
        yield "factor", _each(lambda r: factor * r, right)
    yield "transpose", _each(lambda r: np.swapaxes(r, -1, -2) if np.ndim(r) > 1 else None, right)
    yield "inverse", _each(_inverse, right)


def _each(change: Callable[[Any], Any], right: Values) -> Values:
    with np.errstate(all="ignore"):
        return [None if value is None else change(value) for value in right]


def _factor(value: Any, right: Any) -> float | None:
    if value is None or right is None or np.shape(value) != np.shape(right) or not np.any(right):
        return None
    return float(np.sum(value * right) / np.sum(right * right))


def _inverse(value: Any) -> Any:
    if np.ndim(value) < 2 or value.shape[-1] != value.shape[-2]:
        return 1 / value
    try:
        return np.linalg.inv(value)
    except np.linalg.LinAlgError:
        return None


def _mutation(values: Values, exercise: Exercise, at: Sequence[Point]) -> Diagnosis | None:
    """The mutant of the right answer that has these values; of several, the one that is named first."""
    found = set()
    for name, mutant in mutants(exercise.formula, exercise.inputs):
        if _could_be(values[0], _value(mutant, at[0])) and same(values, values_of(mutant, at)):
            found.add(name)
    name = next((_MUTATION[name] for name in _MUTATION if name in found), None)
    return Diagnosis(HINTS[name], name) if name else None


def _could_be(value: Any, other: Any) -> bool:
    """A cheap screen at one point, before all of them are computed."""
    return other is None if value is None else other is not None and _close(value, other)


def shape_hint(value: Any, right: Any, sizes: dict[str, int]) -> str | None:
    """A sentence on a value of the wrong kind or shape, with the sizes by name; None if the shape is right."""
    if np.shape(value) == np.shape(right):
        return None
    return f"Your answer is {_kind(np.shape(value), sizes)}, but {_kind(np.shape(right), sizes)} is asked for."


def _kind(axes: tuple[int, ...], sizes: dict[str, int]) -> str:
    named = {size: name for name, size in sizes.items()}
    words = [named.get(axis, str(axis)) for axis in axes]
    if len(words) == 2:
        return f"a matrix of size {words[0]} × {words[1]}"
    return f"a vector of length {words[0]}" if words else "a number"


def dependence_hint(formula: Formula, exercise: Exercise) -> str:
    """What can be said of a wrong formula that is like nothing known: which inputs it should or should not have."""
    missing = sorted(exercise.formula.names - formula.names)
    surplus = sorted(formula.names - exercise.formula.names)
    if missing and not surplus:
        return f"This is not the right formula yet. Can it be right without {missing[0]}?"
    if surplus and not missing:
        return f"This is not the right formula yet. Does the answer really depend on {surplus[0]}?"
    return "This is not the right formula yet. Try the simplest case: zeros, ones or identity matrices."
