"""The formula language in which answers are written: a small, safe part of Python's expression syntax.

Text is read by `ast` and translated into a tree of three kinds of node. Nothing is ever executed, so a text can do
nothing but be a formula or be refused with one sentence.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gradelib._names import nearest
from gradelib.marker.arithmetic import FUNCTIONS, Arithmetic, Digits, Float64, Misfit, Undefined, Unreadable

__all__ = ["Formula", "Misfit", "Name", "Node", "Number", "Op", "Undefined", "Unreadable", "parse"]

MAX_CHARACTERS = 1000
MAX_NODES = 250
MAX_DEPTH = 40
MAX_INTEGER = 10**6
MAX_EXPONENT = 20

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**"}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "neg": 3, "**": 4}
_ATOM = 5

# What a phone keyboard or a PDF gives for the same thing.
_SAME = str.maketrans({"β": "beta", "π": "pi", "Σ": "S", "−": "-", "×": "*", "·": "*", "⋅": "*", "\u00a0": " "})
_OTHER_NAMES = {
    "trace": "tr",
    "transpose": "T",
    "inverse": "inv",
    "ln": "log",
    "logabsdet": "logdet",
    "slogdet": "logdet",
    "norm": "norm2",
    "mean": "sum",
}
_IDENTITIES = ("I", "Id", "eye", "identity")


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
        return _write(self.root)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that need a value; pi is not one of them."""
        return frozenset(node.name for node in walk(self.root) if isinstance(node, Name)) - {"pi"}

    def __str__(self) -> str:
        return self.text

    def evaluate(self, values: Mapping[str, Any], digits: int | None = None) -> Any:
        """The value at a point: a float or an array of float64, or with `digits` of mpmath numbers.

        `values` maps names to numbers, vectors (k,) and matrices (k, l). Raises `Unreadable` for a name without a
        value, `Misfit` where shapes do not go together, `Undefined` where a step has no finite real value.
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


def parse(text: str, names: Iterable[str] | None = None) -> Formula:
    """Read a formula; with `names`, only these inputs may occur in it.

    Raises `Unreadable` with one sentence that says what to change.
    """
    text = _tidy(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a strange escape in the text must not reach stderr
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Unreadable(_syntax_hint(text, error)) from None
    known = None if names is None else sorted({*names})
    formula = Formula(_read(tree, known, MAX_DEPTH))
    limit_nodes(formula.root)
    return formula


def limit_nodes(root: Node) -> None:
    """Raise `Unreadable` for a tree that no answer needs and that would be slow to compute."""
    if sum(1 for _ in walk(root)) > MAX_NODES:
        raise Unreadable("This formula is far longer than any answer here; can you write it more simply?")


def known_name(name: str, known: list[str] | None) -> Name:
    """The name as a node; raises `Unreadable`, with the nearest name, if it is not among `known`."""
    if known is None or name in known or name == "pi":
        return Name(name)
    if name in FUNCTIONS:
        raise Unreadable(f"{name} is a function; write what it works on in brackets, as in {name}(…).")
    near = "I_d or I_n" if name in _IDENTITIES else nearest(name, [*known, "pi"])
    hint = f"did you mean {near}?" if near else f"you can use {', '.join(known)}."
    raise Unreadable(f"There is no {shown(name)} in this exercise; {hint}")


def known_exponent(exponent: Node) -> Node:
    """The exponent itself; raises `Unreadable` for one so large that computing it would take for ever."""
    for node in walk(exponent):
        if isinstance(node, Number) and node.value > MAX_EXPONENT:
            raise Unreadable(f"An exponent over {MAX_EXPONENT} is more than any answer here needs.")
        if isinstance(node, Op) and node.op == "**":
            raise Unreadable("A power in an exponent is more than any answer here needs.")
    return exponent


def known_number(value: Any) -> Node:
    """A number as a node; raises `Unreadable` for one that is not finite, not real or absurdly large."""
    if not (type(value) is int or type(value) is float):
        raise Unreadable("Only real numbers can stand in a formula.")
    if not abs(value) <= MAX_INTEGER:  # NaN fails too
        raise Unreadable(f"A number over {MAX_INTEGER:,} is more than any answer here needs.")
    return Op("neg", (Number(-value),)) if value < 0 else Number(value)


def shown(text: str, most: int = 40) -> str:
    """A piece of a learner's text, short and printable, in quotes."""
    text = ascii(text[: most + 1])[1:-1]
    return f"“{text if len(text) <= most else text[:most] + '…'}”"


def _tidy(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"An answer has at most {MAX_CHARACTERS} characters; yours has {len(text):,}.")
    text = text.translate(_SAME).strip()
    if re.search("[ᵀ⊤]", text):
        raise Unreadable("Write a transpose as T(J).")
    if re.search("[⁻¹²³½]", text):
        raise Unreadable("Write a power as **2, the inverse of a matrix as inv(S) and a half as /2.")
    if "\\" in text:
        raise Unreadable("This looks like LaTeX; write the formula in Python's syntax, for example beta/2*logdet(S).")
    if "^" in text:
        raise Unreadable("Write a power with ** instead of ^, for example s**2.")
    strange = next((c for c in text if not (" " <= c <= "~" or c in "\n\t")), None)
    if strange:
        raise Unreadable(f"The character {shown(strange)} is not part of the formula language.")
    return text


def _syntax_hint(text: str, error: BaseException) -> str:
    if isinstance(error, RecursionError | MemoryError) or "nested" in str(error):
        return "This formula has too many brackets or signs inside each other; can you write it more simply?"
    if re.match(r"\w+\s*=[^=]", text):
        return "Give only what stands to the right of the equals sign."
    if text.count("(") != text.count(")"):
        more = "opening" if text.count("(") > text.count(")") else "closing"
        return f"The brackets do not match: there are more {more} ones."
    if re.search(r"\d[A-Za-z_]|[\w)]\s+[\w(]", text):
        return "Something is missing between two parts of the formula; write every product with * or @."
    return "This is not a complete formula; look for a missing or doubled operator, comma or bracket."


def _read(node: ast.expr, known: list[str] | None, depth: int) -> Node:
    if depth == 0:
        raise Unreadable("This formula is nested too deeply; can you write it more simply?")
    match node:
        case ast.Constant(value=value):
            return known_number(value)
        case ast.Name(id=name):
            return known_name(name, known)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _read(operand, known, depth - 1)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Op("neg", (_read(operand, known, depth - 1),))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            a, b = _read(left, known, depth - 1), _read(right, known, depth - 1)
            return Op(_OPERATORS[type(op)], (a, known_exponent(b) if isinstance(op, ast.Pow) else b))
        case ast.Attribute(value=value, attr="T" | "mT"):
            return Op("T", (_read(value, known, depth - 1),))
        case ast.Call(func=func, args=args, keywords=[]):
            return _read_call(func, args, known, depth)
        case ast.List(elts=items) if items:
            return Op("[]", tuple(_read(item, known, depth - 1) for item in items))
    raise Unreadable(_not_in_language(node))


def _read_call(func: ast.expr, args: list[ast.expr], known: list[str] | None, depth: int) -> Node:
    if not isinstance(func, ast.Name):
        raise Unreadable(_not_in_language(func))
    name = func.id
    if name not in FUNCTIONS:
        if known and name in known:
            raise Unreadable(f"{name} is not a function; if you mean a product, write {name}*(…) or {name}@(…).")
        near = _OTHER_NAMES.get(name) or nearest(name, FUNCTIONS)
        hint = f"did you mean {near}?" if near else f"you can use {', '.join(FUNCTIONS)}."
        raise Unreadable(f"There is no function {shown(name)}; {hint}")
    if len(args) != 1:
        raise Unreadable(f"{name} takes one argument, but here it has {len(args)}.")
    return Op(name, (_read(args[0], known, depth - 1),))


def _not_in_language(node: ast.expr) -> str:
    match node:
        case ast.Attribute(value=ast.Name(), attr=name) if name in FUNCTIONS:
            return f"Write {name}(…) alone, without a module in front."
        case ast.Attribute(attr=name):
            return f"Attributes such as {shown('.' + name)} are not part of the formula language."
        case ast.Constant() | ast.List() | ast.Tuple() | ast.Dict() | ast.Set():
            return "Only numbers, names, operators and functions can stand in a formula."
        case ast.Compare() | ast.BoolOp() | ast.IfExp():
            return "Give one formula without comparisons or conditions."
        case ast.BinOp(op=ast.FloorDiv() | ast.Mod()):
            return "Write a division with a single /."
        case ast.Call(keywords=[_, *_]):
            return "Functions take one argument and no options here."
        case _:
            kind = type(node).__name__
            return f"Python's {shown(kind)} is not part of the formula language; use + - * / @ ** and functions."


def _value(node: Node, kit: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, Number):
        return kit.number(node.value)
    if isinstance(node, Name):
        if node.name == "pi":
            return kit.pi
        if node.name not in values:
            known_name(node.name, sorted(values))
        return kit.lift(values[node.name])
    args = [_value(child, kit, values) for child in node.args]
    try:
        return kit.apply(node.op, args)
    except (Misfit, Undefined) as error:
        raise type(error)(f"In {shown(_write(node), 60)}: {error}") from None


def _write(node: Node) -> str:
    return _write_at(node, 0)


def _write_at(node: Node, least: int) -> str:
    """The node's text, in brackets if it binds less tightly than `least`."""
    if isinstance(node, Number):
        return repr(node.value)
    if isinstance(node, Name):
        return node.name
    bind = _PRECEDENCE.get(node.op, _ATOM)
    text = _write_op(node, bind)
    return f"({text})" if bind < least else text


def _write_op(node: Op, bind: int) -> str:
    if node.op == "neg":
        return "-" + _write_at(node.args[0], bind)
    if node.op == "**":
        return f"{_write_at(node.args[0], _ATOM)}**{_write_at(node.args[1], _PRECEDENCE['neg'])}"
    if node.op in _PRECEDENCE:
        sign = f" {node.op} " if bind == 1 else node.op
        return _write_at(node.args[0], bind) + sign + _write_at(node.args[1], bind + 1)
    inner = ", ".join(_write_at(child, 0) for child in node.args)
    return f"[{inner}]" if node.op == "[]" else f"{node.op}({inner})"
