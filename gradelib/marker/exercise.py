"""What an exercise is: data. The files in `gradelib/exercises/` hold nothing else."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gradelib.marker.domains import ALWAYS
from gradelib.marker.language import Formula, parse


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that learners give, and one sentence that leads away from it without giving the right one.

    `answer` is formula text or, in a function exercise, a function of the same arguments as the reference. `name` is
    what reports call the mistake; by default its formula, or the function's name.
    """

    answer: str | Callable
    hint: str
    name: str = ""

    def __str__(self) -> str:
        return self.name or (self.answer if isinstance(self.answer, str) else self.answer.__name__)


@dataclass(frozen=True)
class Exercise:
    """One exercise: a formula to find (`answer`) or a function to write (`function`), exactly one of the two.

    `inputs` maps each name to its domain, for example `{"J": "matrix:n,d", "beta": "pos"}`; `gradelib.marker.domains`
    lists them. The identities I_d, I_n and the sizes d, n may always be used.

    In a function exercise, `function` is the reference: a function of torch tensors, or its place as text
    (`"gradelib.posteriors:optimal_covariance"`). It is called with the inputs by position, in their order: `pos` and
    `unit` are floats, `dim` whole numbers, all others float64 tensors with one of the leading shapes in `batches`.
    """

    id: str
    prompt: str
    inputs: Mapping[str, str]
    answer: str | None = None
    function: Callable | str | None = None
    also_right: tuple[str | Callable, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    points: float = 1
    batches: tuple[tuple[int, ...], ...] = ((), (4,), (2, 3))
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        if (self.answer is None) == (self.function is None):
            raise ValueError(f"Exercise {self.id} needs either an answer or a function.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a formula may use: the inputs, the identities and the sizes."""
        return tuple({**self.inputs, **ALWAYS})

    @cached_property
    def formula(self) -> Formula:
        """The right answer of a formula exercise."""
        return parse(self.answer, self.names)

    @cached_property
    def reference(self) -> Callable[..., Any]:
        """The right function of a function exercise."""
        if not isinstance(self.function, str):
            return self.function
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)
