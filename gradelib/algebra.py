"""Proofs that sympy expressions are zero, by polynomial arithmetic, and the formula language over symbols.

An expression is written as a polynomial. What is no polynomial becomes a generator with a relation: an inverse 1/D with
D·(1/D) = 1, a root with its power, |a| with |a|² = a², a sine with sin² = 1 − cos². The relations then remove the
generators again, the denominators by multiplication, and what is left must have no terms. There is no greatest common
divisor, no simplification and no search. Logarithms stay linear; where they do not cancel, their arguments are
multiplied.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from functools import cached_property, reduce
from itertools import combinations
from math import gcd, lcm
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.polys.rings import PolyElement, PolyRing

from gradelib.marker.arithmetic import Arithmetic
from gradelib.marker.domains import split
from gradelib.marker.language import ShapeError

_TINY = 1e-12
_OPAQUE = (AppliedUndef, sp.Derivative, sp.Subs)


class AlgebraError(ValueError):
    """An expression that polynomial algebra does not reach, or a symbol without a meaning."""


def is_zero(expression: sp.Expr, squares: Mapping[sp.Symbol, sp.Expr] | None = None) -> bool:
    """Whether the expression is proved to be zero wherever it is defined; False means that this algebra has no proof.

    Takes sums, products, rational powers, `log` of positive arguments, `exp`, `sin`, `cos`, absolute values of what is
    real, symbols, and functions that are left undefined. `squares` maps symbols to what their squares are. Raises
    AlgebraError for anything else.
    """
    return _Polynomials(sp.sympify(expression), squares or {}).vanishes()


class _Polynomials:
    """The polynomial ring in which one expression is written."""

    def __init__(self, expression: sp.Expr, squares: Mapping[sp.Symbol, sp.Expr]) -> None:
        self.generators: dict[tuple[str, sp.Expr], int] = {}  # in the order in which one rests on the other
        self.units: dict[sp.Expr, int] = {}  # exp(m/u) is the generator of exp(k·m/u)
        self.squares = squares
        expression = expression.doit().replace(_is_root_of_a_sum, _primitive_root)
        expression = expression.replace(lambda node: isinstance(node, sp.Abs), _absolute_value)
        self.expression = sp.expand_trig(expression) if expression.has(sp.sin, sp.cos) else expression
        for node in self.expression.atoms(sp.exp):
            for factor, monomial in _terms(node.exp):
                self.units[monomial] = lcm(self.units.get(monomial, 1), int(factor.q))
        self._seen: set[sp.Expr] = set()
        self._collect(self.expression)
        self._memo: dict[sp.Expr, PolyElement] = {}

    @cached_property
    def ring(self) -> PolyRing:
        return sp.ring([f"x{i}" for i in range(max(1, len(self.generators)))], sp.ZZ)[0]

    def generator(self, kind: str, key: sp.Expr) -> PolyElement:
        return self.ring.gens[self.generators[kind, key]]

    # --- writing the expression

    def _name(self, kind: str, key: sp.Expr) -> None:
        self.generators.setdefault((kind, key), len(self.generators))

    def _collect(self, node: sp.Expr) -> None:
        """Name the generators that the expression needs, those that others rest on first."""
        if node in self._seen:
            return
        self._seen.add(node)
        if node.is_Rational:
            if node.q != 1:
                self._name("inverse", sp.Integer(node.q))  # numbers of the ring are integers, which are fast
            return
        if isinstance(node, sp.exp):
            for factor, monomial in _terms(node.exp):
                self._collect(monomial)
                base = sp.exp(monomial / self.units[monomial], evaluate=False)
                self._name("exp", base)
                if factor < 0:
                    self._name("inverse", base)
            return
        if isinstance(node, (sp.Symbol, *_OPAQUE)) or node == sp.pi:
            if node in self.squares:
                self._collect(self.squares[node])
            self._name("square" if node in self.squares else "free", node)
            return
        if node == sp.E:
            self._collect(sp.exp(1, evaluate=False))
            return
        for child in node.args:
            self._collect(child)
        if isinstance(node, sp.Pow):
            base, power = node.args
            if not power.is_Rational:
                raise AlgebraError(f"Algebra does not reach the power {node}: its exponent is no number.")
            if power < 0:
                self._name("inverse", base)
            if power.q != 1:
                self._name(f"root {power.q}", base)
        elif isinstance(node, sp.log):
            self._name("log", node.args[0])
        elif isinstance(node, sp.Abs):
            self._name("abs", node.args[0])
        elif isinstance(node, sp.sin | sp.cos):
            self._name("cos", node.args[0])
            self._name("sin", node.args[0])
        elif not isinstance(node, sp.Add | sp.Mul):
            raise AlgebraError(f"Algebra does not reach {type(node).__name__}, in {str(node)[:60]}.")

    def write(self, node: sp.Expr) -> PolyElement:
        if node not in self._memo:
            self._memo[node] = self._write(node)
        return self._memo[node]

    def _write(self, node: sp.Expr) -> PolyElement:
        if node.is_Rational:
            over = self.ring(int(node.p))
            return over if node.q == 1 else over * self.generator("inverse", sp.Integer(node.q))
        if node == sp.E:
            node = sp.exp(1, evaluate=False)
        if isinstance(node, sp.exp):
            powers = []
            for factor, monomial in _terms(node.exp):
                base = sp.exp(monomial / self.units[monomial], evaluate=False)
                count = int(factor * self.units[monomial])
                powers.append(self.generator("exp" if count > 0 else "inverse", base) ** abs(count))
            return reduce(lambda a, b: a * b, powers, self.ring.one)
        if isinstance(node, sp.Add):
            return sum((self.write(child) for child in node.args), self.ring.zero)
        if isinstance(node, sp.Mul):
            return reduce(lambda a, b: a * b, map(self.write, node.args), self.ring.one)
        if isinstance(node, sp.Pow):
            base, power = node.args
            whole, part = divmod(power, 1)
            result = self.write(base) ** int(whole) if whole >= 0 else self.generator("inverse", base) ** int(-whole)
            return result * self.generator(f"root {power.q}", base) ** int(part * power.q) if part else result
        for kind, function in (("log", sp.log), ("abs", sp.Abs), ("sin", sp.sin), ("cos", sp.cos)):
            if isinstance(node, function):
                return self.generator(kind, node.args[0])
        return self.generator("square" if node in self.squares else "free", node)

    # --- deciding

    def vanishes(self) -> bool:
        """Whether nothing is left once every relation is used."""
        polynomial = self.write(self.expression)
        for kind, key in reversed(self.generators):
            polynomial = self._without(polynomial, kind, key)
        return not polynomial or self._logs_cancel(polynomial) or self._vanishes_with_split_logs()

    def _vanishes_with_split_logs(self) -> bool:
        """The same once log(ab) is log a + log b, which is true of the absolute values."""
        split_logs = sp.expand_log(self.expression, force=True)
        return split_logs != self.expression and is_zero(split_logs, self.squares)

    def _without(self, polynomial: PolyElement, kind: str, key: sp.Expr) -> PolyElement:
        """The polynomial after the relation of one generator: zero exactly where it was zero before."""
        place = self.generators[kind, key]
        if kind in ("free", "log", "cos", "exp") or not polynomial.degree(place) > 0:
            return polynomial
        if kind == "square":
            square, order = self.write(self.squares[key]), 2
        elif kind == "abs":
            square, order = self.write(key) ** 2, 2
        elif kind == "sin":
            square, order = 1 - self.generator("cos", key) ** 2, 2
        elif kind == "inverse":
            denominator = self.generator("exp", key) if ("exp", key) in self.generators else self.write(key)
            result = self.ring.zero
            for coefficient in self._coefficients(polynomial, place):
                result = result * denominator + coefficient
            return result
        else:
            square, order = self.write(key), int(kind.split()[1])
        generator = self.ring.gens[place]
        while polynomial.degree(place) >= order:
            parts = self._coefficients(polynomial, place)
            polynomial = sum(
                (part * square ** (power // order) * generator ** (power % order) for power, part in enumerate(parts)),
                self.ring.zero,
            )
        return polynomial

    def _coefficients(self, polynomial: PolyElement, place: int) -> list[PolyElement]:
        """The coefficients of the powers of one generator, from the constant one on."""
        parts: list[dict[tuple[int, ...], Any]] = [{} for _ in range(polynomial.degree(place) + 1)]
        for monomial, coefficient in polynomial.terms():
            parts[monomial[place]][(*monomial[:place], 0, *monomial[place + 1 :])] = coefficient
        return [self.ring.from_dict(part) for part in parts]

    def _logs_cancel(self, polynomial: PolyElement) -> bool:
        """Whether Σ cᵢ log aᵢ = 0, because among the cᵢ that are multiples of each other Π aᵢ^cᵢ = 1."""
        logs = {place: key for (kind, key), place in self.generators.items() if kind == "log"}
        shares: dict[PolyElement, dict[sp.Expr, int]] = {}
        for place, argument in logs.items():
            constant, *rest = self._coefficients(polynomial, place)
            if len(rest) > 1:
                return False
            polynomial = constant
            if rest:
                factor, coefficient = rest[0].primitive()
                if any(coefficient.degree(other) > 0 for other in logs):
                    return False
                if coefficient.LC < 0:
                    factor, coefficient = -factor, -coefficient
                shares.setdefault(coefficient, {})[argument] = int(factor)
        return not polynomial and all(self._product_is_one(powers) for powers in shares.values())

    def _product_is_one(self, powers: Mapping[sp.Expr, int]) -> bool:
        """Whether Π aᵢ^cᵢ = 1; a random point suggests the smallest groups in which to prove it."""
        left = dict(powers)
        sizes = _logarithms(left, self.squares)
        while left:
            groups = (group for count in range(1, len(left) + 1) for group in combinations(left, count))
            group = next((g for g in groups if abs(sum(left[a] * sizes[a] for a in g)) < _TINY), None)
            if group is None or not self._is_one({argument: left.pop(argument) for argument in group}):
                return False
        return True

    def _is_one(self, powers: Mapping[sp.Expr, int]) -> bool:
        above, below = sp.Integer(1), sp.Integer(1)
        common = gcd(*powers.values())
        for argument, power in powers.items():
            count = power // common
            above, below = (above * argument**count, below) if count > 0 else (above, below * argument**-count)
        return is_zero(above - below, self.squares)


def _logarithms(arguments: Iterable[sp.Expr], squares: Mapping[sp.Symbol, sp.Expr]) -> dict[sp.Expr, float]:
    """The logarithms of |aᵢ| at a random point, to see which of them may cancel."""
    arguments = list(arguments)
    free = sorted({node for one in arguments for node in one.atoms(sp.Symbol, *_OPAQUE)}, key=str)
    rule = {
        node: 1 if node in squares else sp.Rational(random.Random(str(node)).randint(64, 256), 128) for node in free
    }
    with mpmath.workdps(30):
        return {one: mpmath.log(abs(mpmath.mpmathify(sp.sympify(one.xreplace(rule)).evalf(30)))) for one in arguments}


def _is_root_of_a_sum(node: sp.Basic) -> bool:
    return (
        isinstance(node, sp.Pow) and node.exp.is_Rational and not node.exp.is_Integer and isinstance(node.base, sp.Add)
    )


def _absolute_value(node: sp.Abs) -> sp.Expr:
    """|−2a − 2b| as 2|a + b|, so that multiples share a generator."""
    number, base = sp.expand(node.args[0]).primitive()
    leading = sp.Poly(base).LC() if base.free_symbols and base.is_polynomial() else 1
    return abs(number) * sp.Abs(-base if leading < 0 else base, evaluate=False)


def _primitive_root(node: sp.Pow) -> sp.Expr:
    """√(a/2 + b/2) as √½·√(a + b), so that roots of multiples share a generator."""
    number, base = sp.expand(node.base).primitive()
    return number**node.exp * base**node.exp


def _terms(exponent: sp.Expr) -> Iterable[tuple[sp.Rational, sp.Expr]]:
    return [term.as_coeff_Mul(rational=True) for term in sp.Add.make_args(sp.expand(exponent))]


# --- the formula language over symbols


class Symbolic(Arithmetic):
    """The arithmetic of formulas with sympy expressions as entries."""

    pi = sp.pi

    def number(self, value: float) -> Any:
        return sp.Rational(repr(value)) if isinstance(value, float) else sp.Integer(value)

    def lift(self, value: Any) -> Any:
        """A sympy object as a number, a vector (k,) or a matrix (k, l); one column is a vector."""
        if isinstance(value, sp.MatrixBase):
            entries = np.array(value.tolist(), dtype=object)
            return entries[:, 0] if value.cols == 1 else entries
        return value

    def finite(self, x: Any) -> bool:
        return not any(sp.sympify(entry).has(sp.nan, sp.zoo, sp.oo) for entry in np.ravel(x))

    def divide(self, a: Any, b: Any) -> Any:
        if np.ndim(b) == 2:
            raise ShapeError("shape_divide_matrix")
        return a / b

    def exp(self, x: Any) -> Any:
        return _each(sp.exp, x)

    def ln(self, x: Any) -> Any:
        return _each(sp.log, x)

    def root(self, x: Any) -> Any:
        return _each(sp.sqrt, x)

    log, sqrt = ln, root  # whether a symbol may stand there is asked at points

    def raise_to(self, a: Any, b: Any) -> Any:
        return a**b

    def diagonal_matrix(self, x: Any) -> Any:
        matrix = np.full((len(x), len(x)), sp.Integer(0), dtype=object)
        np.fill_diagonal(matrix, x)
        return matrix

    def det(self, x: Any) -> Any:
        return _determinant(x)

    def inv(self, x: Any) -> Any:
        return _inverse(x)


def _inverse(x: np.ndarray) -> np.ndarray:
    """The inverse (d, d) by cofactors over one determinant."""
    size = len(x)
    if size == 1:
        return 1 / x
    cofactors = np.empty((size, size), dtype=object)
    for i in range(size):
        for j in range(size):
            minor = np.delete(np.delete(x, i, 0), j, 1)
            cofactors[j, i] = (-1) ** (i + j) * _determinant(minor)
    return cofactors / _determinant(x)


def det(matrix: sp.MatrixBase) -> sp.Expr:
    """The determinant by its first row, left as it is: `Matrix.det` would try to simplify it."""
    return sp.sympify(_determinant(np.array(matrix.tolist(), dtype=object)))


def inverse(matrix: sp.MatrixBase) -> sp.Matrix:
    """The inverse by cofactors over one determinant, left as it is: `Matrix.inv` would try to simplify it."""
    return sp.Matrix(_inverse(np.array(matrix.tolist(), dtype=object)).tolist())


def _determinant(x: np.ndarray) -> Any:
    if len(x) == 1:
        return x[0, 0]
    minors = (np.delete(x[1:], j, 1) for j in range(len(x)))
    return sum((-1) ** j * x[0, j] * _determinant(minor) for j, minor in enumerate(minors) if x[0, j] != 0)


def _each(function: Any, x: Any) -> Any:
    return np.frompyfunc(function, 1, 1)(x) if np.ndim(x) else function(x)


def symbols(domains: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, Any]:
    """A sympy number, column or matrix for each name, with a symbol for every entry that is free.

    Where the square root of a matrix is named too, the root has the symbols. Orthogonal matrices are Cayley's, times a
    sign f with f² = 1 in the first row.
    """
    values: dict[str, Any] = {}
    roots = {split(domain)[1]: name for name, domain in domains.items() if split(domain)[0] in ("sqrt", "sqrtneg")}
    for name, domain in domains.items():
        kind, argument = split(domain)
        shape = [sizes[size] for size in argument.split(",")] if argument and kind not in ("sqrt", "sqrtneg") else []
        if name not in roots and kind not in ("sqrt", "sqrtneg"):
            values[name] = _value(name, kind, shape)
    for name, root in roots.items():
        kind, argument = split(domains[name])
        size = sizes[argument]
        if kind == "negdiag":
            values[root] = _diagonal(root, size, positive=True)
            values[name] = -values[root] * values[root]
        else:
            values[root] = _symmetric(root, size)
            values[name] = values[root] * values[root]
    return values


def _value(name: str, kind: str, shape: list[int]) -> Any:
    if kind in ("real", "pos", "unit"):
        return sp.Symbol(name, positive=True) if kind != "real" else sp.Symbol(name, real=True)
    if kind == "dim":
        return sp.Integer(shape[0])
    if kind == "eye":
        return sp.eye(shape[0])
    if kind in ("vector", "posvector", "negvector"):
        sign = {"posvector": {"positive": True}, "negvector": {"negative": True}}.get(kind, {"real": True})
        return sp.Matrix([sp.Symbol(f"{name}_{i + 1}", **sign) for i in range(shape[0])])
    if kind == "matrix":
        return sp.Matrix(*shape, lambda i, j: sp.Symbol(f"{name}_{i + 1}{j + 1}", real=True))
    if kind == "negdiag":
        return _diagonal(name, shape[0], negative=True)
    if kind == "orth":
        return _orthogonal(name, shape[0])
    return _symmetric(name, shape[0])


def known_squares(domains: Mapping[str, str]) -> dict[sp.Symbol, sp.Expr]:
    """What is known of the symbols of `symbols`: the signs of orthogonal matrices have the square 1."""
    turned = [name for name, domain in domains.items() if split(domain)[0] == "orth"]
    return {sp.Symbol(f"{name}_flip", real=True): sp.Integer(1) for name in turned}


def _symmetric(name: str, size: int) -> sp.Matrix:
    return sp.Matrix(size, size, lambda i, j: sp.Symbol(f"{name}_{min(i, j) + 1}{max(i, j) + 1}", real=True))


def _diagonal(name: str, size: int, **sign: bool) -> sp.Matrix:
    return sp.diag(*(sp.Symbol(f"{name}_{i + 1}{i + 1}", **sign) for i in range(size)))


def _orthogonal(name: str, size: int) -> sp.Matrix:
    skew = sp.Matrix(size, size, lambda i, j: _skew_entry(name, i, j))
    turn = (sp.eye(size) - skew) * inverse(sp.eye(size) + skew)
    flip = sp.eye(size)
    flip[0, 0] = sp.Symbol(f"{name}_flip", real=True)  # its square is 1: `known_squares`
    return flip * turn


def _skew_entry(name: str, i: int, j: int) -> sp.Expr:
    symbol = sp.Symbol(f"{name}_{min(i, j) + 1}{max(i, j) + 1}", real=True)
    return sp.Integer(0) if i == j else symbol if i < j else -symbol
