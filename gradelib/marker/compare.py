"""Whether two formulas are the same function of their inputs, decided by numbers.

Both are computed at random points of the declared domain, at several sizes. A relative difference under 1e-9 is
rounding, one over 1e-6 is real; what lies between, or is too near zero to tell, is computed again with 50 digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gradelib.marker.domains import ALWAYS, Point, draw
from gradelib.marker.language import Formula, ShapeError, UndefinedError

SIZES = ({"n": 5, "d": 3}, {"n": 3, "d": 4}, {"n": 7, "d": 4})  # n ≠ d, n above and below d, d ≥ 3
POINTS_PER_SIZE = 2
ACCEPT, REJECT, DIGITS = 1e-9, 1e-6, 50
_SMALL = 1e-6  # a float64 value under this may be what cancellation left of a zero
_EXACT = 1e-30


@dataclass(frozen=True)
class Verdict:
    """Whether two formulas agree; if not, where they differ first and what each of them is there."""

    equal: bool
    point: Mapping[str, Any] | None = None
    left: Any = None
    right: Any = None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.equal


def points(domains: Mapping[str, str], seed: int = 0, sizes: tuple[dict[str, int], ...] = SIZES) -> Iterator[Point]:
    """The random points at which formulas are compared; the same ones for the same seed."""
    key = tuple({**ALWAYS, **domains}.items())
    for case in sizes:
        for repeat in range(POINTS_PER_SIZE):
            yield _point(key, tuple(case.items()), seed, repeat)


@lru_cache(maxsize=4096)
def _point(domains: tuple[tuple[str, str], ...], sizes: tuple[tuple[str, int], ...], seed: int, repeat: int) -> Point:
    spec = [seed, repeat, *(size for _, size in sizes)]
    return draw(dict(domains), dict(sizes), np.random.default_rng(spec))


def equivalent(
    a: Formula, b: Formula, domains: Mapping[str, str], *, seed: int = 0, tolerance: float = ACCEPT
) -> Verdict:
    """Whether `a` and `b` have the same value everywhere in `domains`.

    A formula that has no value at a point, or shapes that do not fit, equals nothing; `reason` then says why.
    `tolerance` is for answers that are rounded numbers. Raises `UnreadableError` for a name that has no domain.
    """
    for point in points(domains, seed):
        try:
            verdict = _compare_at(point, a, b, tolerance)
        except (ShapeError, UndefinedError) as error:
            return Verdict(False, point.values(), reason=str(error))
        if not verdict:
            return verdict
    return Verdict(True)


def _compare_at(point: Point, a: Formula, b: Formula, tolerance: float) -> Verdict:
    values = point.values()
    left, right = a.evaluate(values), b.evaluate(values)
    if np.shape(left) != np.shape(right):
        return Verdict(False, values, left, right, "shape")
    gap, scale = np.max(abs(left - right)), max(np.max(abs(left)), np.max(abs(right)))
    if gap <= tolerance * scale and scale > _SMALL:
        return Verdict(True)
    if gap > REJECT * scale and scale > _SMALL:
        return Verdict(False, values, left, right, "value")
    return Verdict(True) if _equal_in_digits(point, a, b, tolerance) else Verdict(False, values, left, right, "value")


def _equal_in_digits(point: Point, a: Formula, b: Formula, tolerance: float) -> bool:
    values = point.values(DIGITS)
    left, right = a.evaluate(values, DIGITS), b.evaluate(values, DIGITS)
    gap, scale = np.max(abs(left - right)), max(np.max(abs(left)), np.max(abs(right)))
    exact = _EXACT if tolerance == ACCEPT else tolerance
    return bool(gap <= exact * max(scale, _SMALL))
