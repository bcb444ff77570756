"""The typed inputs of an exercise, and random points in them.

A domain is a word such as `pos`, `vector:n`, `spd:d` or `sqrt:S`. A point is drawn as raw numbers that float64 holds
exactly; what follows from them (a product, an inverse, an orthogonal matrix, a square root) is computed by the same
arithmetic as the formulas. So any point can be taken again with 50 digits, and means the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator

from gradelib._names import one_of
from gradelib.marker.arithmetic import Arithmetic, Digits, Float64

# The book's standing symbols: what they are wherever nothing else is said.
NOTATION: dict[str, str] = {
    "J": "matrix:n,d",
    "H": "negdiag:n",
    "S": "spd:d",
    "R": "orth:d",
    "x": "vector:n",
    "g": "vector:n",
    "h": "vector:d",
    "z": "vector:d",
    "beta": "pos",
    "I_d": "eye:d",
    "I_n": "eye:n",
    "d": "dim:d",
    "n": "dim:n",
}

# Every formula may use these, whether its exercise lists them or not.
ALWAYS = {name: NOTATION[name] for name in ("I_d", "I_n", "d", "n")}


@dataclass(frozen=True)
class Kind:
    """A kind of input: how its raw numbers are drawn, what its value is, and the value's square root if it has one."""

    draw: Callable[..., Any]  # (rng, *sizes) -> an array of float64, exact in binary
    make: Callable[[Arithmetic, Any], Any]
    root: Callable[[Arithmetic, Any], Any] | None = None


@dataclass(frozen=True)
class Point:
    """A random point: raw numbers, from which the values follow in float64 or with many digits."""

    domains: Mapping[str, str]
    sizes: Mapping[str, int]
    raw: Mapping[str, Any]

    def values(self, digits: int | None = None) -> dict[str, Any]:
        """The value of each input: a number, a vector (k,) or a matrix (k, l)."""
        return dict(self._float64) if digits is None else self._with(Digits(digits))

    @cached_property
    def _float64(self) -> dict[str, Any]:
        return self._with(Float64())

    def _with(self, kit: Arithmetic) -> dict[str, Any]:
        return {name: self._value(name, kit) for name in self.domains}

    def _value(self, name: str, kit: Arithmetic) -> Any:
        kind, argument = split(self.domains[name])
        if kind in ("sqrt", "sqrtneg"):  # the input was made from its root
            root = KINDS[split(self.domains[argument])[0]].root
            assert root is not None  # an exercise asks for roots of what has one
            return root(kit, kit.lift(self.raw[argument]))
        return KINDS[kind].make(kit, kit.lift(self.raw[name]))


def split(domain: str) -> tuple[str, str]:
    """`"matrix:n,d"` as `("matrix", "n,d")`."""
    kind, _, argument = domain.partition(":")
    return kind, argument


def shape(domain: str, domains: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the sizes of each axis: () for a number, ("n", "d") for a matrix J."""
    kind, argument = split(domain)
    if kind in ("sqrt", "sqrtneg"):
        return shape(domains[argument], domains)
    if kind in ("real", "pos", "unit", "dim"):
        return ()
    return (
        tuple(argument.split(",")) if kind in ("matrix", "vector", "posvector", "negvector") else (argument, argument)
    )


def draw(domains: Mapping[str, str], sizes: Mapping[str, int], rng: Generator) -> Point:
    """A random point of the domains, with for example `sizes={"n": 5, "d": 3}`; ValueError for an unknown domain."""
    raw = {}
    for name, domain in domains.items():
        kind, argument = split(domain)
        if kind in ("sqrt", "sqrtneg"):
            one_of("input", argument, domains)
        else:
            one_of("domain", kind, KINDS)
            raw[name] = KINDS[kind].draw(rng, *(sizes[size] for size in argument.split(",") if size))
    return Point(dict(domains), dict(sizes), raw)


def sample(domains: Mapping[str, str], sizes: Mapping[str, int], rng: Generator) -> dict[str, Any]:
    """The values of `draw` in float64: numbers, vectors (k,) and matrices (k, l) by name."""
    return draw(domains, sizes, rng).values()


def _coarse(x: Any) -> Any:
    """Rounded to 1/256, so that products of two or three of them are exact in float64."""
    return np.round(np.asarray(x) * 256) / 256


def _normal(rng: Generator, *sizes: int) -> Any:
    return _coarse(rng.normal(size=sizes))


def _positive(rng: Generator, *sizes: int) -> Any:
    return _coarse(2.0 ** rng.uniform(-2, 2, sizes))


def _square(rng: Generator, size: int) -> Any:
    return _normal(rng, size, size)


def _eye(kit: Arithmetic, size: int) -> Any:
    return kit.diag(kit.lift(np.ones(size)))


def _spd_root(kit: Arithmetic, raw: Any) -> Any:
    return raw @ raw.T / 4 + _eye(kit, len(raw)) / 2


def _contraction_root(kit: Arithmetic, raw: Any) -> Any:
    return kit.inv(_eye(kit, len(raw)) + raw @ raw.T / 4)


def _orthogonal(kit: Arithmetic, raw: Any) -> Any:
    """Cayley's map of a skew matrix, with some rows flipped so that reflections occur too."""
    skew = raw - raw.T
    eye = _eye(kit, len(raw))
    flips = kit.lift(np.where(np.arange(len(raw)) < (raw[0, 0] > 0), -1.0, 1.0))
    return kit.diag(flips) @ (eye - skew) @ kit.inv(eye + skew)


def _as_drawn(kit: Arithmetic, raw: Any) -> Any:
    return raw


KINDS: dict[str, Kind] = {
    "real": Kind(_normal, _as_drawn),
    "pos": Kind(_positive, _as_drawn),
    "unit": Kind(lambda rng: _coarse(rng.uniform(0.1, 0.9)), _as_drawn),
    "dim": Kind(lambda rng, size: np.float64(size), _as_drawn),
    "vector": Kind(_normal, _as_drawn),
    "posvector": Kind(_positive, _as_drawn),
    "negvector": Kind(_positive, lambda kit, raw: -raw * raw),
    "matrix": Kind(_normal, _as_drawn),
    "sym": Kind(_square, lambda kit, raw: raw + raw.T),
    "spd": Kind(_square, lambda kit, raw: _spd_root(kit, raw) @ _spd_root(kit, raw), _spd_root),
    "contraction": Kind(
        _square, lambda kit, raw: _contraction_root(kit, raw) @ _contraction_root(kit, raw), _contraction_root
    ),
    "negdiag": Kind(_positive, lambda kit, raw: -kit.diag(raw * raw), lambda kit, raw: kit.diag(raw)),
    "orth": Kind(_square, _orthogonal),
    "eye": Kind(lambda rng, size: np.ones(size), lambda kit, raw: kit.diag(raw)),
}
