"""The register of checked equations: a labelled equation stands in the book only with a check that could have failed.

A chapter checks an equation in the cell below it, in one or two lines:

    identity("eq-optimal-covariance", "inv(I_d - T(J)@H@J/beta)", best_covariance)

A side is a formula in the language of the exercises, a sympy object, or a function of named torch tensors. Both sides
are computed at random points, at several sizes with n ≠ d. The book's own symbols (`marker.domains.NOTATION`) need no
declaration. Then each formula is mutated (a sign, a factor 2, β ↔ 1/β, a transpose, a dropped term, …): a mutant that
passes the same check, and is not the same function, means that the check proves too little, and raises too.

A mutant that no check of this kind could refuse is excused in writing, where every reader sees it:

    inequality("eq-kl", "0", "tr(S) - d - logdet(S)", equal_at={"S": "I_d"},
               excuse={"2*(tr(S) - d - logdet(S))": "a positive factor does not change where it is zero"})
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from gradelib import records
from gradelib._names import one_of
from gradelib.marker.compare import ACCEPT, DIGITS, POINTS_PER_SIZE, SIZES, equivalent, points
from gradelib.marker.domains import ALWAYS, NOTATION, Point
from gradelib.marker.language import Formula, ShapeError, UndefinedError
from gradelib.marker.mutation import mutants
from gradelib.marker.reading import read

Side = Formula | Callable[..., Any]
Test = Callable[[Side, Side], "str | None"]  # says where the claim fails, or None where it holds

NO_FORMULA = "no formula"  # the key that excuses a check of two programs: there is nothing to spoil

_NEAR_EQUALITY = (0.9, 1.1)
_NEAR_LIMIT = 1e15  # with 50 digits, an error of the order of its inverse is left


class EquationError(AssertionError):
    """An equation that does not hold, or whose check lets a wrong one pass."""


@dataclass(frozen=True)
class Excused:
    """A mutant that passes the check too, and why it may; `change` is what was done to the formula."""

    mutant: str
    change: str
    reason: str


@dataclass(frozen=True)
class Check:
    """A passed check of the equation `label`.

    `tried` counts the mutants that the same check refused, `same` those that only write the same function differently,
    and `excused` names those that pass it too, with reasons. `evidence` says whether both sides were computed at points
    ("numeric") or proved equal as expressions ("exact"; `sizes` are then the pairs of n and d, and the points are those
    at which the mutants were refused).
    """

    label: str
    kind: str
    points: int
    tried: int
    same: int
    excused: tuple[Excused, ...] = ()
    evidence: Literal["numeric", "exact"] = "numeric"
    sizes: tuple[tuple[int, int], ...] = ()
    seconds: float = 0.0  # of the processor

    def __str__(self) -> str:
        wrong = f"{self.tried} wrong variants refused" if self.tried else "no formula to vary"
        if survivors := [one.mutant for one in self.excused if one.mutant != NO_FORMULA]:
            wrong += f", {len(survivors)} excused: " + ", ".join(survivors)
        return f"✓ {self.label} · {self._how} · {wrong}"

    @property
    def _how(self) -> str:
        if self.evidence == "numeric":
            return f"{self.kind} at {self.points} points"
        return f"exact {self.kind}" + (
            " for n×d = " + ", ".join(f"{n}×{d}" for n, d in self.sizes) if self.sizes else ""
        )

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return records.mimebundle("check", self.label, str(self), asdict(self))


def identity(
    label: str,
    left: Any,
    right: Any,
    *,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `left` equals `right` at random points of their domains, to 1e-9 of their size.

    `domains` declares names that are not the book's own, for example `w="real"`, and `sizes` the pairs of n and d that
    are tried. `excuse` maps the text of a surviving mutant to the reason why it may survive. Raises EquationError with
    the point and both sides where they differ, with the mutant that survives, or with an excuse that excuses nothing.
    """
    spec = domains_of((left, right), domains)
    return _run(label, "identity", (left, right), spec, _agreement(spec, sizes), sizes, excuse)


def inequality(
    label: str,
    smaller: Any,
    larger: Any,
    *,
    equal_at: Mapping[str, str],
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `smaller` < `larger` at random points, and that they are equal once `equal_at` is put in.

    `equal_at` maps names to formulas, for example `{"S": "inv(I_d - T(J)@H@J/beta)"}`. Raises as `identity` does.
    """
    spec = domains_of((smaller, larger), domains)
    special = {name: _formula(formula, spec) for name, formula in equal_at.items()}

    def test(a: Side, b: Side) -> str | None:
        for point in points(spec, sizes=tuple(map(dict, sizes))):
            low, high = _at(a, point), _at(b, point)
            if not np.all(low < high):
                return _report(point, smaller=low, larger=high)
            scale = np.max(high - low)
            touching = {name: formula.evaluate(point.values()) for name, formula in special.items()}
            for share in _NEAR_EQUALITY:  # wrong inequalities are often right far from equality, and fail beside it
                beside = {name: share * value for name, value in touching.items()}
                low, high = _at(a, point, beside), _at(b, point, beside)
                if not np.all(low <= high + ACCEPT * scale):
                    return _report(point, smaller_beside_equality=low, larger_beside_equality=high)
            low, high = _at(a, point, touching), _at(b, point, touching)
            if not _close(low, high, scale):
                return _report(point, smaller_at_equality=low, larger_at_equality=high)
        return None

    return _run(label, "inequality", (smaller, larger), spec, test, sizes, excuse)


def limit(
    label: str,
    expression: Any,
    value: Any,
    *,
    name: str = "beta",
    to: str,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `expression` tends to `value` as `name` goes to "0" or to "infinity", in arithmetic with 50 digits.

    Both sides are formulas or sympy objects. Raises as `identity` does.
    """
    spec = domains_of((expression, value), {name: "pos", **domains})
    ends = {"0": 1 / _NEAR_LIMIT, "infinity": _NEAR_LIMIT}
    extreme = ends[one_of("limit", to, ends)]
    for side in (expression, value):
        _formula(side, spec)

    def test(a: Side, b: Side) -> str | None:
        for point in points(spec, sizes=tuple(map(dict, sizes))):
            place = {**point.values(DIGITS), name: extreme}
            values = [side.evaluate(place, DIGITS) for side in (a, b) if isinstance(side, Formula)]
            left, right = (np.array(value, dtype=float) for value in values)
            if not _close(left, right, scale=1):
                return _report(point, near_the_limit=left, limit=right)
        return None

    # Many things share a limit, so only the limit itself is spoilt.
    return _run(label, "limit", (expression, value), spec, test, sizes, excuse, mutated=(1,))


def definition(
    label: str,
    formula: str,
    code: Callable[..., Any],
    *,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `code`, called with torch tensors by name, computes `formula`. Raises as `identity` does."""
    spec = domains_of((formula, code), domains)
    return _run(label, "definition", (formula, code), spec, _agreement(spec, sizes), sizes, excuse)


def _agreement(spec: Mapping[str, str], sizes: Sequence[Mapping[str, int]]) -> Test:
    """The test that two sides have the same value and shape at every point."""

    def test(a: Side, b: Side) -> str | None:
        for point in points(spec, sizes=tuple(map(dict, sizes))):
            left, right = _at(a, point), _at(b, point)
            if not _close(left, right):
                return _report(point, left=left, right=right)
        return None

    return test


def _run(
    label: str,
    kind: str,
    sides: tuple[Any, Any],
    spec: Mapping[str, str],
    test: Test,
    sizes: Sequence[Mapping[str, int]],
    excuse: Mapping[str, str] | None,
    mutated: Sequence[int] = (0, 1),
) -> Check:
    """Try the claim, then every mutant of the `mutated` sides that are formulas; register the check."""
    started = time.process_time()
    read_sides = [read(side, spec) for side in sides]
    if failure := _refusal(test, *read_sides):
        raise EquationError(f"{label} does not hold: {failure}")
    tried = same = 0
    survivors: list[tuple[str, str]] = []
    for place in mutated:
        side = read_sides[place]
        for change, mutant in mutants(side, spec) if isinstance(side, Formula) else ():
            changed = [*read_sides[:place], mutant, *read_sides[place + 1 :]]
            if _refusal(test, *changed):
                tried += 1
            elif isinstance(side, Formula) and _same_function(side, mutant, spec):
                same += 1
            else:
                survivors.append((mutant.text, change))
    if not tried and not same and not survivors and NO_FORMULA in (excuse or ()):
        survivors.append((NO_FORMULA, "none"))
    return Check(
        label,
        kind,
        POINTS_PER_SIZE * len(sizes),
        tried,
        same,
        excused(label, survivors, excuse or {}),
        seconds=round(time.process_time() - started, 2),
    )


def _formula(given: Any, spec: Mapping[str, str]) -> Formula:
    """What was given, as a formula; raises ValueError for a function, which no 50 digits can be put into."""
    side = read(given, spec)
    if not isinstance(side, Formula):
        raise ValueError("A limit and a case of equality are formulas or sympy objects, but this is a function.")
    return side


def excused(label: str, survivors: Sequence[tuple[str, str]], excuse: Mapping[str, str]) -> tuple[Excused, ...]:
    """The survivors with their excuses; raises where one has none, and where an excuse is empty or has no survivor."""
    for mutant, change in survivors:
        if mutant not in excuse:
            raise EquationError(f"The check of {label} also passes for {mutant} ({change}): it proves too little.")
    alive = {mutant for mutant, _ in survivors}
    for mutant, reason in excuse.items():
        if mutant not in alive:
            raise EquationError(f"The check of {label} excuses {mutant}, which does not survive it.")
        if not reason.strip():
            raise EquationError(f"The check of {label} excuses {mutant} without a reason.")
    return tuple(Excused(mutant, change, " ".join(excuse[mutant].split())) for mutant, change in survivors)


def _name(side: Side) -> str:
    return side.text if isinstance(side, Formula) else side.__name__


def _refusal(test: Test, a: Side, b: Side) -> str | None:
    """Why the claim fails; a side that has no value, or a shape that does not fit, is a failure too."""
    try:
        return test(a, b)
    except (ShapeError, UndefinedError) as error:
        return str(error)


def _same_function(side: Formula, mutant: Formula, spec: Mapping[str, str]) -> bool:
    return bool(equivalent(side, mutant, spec, seed=1))


def domains_of(sides: Iterable[Any], declared: Mapping[str, str]) -> dict[str, str]:
    """The domains of all names in the sides: as declared, else the book's own, else what sympy assumes of a symbol."""
    names: dict[str, str] = {}
    for side in sides:
        if isinstance(side, str):
            continue
        if hasattr(side, "free_symbols"):
            names |= {symbol.name: "pos" if symbol.is_positive else "real" for symbol in side.free_symbols}
    return {**NOTATION, **names, **declared, **ALWAYS}


def _at(side: Side, point: Point, changed: Mapping[str, Any] | None = None) -> np.ndarray:
    values = {**point.values(), **(changed or {})}
    if isinstance(side, Formula):
        return np.asarray(side.evaluate(values), dtype=float)
    import torch

    tensors = {name: torch.as_tensor(values[name]) for name in inspect.signature(side).parameters}
    return np.asarray(side(**tensors), dtype=float)


def _close(left: np.ndarray, right: np.ndarray, scale: Any = 0) -> bool:
    if left.shape != right.shape:
        return False
    size = max(np.max(np.abs(left)), np.max(np.abs(right)), np.max(scale))
    return bool(np.max(np.abs(left - right)) <= ACCEPT * size)


def _report(point: Point, **sides: np.ndarray) -> str:
    where = ", ".join(f"{name} = {size}" for name, size in point.sizes.items())
    what = "; ".join(f"{name.replace('_', ' ')} = {np.round(side, 6).tolist()}" for name, side in sides.items())
    return f"at a random point with {where}: {what}."
