"""Formulas as trees of three kinds of node, their text and their value. `marker.parser` reads them from text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from gradelib._names import nearest
from gradelib.marker.arithmetic import Arithmetic, Digits, Float64
from gradelib.marker.vocabulary import (
    FUNCTIONS,
    LANGUAGE,
    LIMITS,
    ShapeError,
    UndefinedError,
    UnreadableError,
    phrase,
    shown,
)

__all__ = ["Formula", "Name", "Node", "Number", "Op", "ShapeError", "UndefinedError", "UnreadableError", "walk"]

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "neg": 3, "**": 4}
_ATOM = 5


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is not negative; a minus sign is an `Op` of its own."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Name:
    """An input, an identity, a size, or pi."""

    name: str


@dataclass(frozen=True, slots=True)
class Op:
    """An operator (`+ - * / @ ** neg`), a list (`[]`) or a function, with its arguments."""

    op: str
    args: tuple[Node, ...]


Node = Number | Name | Op


@dataclass(frozen=True)
class Formula:
    """A formula that was read: its tree, its text, its names and its value at a point."""

    root: Node

    @cached_property
    def text(self) -> str:
        """The formula as text that `parse` reads back into the same tree."""
        return _write(self.root, 0)

    @cached_property
    def explicit(self) -> str:
        """The text with brackets where the order of operations can surprise: (1/2)*x, -(x**2)."""
        return _write(self.root, 0, explicit=True)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that need a value; pi is not one of them."""
        return frozenset(node.name for node in walk(self.root) if isinstance(node, Name)) - {"pi"}

    def __str__(self) -> str:
        return self.text

    def evaluate(self, values: Mapping[str, Any], digits: int | None = None) -> Any:
        """The value at a point: a float or an array of float64, or with `digits` of mpmath numbers.

        `values` maps names to numbers, vectors (k,) and matrices (k, l). Raises `UnreadableError` for a name without a
        value, `ShapeError` where shapes do not go together, `UndefinedError` where a step has no finite real value.
        """
        return self.evaluate_with(Float64() if digits is None else Digits(digits), values)

    def evaluate_with(self, kit: Arithmetic, values: Mapping[str, Any]) -> Any:
        """The value at a point in the arithmetic `kit`; raises as `evaluate` does."""
        with np.errstate(all="ignore"):
            return _value(self.root, kit, values)


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes under it, parents first."""
    yield node
    if isinstance(node, Op):
        for child in node.args:
            yield from walk(child)


def limit_nodes(root: Node) -> None:
    """Raise `UnreadableError` for a tree that no answer needs and that would be slow to compute."""
    if sum(1 for _ in walk(root)) > LIMITS["nodes"]:
        raise UnreadableError("large")


def known_name(name: str, known: list[str] | None) -> Name:
    """The name as a node; raises `UnreadableError`, with the nearest name, if it is not among `known`."""
    if known is None or name in known or name == "pi":
        return Name(name)
    plain = name.replace("_", "")  # σ₁ is sigma_1 or sigma1
    for group in [*LANGUAGE["same_names"], [other for other in known if other.replace("_", "") == plain]]:
        same = [other for other in group if other in known]
        if len(same) == 1 and (name in group or "_" in name):
            return Name(same[0])
    if name in FUNCTIONS:
        raise UnreadableError("name_is_function", name=name)
    if name == "e":
        raise UnreadableError("name_euler")
    near = (
        phrase("identities")
        if name in LANGUAGE["identities"]
        else product_of_names(name, known) or nearest(name, [*known, "pi"])
    )
    if (numbered := re.fullmatch(r"([A-Za-z]\w*?)([0-9]+)", name)) and numbered[1] in known:
        near = phrase("numbered", name=numbered[1], number=numbered[2])
    if near:
        raise UnreadableError("name_near", name=shown(name), near=near)
    raise UnreadableError("name_unknown", name=shown(name), known=", ".join(known))


def near_function(name: str) -> str | None:
    """The function that an unknown one is near to: in spelling where that is clear, else in meaning, else in spelling.

    In meaning it is near to the longest word in it that says what a function does: matrix_inverse to inv.
    """
    plain, meant = _without_case(name), _meanings()
    if plain in meant:
        return meant[plain]
    known = [*FUNCTIONS, *LANGUAGE["binary"], *LANGUAGE["definitions"]]
    alike = difflib.get_close_matches(name, known, n=1, cutoff=LANGUAGE["alike"]["functions"])
    if alike and difflib.SequenceMatcher(None, alike[0], name).ratio() >= LANGUAGE["alike"]["misspelt"]:
        return alike[0]
    inside = [word for word in meant if word in plain and (len(word) >= _LONG or _at_an_end(word, plain))]
    return meant[max(inside, key=len)] if inside else next(iter(alike), None)


_LONG, _SHORT = 5, 3  # letters of a word that says something anywhere in a name, and of one at its beginning or end


def _at_an_end(word: str, name: str) -> bool:
    return name.startswith(word) or name.endswith(word)


def _without_case(name: str) -> str:
    return name.replace("_", "").lower()


@lru_cache(maxsize=1)
def _meanings() -> dict[str, str]:
    """Words for what functions do, without case and underscores, and the function or sign that does it."""
    meanings = {_without_case(name): name for name in [*FUNCTIONS, *LANGUAGE["binary"]]}
    for name, body in LANGUAGE["definitions"].items():
        function = body.removesuffix("(a)")
        meanings.setdefault(_without_case(name), function if function in FUNCTIONS else name)
    for name, meant in LANGUAGE["meant"].items():
        meanings[_without_case(name)] = meant
    return {word: meant for word, meant in meanings.items() if len(word) >= _SHORT}


def product_of_names(name: str, known: list[str]) -> str | None:
    """The known names of which a name is made, as a product: betaw was meant as beta*w, HJ as H@J."""
    for first in sorted(known, key=len, reverse=True):
        rest = name.removeprefix(first)
        rest_read = rest if rest in known else product_of_names(rest, known) if rest and rest != name else None
        if rest != name and rest_read:
            return f"{first}{'@' if first[0].isupper() and rest[0].isupper() else '*'}{rest_read}"
    return None


def known_exponent(exponent: Node) -> Node:
    """The exponent itself; raises `UnreadableError` for one so large that computing it would take for ever."""
    for node in walk(exponent):
        if isinstance(node, Number) and node.value > LIMITS["exponent"]:
            raise UnreadableError("exponent_size", most=LIMITS["exponent"])
        if isinstance(node, Op) and node.op == "**":
            raise UnreadableError("exponent_power")
    return exponent


def known_number(value: object) -> Node:
    """A number as a node; raises `UnreadableError` for one that is not finite, not real or absurdly large."""
    if not (type(value) is int or type(value) is float):
        raise UnreadableError("real")
    if not abs(value) <= LIMITS["integer"]:  # NaN fails too
        raise UnreadableError("number_size", most=LIMITS["integer"])
    return Op("neg", (Number(-value),)) if value < 0 else Number(value)


def _value(node: Node, kit: Arithmetic, values: Mapping[str, Any]) -> Any:
    if isinstance(node, Number):
        return kit.number(node.value)
    if isinstance(node, Name):
        if node.name == "pi":
            return kit.pi
        if node.name not in values:
            return kit.lift(values[known_name(node.name, sorted(values)).name])
        return kit.lift(values[node.name])
    args = [_value(child, kit, values) for child in node.args]
    try:
        return kit.apply(node.op, args)
    except (ShapeError, UndefinedError) as error:
        raise error.inside(shown(_write(node, 0), 60)) from None


def _write(node: Node, least: int, explicit: bool = False) -> str:
    """The node's text, in brackets if it binds less tightly than `least`."""
    if isinstance(node, Number):
        return repr(node.value)
    if isinstance(node, Name):
        return node.name
    bind = _PRECEDENCE.get(node.op, _ATOM)
    text = _write_op(node, bind, explicit)
    return f"({text})" if bind < least else text


def _write_op(node: Op, bind: int, explicit: bool) -> str:
    left = node.args[0]
    if node.op == "neg":
        return "-" + _write(left, _ATOM if explicit and isinstance(left, Op) else bind, explicit)
    if node.op == "**":
        return f"{_write(left, _ATOM, explicit)}**{_write(node.args[1], _PRECEDENCE['neg'], explicit)}"
    if node.op in _PRECEDENCE:
        divided = explicit and bind == 2 and isinstance(left, Op) and left.op == "/"
        sign = f" {node.op} " if bind == 1 else node.op
        return _write(left, _ATOM if divided else bind, explicit) + sign + _write(node.args[1], bind + 1, explicit)
    inner = ", ".join(_write(child, 0, explicit) for child in node.args)
    return f"[{inner}]" if node.op == "[]" else f"{node.op}({inner})"
