"""What an exercise is: data. The files in `gradelib/exercises/` hold nothing else."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase
from typing import Any

from gradelib.marker.domains import ALWAYS
from gradelib.marker.language import Formula
from gradelib.marker.parser import parse

Pair = tuple[str, str]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that learners give, and one sentence that leads away from it without giving the right one.

    `answer` is formula text or, in a function exercise, a function of the same arguments as the reference. `name` is
    what reports call the mistake; by default its formula, or the function's name.
    """

    answer: str | Callable[..., Any]
    hint: str
    name: str = ""

    def __str__(self) -> str:
        return self.name or (self.answer if isinstance(self.answer, str) else self.answer.__name__)


@dataclass(frozen=True)
class Choice:
    """A choice and the reason for it, in a question of judgement.

    `options` and `reasons` map short keys of the author's own to what learners read, `right` is the pair of keys that
    is right, and `hints` has one sentence for each wrong pair. Learners see options as A, B, … and reasons as 1, 2, …,
    in an order that follows from the exercise's id alone, and answer with both, as in "B2".
    """

    options: Mapping[str, str]
    reasons: Mapping[str, str]
    right: Pair
    hints: Mapping[Pair, str]

    def __post_init__(self) -> None:
        wrong = {(option, reason) for option in self.options for reason in self.reasons} - {self.right}
        if len(wrong) != len(self.options) * len(self.reasons) - 1:
            raise ValueError(f"The right pair {self.right} is not among the options and reasons.")
        if lost := sorted(wrong ^ set(self.hints)):
            raise ValueError(f"Each wrong pair, and no other, needs a hint: look at {lost[0]}.")

    def labels(self, seed: str) -> tuple[dict[str, str], dict[str, str]]:
        """The key behind each letter and behind each number, shuffled by `seed`."""
        order = random.Random(seed)
        options, reasons = (order.sample(list(keys), len(keys)) for keys in (self.options, self.reasons))
        return dict(zip(ascii_uppercase, options, strict=False)), {
            str(n): key for n, key in enumerate(reasons, start=1)
        }


@dataclass(frozen=True)
class Exercise:
    """One exercise: a formula to find (`answer`), a function to write (`function`), or a `choice` with its reason.

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
    function: Callable[..., Any] | str | None = None
    choice: Choice | None = None
    also_right: tuple[str | Callable[..., Any], ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    max_score: float = 1
    batches: tuple[tuple[int, ...], ...] = ((), (4,), (2, 3))
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        if [self.answer, self.function, self.choice].count(None) != 2:
            raise ValueError(f"Exercise {self.id} needs either an answer, a function or a choice.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a formula may use: the inputs, the identities and the sizes."""
        return tuple({**self.inputs, **ALWAYS})

    @property
    def question(self) -> str:
        """The prompt; for a choice with its options and reasons, each on a line of its own."""
        if self.choice is None:
            return self.prompt
        options, reasons = self.choice.labels(self.id)
        lines = [f"{letter}. {self.choice.options[key]}" for letter, key in options.items()]
        lines += [f"{number}. {self.choice.reasons[key]}" for number, key in reasons.items()]
        return "\n".join([self.prompt, *lines])

    @cached_property
    def formula(self) -> Formula:
        """The right answer of a formula exercise."""
        assert self.answer is not None
        return parse(self.answer, self.names)

    @cached_property
    def right_names(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names in every right form of a formula exercise, and those in some form."""
        texts = [text for text in self.also_right if isinstance(text, str)]
        forms = [self.formula.names, *(parse(text, self.names).names for text in texts)]
        return frozenset.intersection(*map(frozenset, forms)), frozenset().union(*forms)

    @cached_property
    def mistaken_formulas(self) -> tuple[tuple[Mistake, Formula], ...]:
        """The known mistakes of a formula exercise, each with its formula."""
        texts = [(mistake, mistake.answer) for mistake in self.mistakes if isinstance(mistake.answer, str)]
        return tuple((mistake, parse(text, self.names)) for mistake, text in texts)

    @cached_property
    def reference(self) -> Callable[..., Any]:
        """The right function of a function exercise."""
        assert self.function is not None
        if not isinstance(self.function, str):
            return self.function
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)
