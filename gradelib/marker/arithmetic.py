"""Numbers, vectors and matrices, and what may be done with them.

The rules about shapes stand once, in `Arithmetic`. `Float64` computes with numpy's float64; `Digits` with as many
decimal digits as one likes, as numpy arrays of mpmath numbers. A vector has one axis and stands as a column; its
transpose is a matrix with one row.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

# Whether each function works on a number or vector, a vector, a matrix, or a square matrix.
FUNCTIONS = {
    "T": "vector or matrix",
    "inv": "square matrix",
    "tr": "square matrix",
    "det": "square matrix",
    "logdet": "square matrix",
    "diag": "vector or matrix",
    "norm2": "vector",
    "frob2": "matrix",
    "colnorm2": "matrix",
    "rownorm2": "matrix",
    "sum": "vector or matrix",
    "prod": "vector",
    "exp": "number or vector",
    "log": "number or vector",
    "sqrt": "number or vector",
}

_INSTEAD = {
    ("inv", 0): "write 1/x for a number",
    ("inv", 1): "write 1/x for each entry of a vector",
    ("norm2", 2): "the squared norm of a matrix is frob2",
    ("frob2", 1): "the squared norm of a vector is norm2",
    ("norm2", 0): "write x**2 for a number",
    ("prod", 2): "take prod of a vector, for example of diag(S)",
    ("det", 1): "det works on a matrix; prod multiplies the entries of a vector",
    ("logdet", 1): "logdet works on a matrix; sum(log(v)) does it for a vector",
    ("tr", 1): "tr works on a matrix; sum adds up a vector",
    ("exp", 2): "for matrices it could mean two things; work on vectors such as diag(S)",
    ("log", 2): "for matrices it could mean two things; did you mean logdet?",
    ("sqrt", 2): "for matrices it could mean two things; say which matrix you need in another way",
}


class Unreadable(ValueError):  # noqa: N818 - the names are what a learner's answer is
    """The answer is not a formula of the language; the message says what to change."""


class Misfit(Unreadable):
    """The shapes in a formula do not go together."""


class Undefined(ValueError):  # noqa: N818
    """A step of the formula has no finite real value at this point."""


def describe(value: Any) -> str:
    """What a value is, in words: a number, a vector of length 3, a 5 × 3 matrix."""
    shape = np.shape(value)
    if len(shape) == 2:
        return f"a {shape[0]} × {shape[1]} matrix"
    return f"a vector of length {shape[0]}" if shape else "a number"


class Arithmetic:
    """The rules about shapes; the two subclasses give the numbers."""

    pi: Any

    def apply(self, op: str, args: list[Any]) -> Any:
        """Apply an operator or function; raises `Misfit` or `Undefined`."""
        if op in FUNCTIONS:
            result = self._function(op, args[0])
        elif op == "neg":
            result = -args[0]
        elif op == "[]":
            result = _stack(args)
        else:
            result = getattr(self, _METHODS[op])(*args)
        if not self.finite(result):
            raise Undefined("the value is not a finite real number.")
        return result

    def _function(self, name: str, x: Any) -> Any:
        wanted, ndim = FUNCTIONS[name], np.ndim(x)
        square = ndim == 2 and x.shape[0] == x.shape[1]
        if (("number", "vector", "matrix")[ndim] not in wanted) or ("square" in wanted and not square):
            instead = f"; {_INSTEAD[name, ndim]}" if (name, ndim) in _INSTEAD else ""
            raise Misfit(f"{name} needs a {wanted}, but this is {describe(x)}{instead}.")
        return getattr(self, name)(x)

    def add(self, a: Any, b: Any) -> Any:
        _fit_entrywise(a, b, "add")
        return a + b

    def subtract(self, a: Any, b: Any) -> Any:
        _fit_entrywise(a, b, "subtract")
        return a - b

    def multiply(self, a: Any, b: Any) -> Any:
        if np.ndim(a) and np.ndim(b) and not (np.ndim(a) == np.ndim(b) == 1 and a.shape == b.shape):
            raise Misfit(f"* multiplies {describe(a)} by {describe(b)}; the product of matrices and vectors is @.")
        return a * b

    def divide(self, a: Any, b: Any) -> Any:
        if np.ndim(b) == 2:
            raise Misfit("one cannot divide by a matrix; use inv and say on which side it stands.")
        if np.ndim(b) == 1 and np.ndim(a) and np.shape(a) != b.shape:
            raise Misfit(f"one cannot divide {describe(a)} by {describe(b)}.")
        if not np.all(b != 0):
            raise Undefined("here one divides by zero.")
        return a / b

    def matmul(self, a: Any, b: Any) -> Any:
        if not (np.ndim(a) and np.ndim(b)):
            raise Misfit(f"@ stands between matrices or vectors, but here are {describe(a)} and {describe(b)}; use *.")
        if np.ndim(a) == 1 and np.ndim(b) == 2 and b.shape[0] == 1:
            return a[:, None] @ b  # a column times a row
        if a.shape[-1] != b.shape[0]:
            raise Misfit(f"@ cannot join {describe(a)} and {describe(b)}; the inner sizes must agree.")
        product = a @ b
        return (
            product[0] if a.shape[0] == 1 and np.ndim(a) == 2 and np.ndim(b) == 1 else product
        )  # a row times a column

    def power(self, a: Any, b: Any) -> Any:
        if np.ndim(a) == 2:
            raise Misfit("a power of a matrix could mean two things; write S@S, or inv(S) for the inverse.")
        if np.ndim(b):
            raise Misfit(f"an exponent must be a number, but this is {describe(b)}.")
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

    def sqrt(self, x: Any) -> Any:
        if not np.all(x >= 0):
            raise Undefined("here one takes the square root of a negative number.")
        return self.root(x)

    def log(self, x: Any) -> Any:
        if not np.all(x > 0):
            raise Undefined("here one takes the log of a number that is not positive.")
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
        return bool(np.isfinite(x).all())

    def inv(self, x: Any) -> Any:
        try:
            return np.linalg.inv(x)
        except np.linalg.LinAlgError:
            raise Undefined("here one inverts a singular matrix.") from None

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
            raise Undefined("here one inverts a singular matrix.") from None
        return np.array(inverse.tolist(), dtype=object)

    def det(self, x: Any) -> Any:
        return self._context.det(self._context.matrix(x.tolist()))


def _fit_entrywise(a: Any, b: Any, verb: str) -> None:
    kinds = {np.ndim(a), np.ndim(b)}
    if kinds == {0, 2}:
        raise Misfit(f"one cannot {verb} a number and a matrix; do you mean the number times the identity, I_d or I_n?")
    if np.shape(a) != np.shape(b) and kinds != {0, 1}:
        raise Misfit(f"one cannot {verb} {describe(a)} and {describe(b)}.")


def _stack(rows: list[Any]) -> Any:
    """A list of numbers is a vector, a list of vectors of one length the matrix with these rows."""
    shapes = {np.shape(row) for row in rows}
    if len(shapes) > 1 or len(shapes.pop()) > 1:
        raise Misfit("the rows of a matrix must have the same length.")
    return np.array(rows)
