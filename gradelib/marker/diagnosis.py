"""The verdict on a formula, and which thought went wrong in a wrong answer.

To the diagnosis an answer is only its values at the test points, so that a formula and a function are diagnosed alike.
None stands for a point where there is no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gradelib.marker.compare import equivalent, points
from gradelib.marker.domains import Point
from gradelib.marker.exercise import Exercise, Mistake
from gradelib.marker.language import Formula, Node, Op, ShapeError, UndefinedError, walk
from gradelib.marker.mutation import mutants
from gradelib.marker.result import Outcome
from gradelib.marker.vocabulary import LANGUAGE, phrase, sentence

Values = Sequence[Any]

# With n = d a mistake in the shapes has a value after all.
SQUARE_SIZES = ({"n": 3, "d": 3}, {"n": 4, "d": 4})
_CLOSE = 1e-8


class Diagnosis(NamedTuple):
    """What to tell the learner, and the name of the mistake (None if it is not a known one)."""

    hint: str
    mistake: str | None


HINTS: dict[str, str] = LANGUAGE["hints"]

# What a mutant of the right answer is called, and what to call it to a learner; of several, the first.
_MUTATION: dict[str, str] = LANGUAGE["mutations"]


def formula_outcome(exercise: Exercise, formula: Formula, seed: int = 0) -> Outcome:
    """The verdict on a formula at the test points of `seed`; of a wrong one, what can be said of it."""
    read_as = formula.explicit
    if equivalent(formula, exercise.formula, exercise.inputs, seed=seed, tolerance=exercise.tolerance):
        return Outcome("correct", sentence("correct"), read_as=read_as)
    at = trial_points(exercise)
    if found := diagnose_formula(ValuesAt(formula, at), exercise):
        outcome = Outcome("incorrect", found.hint, found.mistake)
    else:
        outcome = _unlike_any(exercise, formula, at)
    if outcome.mistake is None and (surprise := _surprise(formula, at[0])):
        outcome = outcome._replace(text=f"{outcome.text} {surprise}")
    return outcome._replace(read_as=read_as)


def _unlike_any(exercise: Exercise, formula: Formula, at: Sequence[Point]) -> Outcome:
    """A wrong formula that makes no known mistake: say of its shape, value or inputs what one can."""
    point = at[0]
    try:
        value = formula.evaluate(point.values())
    except ShapeError as error:
        sizes = ", ".join(phrase("size", name=name, size=size) for name, size in point.sizes.items())
        return Outcome("unreadable", sentence("tried_with", text=error, sizes=sizes))
    except UndefinedError as error:
        return Outcome("incorrect", sentence("no_value", text=error))
    right = exercise.formula.evaluate(point.values())
    if entrywise := _entrywise_outcome(formula, exercise, point):
        return entrywise
    return Outcome("incorrect", shape_hint(value, right, point.sizes) or dependence_hint(formula, exercise))


# Products that work entry by entry


def _entrywise_outcome(formula: Formula, exercise: Exercise, point: Point) -> Outcome | None:
    """A slip of the pen: the answer is right once * between vectors and matrices is read as @; or a known mistake."""
    entrywise = _entrywise(formula, point)
    if not entrywise:
        return None
    meant = Formula(_with_matrix_products(formula.root, entrywise))
    if equivalent(meant, exercise.formula, exercise.inputs):
        return Outcome("unreadable", sentence("entrywise"))
    mistaken = any(equivalent(meant, wrong, exercise.inputs) for _, wrong in exercise.mistaken_formulas)
    return Outcome("incorrect", sentence("entrywise")) if mistaken else None


def _entrywise(formula: Formula, point: Point) -> set[Op]:
    """The products of two vectors or matrices, which * takes entry by entry."""
    values = point.values()
    found = [node for node in walk(formula.root) if isinstance(node, Op) and node.op == "*"]
    return {node for node in found if all(np.ndim(Formula(part).evaluate(values)) for part in node.args)}


def _with_matrix_products(node: Node, entrywise: set[Op]) -> Node:
    if not isinstance(node, Op):
        return node
    return Op(
        "@" if node in entrywise else node.op, tuple(_with_matrix_products(child, entrywise) for child in node.args)
    )


def _surprise(formula: Formula, point: Point) -> str | None:
    """How the formula was read, where that can surprise: by the order of operations, or entry by entry."""
    try:
        entrywise = _entrywise(formula, point)
    except (ShapeError, UndefinedError):
        entrywise = set()
    if entrywise:
        return sentence("read_as_entrywise", text=formula.explicit)
    return sentence("read_as", text=formula.explicit) if formula.explicit != formula.text else None


# Known and general mistakes


def trial_points(exercise: Exercise) -> list[Point]:
    """The points at which answers are diagnosed: those of the comparison, and some with n = d."""
    return _trial_points(exercise.inputs)


def _trial_points(inputs: Mapping[str, str]) -> list[Point]:
    return [*points(inputs), *points(inputs, sizes=SQUARE_SIZES)]


class ValuesAt(Sequence[Any]):
    """The formula's value at each point, None where it has none. A value is computed when it is asked for.

    Of a wrong answer the first value mostly tells that it is none of the known ones; the others are then never needed.
    """

    def __init__(self, formula: Formula, at: Sequence[Point]) -> None:
        self._formula, self._at = formula, at
        self._found: list[Any] = []

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, place: Any) -> Any:
        while len(self._found) <= place < len(self._at):
            self._found.append(_value(self._formula, self._at[len(self._found)]))
        return self._found[place]


def _value(formula: Formula, point: Point) -> Any:
    try:
        return formula.evaluate(point.values())
    except (ShapeError, UndefinedError):
        return None


def same(a: Values, b: Values) -> bool:
    """Whether the values agree wherever both exist, at two points at least."""
    both = 0
    for x, y in zip(a, b, strict=True):
        if not _could_be(x, y):
            return False
        both += x is not None
    return both > 1


def _could_be(x: Any, y: Any) -> bool:
    """Whether two values at one point agree, or neither is there."""
    return y is None if x is None else y is not None and _close(x, y)


def _close(x: Any, y: Any) -> bool:
    if isinstance(x, float) and isinstance(y, float):  # much faster than numpy
        return abs(float(x) - float(y)) <= _CLOSE * max(abs(float(y)), 1e-12)
    if np.shape(x) != np.shape(y):
        return False
    return bool(np.max(abs(np.subtract(x, y)), initial=0) <= _CLOSE * max(np.max(np.abs(y), initial=0), 1e-12))


def diagnose_formula(values: Values, exercise: Exercise) -> Diagnosis | None:
    """The mistake behind wrong values in a formula exercise: a known one, or a general one."""
    known = _known_values(exercise.formula, tuple(exercise.inputs.items()), exercise.mistaken_formulas)
    for found, wrong in known.mistakes:
        if same(values, wrong):
            return found
    sizes = [point.sizes for point in known.points]
    return general_mistake(values, known.right, sizes) or _mutation(values, known)


@dataclass(frozen=True)
class _KnownValues:
    """The values of the right answer and of the known mistakes at the trial points, and those of the mutants at one."""

    points: Sequence[Point]
    right: Values
    mistakes: Sequence[tuple[Diagnosis, Values]]
    mutants: Sequence[tuple[str, Formula, Any]]


@lru_cache(maxsize=512)
def _known_values(
    right: Formula, inputs: tuple[tuple[str, str], ...], mistaken: tuple[tuple[Mistake, Formula], ...]
) -> _KnownValues:
    """What an exercise's wrong answers are compared with; it stays as long as the exercise is being tried."""
    at = _trial_points(dict(inputs))
    mistakes = [(Diagnosis(mistake.hint, str(mistake)), ValuesAt(wrong, at)) for mistake, wrong in mistaken]
    # A wrong number is nearly always some mutant of the right one, so of a number without names there are none.
    varied = mutants(right, dict(inputs)) if right.names else []
    first = [(name, mutant, _value(mutant, at[0])) for name, mutant in varied]
    return _KnownValues(at, ValuesAt(right, at), mistakes, first)


def general_mistake(values: Values, right: Values, sizes: Sequence[Mapping[str, int]]) -> Diagnosis | None:
    """A wrong sign, factor, transpose or inverse of the whole answer, or a mean in place of a sum."""
    for name, guess in _guesses(values, right, sizes):
        if same(values, guess):
            return Diagnosis(HINTS[name], name)
    return None


def _guesses(values: Values, right: Values, sizes: Sequence[Mapping[str, int]]) -> Iterator[tuple[str, Values]]:
    yield "sign", _each(lambda r: -r, right)
    for size in ("n", "d"):
        yield "mean for sum", [None if r is None else r / s.get(size, 1) for r, s in zip(right, sizes, strict=True)]
        yield "mean for sum", [None if r is None else r * s.get(size, 1) for r, s in zip(right, sizes, strict=True)]
    if not _is_constant(right) and (factor := _factor(values[0], right[0])):
        yield "factor", _each(lambda r: factor * r, right)
    yield "transpose", _each(lambda r: np.swapaxes(r, -1, -2) if np.ndim(r) > 1 else None, right)
    yield "inverse", _each(_inverse, right)


def _is_constant(right: Values) -> bool:
    """Whether the right answer is one number everywhere: any other number is then some factor of it."""
    return all(np.ndim(value) == 0 and value == right[0] for value in right)


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


def _mutation(values: Values, known: _KnownValues) -> Diagnosis | None:
    """The mutant of the right answer that has these values; of several, the one that is named first."""
    found = {
        name
        for name, mutant, value in known.mutants
        if _could_be(values[0], value) and same(values, ValuesAt(mutant, known.points))
    }
    name = next((_MUTATION[name] for name in _MUTATION if name in found), None)
    return Diagnosis(HINTS[name], name) if name else None


def shape_hint(value: Any, right: Any, sizes: Mapping[str, int]) -> str | None:
    """A sentence on a value of the wrong kind or shape, with the sizes by name; None if the shape is right."""
    if np.shape(value) == np.shape(right):
        return None
    return sentence("wrong_shape", value=_kind(np.shape(value), sizes), right=_kind(np.shape(right), sizes))


def _kind(axes: tuple[int, ...], sizes: Mapping[str, int]) -> str:
    named = {size: name for name, size in sizes.items()}
    words = [named.get(axis, str(axis)) for axis in axes]
    if len(words) == 2:
        return phrase("matrix_of", rows=words[0], columns=words[1])
    return phrase("vector", length=words[0]) if words else phrase("number")


def dependence_hint(formula: Formula, exercise: Exercise) -> str:
    """What can be said of a wrong formula that is like nothing known: which inputs it should or should not have."""
    in_every, in_some = exercise.right_names
    missing = sorted(in_every - formula.names)
    surplus = sorted(formula.names - in_some)
    if missing and not surplus:
        return sentence("without", name=missing[0])
    if surplus and not missing:
        return sentence("depends", name=surplus[0])
    return sentence("wrong")
