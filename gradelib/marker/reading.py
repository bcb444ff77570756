"""From whatever a learner hands over to a formula or a function, without running any code of theirs.

An object is taken only if its type is exactly one that is known here: subclasses can do anything. Sympy objects pass
the same gate as text, node by node; sympy and torch are looked at only if the learner has imported them.
"""

from __future__ import annotations

import decimal
import dis
import fractions
import math
import re
import sys
import types
from collections.abc import Callable, Iterable
from functools import lru_cache, reduce
from typing import Any

import mpmath
import numpy as np

from gradelib.marker.language import (
    Formula,
    Name,
    Node,
    Number,
    Op,
    UnreadableError,
    known_exponent,
    known_name,
    known_number,
    limit_nodes,
)
from gradelib.marker.parser import ascii_text, parse
from gradelib.marker.vocabulary import LANGUAGE, LIMITS, shown

_NUMPY_SCALARS = tuple({t for t in np.sctypeDict.values() if issubclass(t, np.number)})
_PLAIN_NUMBERS = (int, float, fractions.Fraction, decimal.Decimal, mpmath.mpf)
_CONTAINERS = (list, tuple, set, frozenset, dict)
_BLANK = LANGUAGE["blank"]
_BLANK_TEXT = re.compile(rf"[\s{re.escape(_BLANK['signs'])}]*|" + "|".join(_BLANK["words"]), re.IGNORECASE)
# What an untouched stub is made of: constants, locals that hold them, and `raise NotImplementedError`.
_STUB = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "POP_TOP", "STORE_FAST", "PRECALL", "PUSH_NULL"}
_STUB |= {"CALL", "RAISE_VARARGS", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_FAST_BORROW", "CACHE", "COPY", "EXTENDED_ARG"}
_STUB |= {"LOAD_COMMON_CONSTANT", "NOT_TAKEN"}


def is_blank(answer: object) -> bool:
    """Whether the answer is an untouched stub: dots in any form, None, an empty text, or a function without an answer.

    A function is one if it does nothing but return constants such as `...` or None, or raise NotImplementedError.
    """
    if answer is None or answer is ... or answer is NotImplemented:
        return True
    if type(answer) is str:
        return _BLANK_TEXT.fullmatch(answer.strip().strip(_BLANK["quotes"])) is not None
    if _is_a(answer, list, tuple, set) and len(answer) == 1:  # type: ignore[arg-type]
        return any(entry is ... or entry is None for entry in answer)  # type: ignore[attr-defined]
    if type(answer) is not types.FunctionType:
        return False
    steps = list(dis.get_instructions(answer.__code__))
    raises = any(step.opname == "RAISE_VARARGS" for step in steps)
    parameters = answer.__code__.co_varnames[: answer.__code__.co_argcount + answer.__code__.co_kwonlyargcount]
    return all(step.opname in _STUB and _says_nothing(step, raises, parameters) for step in steps)


def _says_nothing(step: dis.Instruction, raises: bool, parameters: tuple[str, ...]) -> bool:
    if step.opname in ("LOAD_CONST", "RETURN_CONST"):
        return (
            step.argval is None
            or step.argval is ...
            or (type(step.argval) is str and (raises or is_blank(step.argval)))
        )
    if step.opname == "LOAD_GLOBAL":
        return step.argval in ("NotImplementedError", "NotImplemented")
    return not (step.opname.startswith("LOAD_FAST") and step.argval in parameters)


def is_of_gradelib(answer: object) -> bool:
    """Whether the answer is a function that this package brings along."""
    module = answer.__module__ if type(answer) is types.FunctionType else None
    return type(module) is str and module.partition(".")[0] == "gradelib"


def outside_names(function: object) -> frozenset[str]:
    """The global and enclosing names that a Python function reads; attributes such as `.mean` are none of them."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return frozenset()
    loads = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return frozenset({*loads, *code.co_freevars})


def read(answer: object, names: Iterable[str], *, more: Iterable[str] = ()) -> Formula | Callable[..., Any]:
    """The answer as a formula in `names`, or as the function it is; raises `UnreadableError` with one sentence.

    A text may use the functions that `more` names, see `parse`.
    """
    known = sorted(names)
    answer = _taken_out(answer)
    if type(answer) is str:
        return parse(answer, known, more=more)
    node = _from_numbers(answer)
    if node is None:
        node = _from_sympy(answer, known)
    if node is not None:
        limit_nodes(node)
        return Formula(node)
    if callable(answer):
        return answer
    raise UnreadableError("object", name=type_name(answer))


def choice_text(answer: object) -> str | None:
    """A choice and a reason as one text, "B 2", from a text or a pair; None for anything else."""
    if type(answer) is dict and len(answer) == 2:
        answer = tuple(answer.values())
    if isinstance(answer, list | tuple) and _is_a(answer, list, tuple) and len(answer) == 2:
        typed, plain = (any(_is_a(part, str) for part in answer), all(_is_a(part, str, int) for part in answer))
        return " ".join(str(part) for part in answer) if typed and plain else None
    return str(answer) if _is_a(answer, str, int) else None


def type_name(value: object) -> str:
    """The name of a value's type, read without asking the value or a metaclass of its own."""
    return shown(_name_of(type(value)))


def public_type_name(value: object) -> str:
    """The same of the first type among a value's own and its parents whose name is not private.

    Python 3.13 has a private subtype of SyntaxError for input that breaks off, which no learner has heard of.
    """
    names = map(_name_of, type.__dict__["__mro__"].__get__(type(value)))
    return shown(next(name for name in names if not name.startswith("_")))


def _name_of(kind: type) -> str:
    return str.__str__(type.__dict__["__name__"].__get__(kind))


def _taken_out(answer: object) -> object:
    """What a container of one entry holds, such as the list that `sympy.solve` returns."""
    for _ in range(4):
        if type(answer) is dict and len(answer) == 1:
            [answer] = answer.values()
        elif _is_a(answer, *_CONTAINERS) and len(answer) == 1:  # type: ignore[arg-type]
            [answer] = answer  # type: ignore[misc]
        else:
            break
    if _is_a(answer, set, frozenset, dict):
        raise UnreadableError("object_several", name=type(answer).__name__, count=len(answer))  # type: ignore[arg-type]
    if _is_a(answer, list, tuple) and answer and not _holds_numbers(answer):
        raise UnreadableError("object_several", name=type(answer).__name__, count=len(answer))  # type: ignore[arg-type]
    return answer


def _holds_numbers(entries: Any) -> bool:
    return all(
        _is_a(entry, bool, *_PLAIN_NUMBERS, *_NUMPY_SCALARS, list, tuple) for entry in entries[: LIMITS["nodes"] + 1]
    )


def _from_numbers(answer: object) -> Node | None:
    """A number, array, tensor or list of them; None for anything else."""
    torch = sys.modules.get("torch")
    if _is_a(answer, bool, np.bool_):
        raise UnreadableError("object_truth")
    if _is_a(answer, complex):
        raise UnreadableError("real")
    if torch and _is_a(answer, torch.Tensor, torch.nn.Parameter):
        answer = _entries(answer.detach(), answer.numel(), str(answer.dtype))  # type: ignore[attr-defined]
    elif _is_a(answer, np.ndarray, *_NUMPY_SCALARS):
        answer = _entries(_in_float64(answer), answer.size, str(answer.dtype))  # type: ignore[attr-defined]
    return _number_node(_taken_out(answer), 2) if _is_a(answer, *_PLAIN_NUMBERS, list, tuple) else None


def _is_a(value: object, *types: type) -> bool:
    """Whether the type of `value` is exactly one of `types`; by `is`, since a class may define its own == and hash."""
    return any(type(value) is kind for kind in types)


def _entries(array: Any, size: int, dtype: str) -> Any:
    if size > LIMITS["nodes"]:
        raise UnreadableError("object_large", count=size)
    if "float" not in dtype and "int" not in dtype:
        raise UnreadableError("object_dtype", dtype=dtype)
    return array.tolist()


def _in_float64(array: Any) -> Any:
    """Floating numbers of any length, even those that Python has no type for."""
    return array.astype(np.float64) if array.dtype.kind == "f" and array.size <= LIMITS["nodes"] else array


def _number_node(value: Any, depth: int) -> Node:
    if _is_a(value, fractions.Fraction):
        over = known_number(value.numerator)
        return over if value.denominator == 1 else Op("/", (over, known_number(value.denominator)))
    if _is_a(value, decimal.Decimal, mpmath.mpf, *_NUMPY_SCALARS):
        value = float(value)
    if not _is_a(value, list, tuple):
        if type(value) is float and not math.isfinite(value):
            raise UnreadableError("object_finite")
        return known_number(value)
    if not depth or not value or len(value) > LIMITS["nodes"]:
        raise UnreadableError("object_list")
    return Op("[]", tuple(_number_node(entry, depth - 1) for entry in value))


def _from_sympy(answer: object, names: list[str]) -> Node | None:
    """A sympy object as a tree of the language; None if it is no sympy object."""
    if "sympy" not in sys.modules or _sympy_reader(answer) is None:
        module = type.__dict__["__module__"].__get__(type(answer))
        if type(module) is str and module.startswith("sympy."):
            raise UnreadableError("sympy_type", name=type_name(answer))
        return None
    return _Sympy(names).read(answer, LIMITS["depth"])


class _Sympy:
    """Reads one sympy object; holds the names it may use and how many nodes it may still have."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.nodes_left = LIMITS["nodes"]

    def read(self, node: Any, depth: int) -> Node:
        self.nodes_left -= 1
        if depth == 0 or self.nodes_left < 0:
            raise UnreadableError("large")
        reader = _sympy_reader(node)
        if reader is None:
            raise UnreadableError("sympy_type", name=type_name(node))
        return reader(self, node, depth - 1)

    def args(self, node: Any, depth: int) -> list[Node]:
        return [self.read(arg, depth) for arg in node.args]

    def name(self, node: Any, depth: int) -> Node:
        name = node.name
        if type(name) is not str:
            raise UnreadableError("symbol", name=type_name(name))
        try:
            plain = ascii_text(name.lstrip("\\"))  # "\\beta" is common in sympy, for its printing
        except UnreadableError:
            plain = ""
        if not plain.isidentifier():
            raise UnreadableError("symbol", name=shown(name))
        return known_name(plain, self.names)

    def equation(self, node: Any, depth: int) -> Node:
        """The right side of `name = …`; an equation in the inputs themselves is no answer."""
        left, right = node.args
        for side, other in ((left, right), (right, left)):
            if _sympy_reader(side) is _Sympy.name and side.name not in self.names:
                return self.read(other, depth)
        raise UnreadableError("equation")

    def only_entry(self, node: Any, depth: int) -> Node:
        if len(node.args) != 1:
            raise UnreadableError("object_several", name=type(node).__name__, count=len(node.args))
        return self.read(node.args[0], depth)

    def identity(self, node: Any, depth: int) -> Node:
        size = self.read(node.args[0], depth)
        if not isinstance(size, Name):
            raise UnreadableError("sympy_identity")
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
            return reduce(lambda a, b: Op("@", (a, b)), [base] * int(exponent.value))
        raise UnreadableError("sympy_power")

    def explicit(self, node: Any, depth: int) -> Node:
        if node.rows * node.cols > LIMITS["nodes"] or not node.rows * node.cols:
            raise UnreadableError("sympy_matrix")
        if node.rows == node.cols == 1:
            return self.read(node.tolist()[0][0], depth)
        rows = [Op("[]", tuple(self.read(entry, depth) for entry in row)) for row in node.tolist()]
        return rows[0] if node.rows == 1 else Op("[]", tuple(rows))


_SympyReader = Callable[[_Sympy, Any, int], Node]


def _call(name: str) -> _SympyReader:
    return lambda reader, node, depth: Op(name, tuple(reader.args(node, depth)))


def _one_over(name: str) -> _SympyReader:
    return lambda reader, node, depth: Op("/", (Number(1), Op(name, (reader.read(node.args[0], depth),))))


def _sympy_reader(node: object) -> _SympyReader | None:
    return next((reader for kind, reader in _sympy_readers().items() if kind is type(node)), None)


@lru_cache(maxsize=1)
def _sympy_readers() -> dict[type, _SympyReader]:
    import sympy as sp

    half, one, zero = type(sp.S.Half), type(sp.S.One), type(sp.S.Zero)
    rationals = dict.fromkeys((sp.Integer, sp.Rational, half, one, zero, type(sp.S.NegativeOne)), _Sympy.rational)
    named = dict.fromkeys((sp.Symbol, sp.Dummy, sp.MatrixSymbol), _Sympy.name)
    matrices = dict.fromkeys((type(sp.Matrix([[1]])), type(sp.ImmutableMatrix([[1]]))), _Sympy.explicit)
    calls = {sp.exp: "exp", sp.log: "log", sp.Transpose: "T", sp.Adjoint: "T", sp.Inverse: "inv", sp.Trace: "tr"}
    calls |= {
        sp.Determinant: "det",
        sp.cosh: "cosh",
        sp.sinh: "sinh",
        sp.tanh: "tanh",
        sp.Abs: "abs",
        sp.DotProduct: "dot",
    }
    return {
        **rationals,
        **named,
        **matrices,
        **{kind: _call(name) for kind, name in calls.items()},
        **{kind: _one_over(name) for kind, name in {sp.sech: "cosh", sp.csch: "sinh", sp.coth: "tanh"}.items()},
        type(sp.pi): lambda reader, node, depth: Name("pi"),
        type(sp.E): lambda reader, node, depth: Op("exp", (Number(1),)),
        sp.Float: _Sympy.decimal,
        sp.Add: _Sympy.sum,
        sp.MatAdd: _Sympy.sum,
        sp.Mul: _Sympy.product,
        sp.HadamardProduct: _Sympy.product,
        sp.MatMul: _Sympy.matrix_product,
        sp.Pow: _Sympy.power,
        sp.MatPow: _Sympy.matrix_power,
        sp.Identity: _Sympy.identity,
        sp.Equality: _Sympy.equation,
        sp.FiniteSet: _Sympy.only_entry,
        sp.Tuple: _Sympy.only_entry,
    }
