"""From whatever a learner hands over to a formula or a function, without running any code of theirs.

An object is taken only if its type is exactly one that is known here: subclasses can do anything. Sympy objects pass
the same gate as text, node by node; sympy and torch are looked at only if the learner has imported them.
"""

from __future__ import annotations

import dis
import math
import sys
import types
from collections.abc import Callable, Iterable
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from gradelib.marker.language import (
    MAX_DEPTH,
    MAX_NODES,
    Formula,
    Name,
    Node,
    Number,
    Op,
    Unreadable,
    known_exponent,
    known_name,
    known_number,
    limit_nodes,
    parse,
    shown,
)

_NUMPY_SCALARS = tuple({t for t in np.sctypeDict.values() if issubclass(t, np.number)})
_TRIVIAL = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}


def is_blank(answer: Any) -> bool:
    """Whether the answer is an untouched stub: `...`, None, an empty text, or a function with nothing in it."""
    if answer is None or answer is ... or (type(answer) is str and not answer.strip()):
        return True
    if type(answer) is not types.FunctionType:
        return False
    steps = list(dis.get_instructions(answer.__code__))
    return all(s.opname in _TRIVIAL for s in steps) and not any(_is_value(s) for s in steps)


def _is_value(step: dis.Instruction) -> bool:
    return step.opname in ("LOAD_CONST", "RETURN_CONST") and step.argval is not None and step.argval is not ...


def read(answer: Any, names: Iterable[str]) -> Formula | Callable:
    """The answer as a formula in `names`, or as the function it is; raises `Unreadable` with one sentence."""
    names = sorted(names)
    if type(answer) is str:
        return parse(answer, names)
    if (node := _from_numbers(answer)) is not None or (node := _from_sympy(answer, names)) is not None:
        limit_nodes(node)
        return Formula(node)
    if callable(answer):
        return answer
    raise Unreadable(
        f"An answer of type {type_name(answer)} cannot be marked; give a formula as text, a number, a tensor, "
        "a sympy expression or a function."
    )


def type_name(value: Any) -> str:
    """The name of a value's type, read without asking the value or a metaclass of its own."""
    return shown(str.__str__(type.__dict__["__name__"].__get__(type(value))))


def _from_numbers(answer: Any) -> Node | None:
    """A number, array, tensor or list of them; None for anything else."""
    torch = sys.modules.get("torch")
    if torch and _is_a(answer, torch.Tensor, torch.nn.Parameter):
        answer = _array(answer.detach(), answer.numel(), str(answer.dtype))
    elif _is_a(answer, np.ndarray, *_NUMPY_SCALARS):
        answer = _array(answer, answer.size, str(answer.dtype))
    return _number_node(answer, 2) if _is_a(answer, int, float, list, tuple) else None


def _is_a(value: Any, *types: type) -> bool:
    """Whether the type of `value` is exactly one of `types`; by `is`, since a class may define its own == and hash."""
    return any(type(value) is kind for kind in types)


def _array(array: Any, size: int, dtype: str) -> Any:
    if size > MAX_NODES:
        raise Unreadable(f"A tensor with {size:,} entries is larger than any answer here.")
    if "float" not in dtype and "int" not in dtype:
        raise Unreadable(f"The entries of an answer are real numbers, but these have dtype {dtype}.")
    return array.tolist()


def _number_node(value: Any, depth: int) -> Node:
    if not _is_a(value, list, tuple):
        if type(value) is float and not math.isfinite(value):
            raise Unreadable("Your answer holds NaN or infinity; look at the step that made it.")
        return known_number(value)
    if not depth or not value or len(value) > MAX_NODES:
        raise Unreadable("An answer made of numbers is a number, a vector or a matrix.")
    return Op("[]", tuple(_number_node(entry, depth - 1) for entry in value))


def _from_sympy(answer: Any, names: list[str]) -> Node | None:
    """A sympy object as a tree of the language; None if it is no sympy object."""
    if "sympy" not in sys.modules or _sympy_reader(answer) is None:
        module = type.__dict__["__module__"].__get__(type(answer))
        if type(module) is str and module.startswith("sympy."):
            raise Unreadable(f"Sympy's {type_name(answer)} is not part of the formula language.")
        return None
    return _Sympy(names).read(answer, MAX_DEPTH)


class _Sympy:
    """Reads one sympy object; holds the names it may use and how many nodes it may still have."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.nodes_left = MAX_NODES

    def read(self, node: Any, depth: int) -> Node:
        self.nodes_left -= 1
        if depth == 0 or self.nodes_left < 0:
            raise Unreadable("This formula is far larger than any answer here; can you write it more simply?")
        reader = _sympy_reader(node)
        if reader is None:
            raise Unreadable(f"Sympy's {type_name(node)} is not part of the formula language.")
        return reader(self, node, depth - 1)

    def args(self, node: Any, depth: int) -> list[Node]:
        return [self.read(arg, depth) for arg in node.args]

    def name(self, node: Any, depth: int) -> Node:
        if type(node.name) is not str or not node.name.isidentifier():
            raise Unreadable(f"A symbol has a strange name, {shown(str.__str__(node.name))}.")
        return known_name(node.name, self.names)

    def identity(self, node: Any, depth: int) -> Node:
        size = self.read(node.args[0], depth)
        if not isinstance(size, Name):
            raise Unreadable("Give an identity a size by name, as in Identity(Symbol('d')).")
        return known_name(f"I_{size.name}", self.names)

    def rational(self, node: Any, depth: int) -> Node:
        over = known_number(node.p)
        return over if node.q == 1 else Op("/", (over, known_number(node.q)))

    def decimal(self, node: Any, depth: int) -> Node:
        return known_number(float(node))

    def product(self, node: Any, depth: int) -> Node:
        return reduce(lambda a, b: Op("*", (a, b)), self.args(node, depth))

    def sum(self, node: Any, depth: int) -> Node:
        return reduce(lambda a, b: Op("+", (a, b)), self.args(node, depth))

    def matrix_product(self, node: Any, depth: int) -> Node:
        """Numbers first, then the matrices in their order."""
        nodes = self.args(node, depth)  # from here on every argument is of a known type and may be asked
        numbers = [part for part, arg in zip(nodes, node.args, strict=True) if not arg.is_Matrix]
        matrices = [part for part, arg in zip(nodes, node.args, strict=True) if arg.is_Matrix]
        return reduce(lambda a, b: Op("*", (a, b)), [*numbers, reduce(lambda a, b: Op("@", (a, b)), matrices)])

    def power(self, node: Any, depth: int) -> Node:
        base, exponent = self.args(node, depth)
        return Op("**", (base, known_exponent(exponent)))

    def matrix_power(self, node: Any, depth: int) -> Node:
        base, exponent = self.args(node, depth)
        if exponent == Op("neg", (Number(1),)):
            return Op("inv", (base,))
        if isinstance(exponent, Number) and exponent.value in (2, 3):
            return reduce(lambda a, b: Op("@", (a, b)), [base] * exponent.value)
        raise Unreadable("Of the powers of a matrix, only its square, its cube and its inverse can be read.")

    def explicit(self, node: Any, depth: int) -> Node:
        if node.rows * node.cols > MAX_NODES or not node.rows * node.cols:
            raise Unreadable("This matrix is larger than any answer here, or empty.")
        rows = [Op("[]", tuple(self.read(entry, depth) for entry in row)) for row in node.tolist()]
        return rows[0] if node.rows == 1 else Op("[]", tuple(rows))


def _call(name: str) -> Callable[[_Sympy, Any, int], Node]:
    return lambda reader, node, depth: Op(name, (reader.read(node.args[0], depth),))


def _sympy_reader(node: Any) -> Callable[[_Sympy, Any, int], Node] | None:
    return next((reader for kind, reader in _sympy_readers().items() if kind is type(node)), None)


@lru_cache(maxsize=1)
def _sympy_readers() -> dict[type, Callable[[_Sympy, Any, int], Node]]:
    import sympy as sp

    half, one, zero = type(sp.S.Half), type(sp.S.One), type(sp.S.Zero)
    rationals = dict.fromkeys((sp.Integer, sp.Rational, half, one, zero, type(sp.S.NegativeOne)), _Sympy.rational)
    named = dict.fromkeys((sp.Symbol, sp.Dummy, sp.MatrixSymbol), _Sympy.name)
    matrices = dict.fromkeys((type(sp.Matrix([[1]])), type(sp.ImmutableMatrix([[1]]))), _Sympy.explicit)
    calls = {sp.exp: "exp", sp.log: "log", sp.Transpose: "T", sp.Inverse: "inv", sp.Trace: "tr", sp.Determinant: "det"}
    return {
        **rationals,
        **named,
        **matrices,
        **{kind: _call(name) for kind, name in calls.items()},
        type(sp.pi): lambda reader, node, depth: Name("pi"),
        type(sp.E): lambda reader, node, depth: Op("exp", (Number(1),)),
        sp.Float: _Sympy.decimal,
        sp.Add: _Sympy.sum,
        sp.MatAdd: _Sympy.sum,
        sp.Mul: _Sympy.product,
        sp.MatMul: _Sympy.matrix_product,
        sp.Pow: _Sympy.power,
        sp.MatPow: _Sympy.matrix_power,
        sp.Identity: _Sympy.identity,
    }
