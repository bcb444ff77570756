"""Mutants of a program: the program with one thought left out, for sides of a check that are no formula.

Each changes the inputs before the program gets them. A program that had forgotten an input, or that looked at one
example only where it should average, would do the same as one of these.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from gradelib.marker.domains import split

Values = dict[str, Any]

_FREE = ("real", "pos", "unit", "vector", "posvector", "negvector", "matrix", "sym", "spd")
_STACKED = ("vector", "posvector", "negvector", "matrix")


def _unchanged(values: Values, other: Values) -> Values:
    return values


@dataclass(frozen=True)
class Program:
    """A function of named inputs, and what is done to their values before it is called."""

    function: Callable[..., Any]
    name: str = ""  # of the mutant
    change: Callable[[Values, Values], Values] = _unchanged  # the second are the same inputs, drawn once more

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)


def program_mutants(function: Callable[..., Any], domains: Mapping[str, str]) -> list[Program]:
    """All mutants: an input frozen, a batch reduced to one of its entries, an input in the place of its like.

    A frozen input keeps, at each pair of sizes, one value. Where the function does not depend on an input, the mutant
    is the function itself: compare before you count it.
    """
    names = [name for name in inspect.signature(function).parameters if name in domains]
    kinds = {name: split(domains[name])[0] for name in names}
    found = [Program(function, f"{name} frozen", partial(_frozen, name)) for name in names]
    for name in names:
        if kinds[name] in _STACKED:
            first = "row" if kinds[name] == "matrix" else "entry"
            found.append(Program(function, f"{name} reduced to its first {first}", partial(_reduced, name)))
    for one, other in combinations(names, 2):
        if domains[one] == domains[other] and kinds[one] in _FREE:
            found.append(Program(function, f"{one} for {other}", partial(_in_place_of, one, other)))
    return found


def _frozen(name: str, values: Values, other: Values) -> Values:
    return {**values, name: other[name]}


def _reduced(name: str, values: Values, other: Values) -> Values:
    return {**values, name: first_for_all(values[name])}


def _in_place_of(one: str, place: str, values: Values, other: Values) -> Values:
    return {**values, place: values[one]}


def first_for_all(value: Any) -> Any:
    """A vector or matrix with its first entry or row in the place of all."""
    return np.broadcast_to(value[:1], np.shape(value)).copy()
