"""Numbers, vectors and matrices, and what may be done with them.

The rules about shapes stand once, in `Arithmetic`. `Float64` computes with numpy's float64; `Digits` with as many
decimal digits as one likes, as numpy arrays of mpmath numbers. A vector has one axis and stands as a column; its
transpose is a matrix with one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from gradelib.marker.vocabulary import FUNCTIONS, LANGUAGE, ShapeError, UndefinedError, phrase


def describe(value: Any) -> str:
    """What a value is, in words: a number, a vector of length 3, a 5 × 3 matrix."""
    shape = np.shape(value)
    if len(shape) == 2:
        return phrase("matrix", rows=shape[0], columns=shape[1])
    return phrase("vector", length=shape[0]) if shape else phrase("number")


class Arithmetic:
    """The rules about shapes; the two subclasses give the numbers."""

    pi: Any
    number: Callable[[float], Any]
    lift: Callable[[Any], Any]
    finite: Callable[[Any], bool]
    inv: Callable[[Any], Any]
    det: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    ln: Callable[[Any], Any]
    root: Callable[[Any], Any]
    raise_to: Callable[[Any, Any], Any]
    diagonal_matrix: Callable[[Any], Any]

    def apply(self, op: str, args: list[Any]) -> Any:
        """Apply an operator or function; raises `ShapeError` or `UndefinedError`."""
        if op in FUNCTIONS:
            result = self._function(op, args[0])
        elif op in ("dot", "max"):
            result = getattr(self, op)(*args)
        elif op == "neg":
            result = -args[0]
        elif op == "[]":
            result = _stack(args)
        else:
            result = getattr(self, _METHODS[op])(*args)
        if not self.finite(result):
            raise UndefinedError("undefined")
        return result

    def _function(self, name: str, x: Any) -> Any:
        wanted, ndim = FUNCTIONS[name], np.ndim(x)
        square = ndim == 2 and x.shape[0] == x.shape[1]
        if (("number", "vector", "matrix")[ndim] not in wanted) or ("square" in wanted and not square):
            instead = LANGUAGE["instead"].get(f"{name} {ndim}")
            hint = phrase("instead", instead=instead) if instead else ""
            raise ShapeError("shape_function", name=name, wanted=wanted, value=describe(x), instead=hint)
        return getattr(self, name)(x)

    def add(self, a: Any, b: Any) -> Any:
        _fit_entrywise(a, b, "add")
        return a + b

    def subtract(self, a: Any, b: Any) -> Any:
        _fit_entrywise(a, b, "subtract")
        return a - b

    def multiply(self, a: Any, b: Any) -> Any:
        if np.ndim(a) and np.ndim(b) and a.shape != b.shape:
            raise ShapeError("shape_multiply", left=describe(a), right=describe(b))
        return a * b

    def divide(self, a: Any, b: Any) -> Any:
        if np.ndim(b) == 2:
            raise ShapeError("shape_divide_matrix")
        if np.ndim(b) == 1 and np.ndim(a) and np.shape(a) != b.shape:
            raise ShapeError("shape_divide", left=describe(a), right=describe(b))
        if not np.all(b != 0):
            raise UndefinedError("undefined_zero")
        return a / b

    def matmul(self, a: Any, b: Any) -> Any:
        if not (np.ndim(a) and np.ndim(b)):
            raise ShapeError("shape_matmul_number", left=describe(a), right=describe(b))
        if np.ndim(a) == 1 and np.ndim(b) == 2 and b.shape[0] == 1:
            return a[:, None] @ b  # a column times a row
        if a.shape[-1] != b.shape[0]:
            raise ShapeError("shape_matmul", left=describe(a), right=describe(b))
        product = a @ b
        return (
            product[0] if a.shape[0] == 1 and np.ndim(a) == 2 and np.ndim(b) == 1 else product
        )  # a row times a column

    def power(self, a: Any, b: Any) -> Any:
        if np.ndim(a) == 2 and np.ndim(b) == 0 and b == -1:
            return self._function("inv", a)
        if np.ndim(a) == 2:
            raise ShapeError("shape_power")
        if np.ndim(b):
            raise ShapeError("shape_exponent", value=describe(b))
        return self.raise_to(a, b)

    def T(self, x: Any) -> Any:  # noqa: N802
        if np.ndim(x) == 1:
            return x[None, :]
        return x[0] if x.shape[0] == 1 else x.T

    def tr(self, x: Any) -> Any:
        return np.trace(x)

    def diag(self, x: Any) -> Any:
        """The diagonal of a matrix as a vector; a vector becomes a diagonal matrix, as in numpy."""
        return np.diag(x).copy() if np.ndim(x) == 2 else self.diagonal_matrix(x)

    def norm2(self, x: Any) -> Any:
        return (x * x).sum()

    def frob2(self, x: Any) -> Any:
        return (x * x).sum()

    def colnorm2(self, x: Any) -> Any:
        return (x * x).sum(axis=0)

    def rownorm2(self, x: Any) -> Any:
        return (x * x).sum(axis=1)

    def sum(self, x: Any) -> Any:
        return x.sum()

    def prod(self, x: Any) -> Any:
        return x.prod()

    def mean(self, x: Any) -> Any:
        return x.sum() / self.number(x.size)

    def norm(self, x: Any) -> Any:
        return self.root((x * x).sum())

    def dot(self, a: Any, b: Any) -> Any:
        """The product of numpy's and torch's `dot`, sum over entries of two vectors, a matrix product elsewhere."""
        return (a * b).sum() if np.ndim(a) == np.ndim(b) == 1 and a.shape == b.shape else self.matmul(a, b)

    def abs(self, x: Any) -> Any:
        return abs(x)

    def max(self, a: Any, b: Any) -> Any:
        """The larger of two numbers, or of the entries at each place."""
        _fit_entrywise(a, b, "compare")
        return (a + b + abs(a - b)) / 2

    def square(self, x: Any) -> Any:
        return x * x

    def cosh(self, x: Any) -> Any:
        return (self.exp(x) + self.exp(-x)) / 2

    def sinh(self, x: Any) -> Any:
        return (self.exp(x) - self.exp(-x)) / 2

    def tanh(self, x: Any) -> Any:
        return 1 - 2 / (self.exp(2 * x) + 1)

    def sigmoid(self, x: Any) -> Any:
        return 1 / (1 + self.exp(-x))

    def softplus(self, x: Any) -> Any:
        return self.ln(1 + self.exp(x))

    def log1p(self, x: Any) -> Any:
        return self.log(1 + x)

    def expm1(self, x: Any) -> Any:
        return self.exp(x) - 1

    def sqrt(self, x: Any) -> Any:
        if not np.all(x >= 0):
            raise UndefinedError("undefined_root")
        return self.root(x)

    def log(self, x: Any) -> Any:
        if not np.all(x > 0):
            raise UndefinedError("undefined_log")
        return self.ln(x)

    def logdet(self, x: Any) -> Any:
        return self.log(self.det(x))


_METHODS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "@": "matmul", "**": "power"}


class Float64(Arithmetic):
    """Arithmetic with numpy's float64."""

    pi = np.float64(np.pi)
    ln, root, exp, raise_to = (staticmethod(f) for f in (np.log, np.sqrt, np.exp, np.power))
    diagonal_matrix = staticmethod(np.diag)

    def number(self, value: float) -> Any:
        return np.float64(value)

    lift = staticmethod(lambda value: np.asarray(value, np.float64)[()])

    def finite(self, x: Any) -> bool:
        return math.isfinite(x) if isinstance(x, float) else bool(np.isfinite(x).all())

    def inv(self, x: Any) -> Any:
        try:
            return np.linalg.inv(x)
        except np.linalg.LinAlgError:
            raise UndefinedError("undefined_singular") from None

    def det(self, x: Any) -> Any:
        return np.linalg.det(x)


class Digits(Arithmetic):
    """Arithmetic with `digits` decimal digits, in a context of its own: mpmath's global one stays as it is."""

    def __init__(self, digits: int) -> None:
        self._context = mpmath.MPContext()
        self._context.dps = digits
        self.pi = +self._context.pi
        context = self._context
        self.exp, self.ln, self.root = (np.frompyfunc(f, 1, 1) for f in (context.exp, context.log, context.sqrt))
        self.raise_to = np.frompyfunc(context.power, 2, 1)

    def number(self, value: float) -> Any:
        return self._context.mpf(repr(value))  # 0.1 is meant as a tenth

    def lift(self, value: Any) -> Any:
        """Exact: a float64 becomes the same number; what is lifted already stays as it is."""
        mpf = self._context.mpf
        exact = np.frompyfunc(lambda x: mpf(float(x)) if isinstance(x, (int, float, np.number)) else mpf(x), 1, 1)
        return exact(value)

    def finite(self, x: Any) -> bool:
        real = [isinstance(entry, self._context.mpf) and self._context.isfinite(entry) for entry in np.ravel(x)]
        return all(real)

    def diagonal_matrix(self, x: Any) -> Any:
        matrix = np.full((len(x), len(x)), self.number(0), dtype=object)
        np.fill_diagonal(matrix, x)
        return matrix

    def inv(self, x: Any) -> Any:
        try:
            inverse = self._context.inverse(self._context.matrix(x.tolist()))
        except ZeroDivisionError:
            raise UndefinedError("undefined_singular") from None
        return np.array(inverse.tolist(), dtype=object)

    def det(self, x: Any) -> Any:
        return self._context.det(self._context.matrix(x.tolist()))


def _fit_entrywise(a: Any, b: Any, verb: str) -> None:
    kinds = {np.ndim(a), np.ndim(b)}
    if kinds == {0, 2}:
        raise ShapeError("shape_identity", verb=phrase(verb))
    if np.shape(a) != np.shape(b) and kinds != {0, 1}:
        raise ShapeError("shape_add", verb=phrase(verb), left=describe(a), right=describe(b))


def _stack(rows: list[Any]) -> Any:
    """A list of numbers is a vector, a list of vectors of one length the matrix with these rows."""
    shapes = {np.shape(row) for row in rows}
    if len(shapes) > 1 or len(shapes.pop()) > 1:
        raise ShapeError("shape_rows")
    return np.array(rows)
