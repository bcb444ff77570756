"""Exact checks of equations: both sides with a symbol for every entry, and their difference proved to be zero.

The left side comes from its definition: a derivative, a sum, an average, an equation to be solved. A chapter computes
it with sympy, from matrices that the check hands to a function by name:

    def slope(J, H, S, D, beta):
        return sp.diff(objective(J, H, S + t * D, beta), t).subs(t, 0)

    exact("eq-slope", slope, "beta/2*tr((inv(S) - I_d + T(J)@H@J/beta)@D)", D="sym:d")

The right side is a formula in the language of the exercises. The proof clears denominators and counts terms, see
`gradelib.algebra`. Then every mutant of both sides is computed with 50 digits at rational points, where it must differ
from the other side. A left side that is a program has its inputs mutated, see `gradelib.program_mutation`.
"""

from __future__ import annotations

import inspect
import time
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.polys.polyerrors import CoercionFailed
from sympy.polys.rings import PolyRing

from gradelib import equations
from gradelib.algebra import AlgebraError, Symbolic, det, inverse, is_zero, known_squares, symbols
from gradelib.equations import Check, EquationError
from gradelib.marker.arithmetic import describe
from gradelib.marker.compare import DIGITS, REJECT, points
from gradelib.marker.domains import ALWAYS, split
from gradelib.marker.language import Formula, Name, Node, Number, ShapeError, UndefinedError
from gradelib.marker.mutation import mutants
from gradelib.marker.reading import read
from gradelib.program_mutation import Program, program_mutants
from gradelib.typeset import SYMBOLS, symbol_of, tex

__all__ = ["by_squares", "det", "exact", "expectation", "inverse", "normal_moment"]

SIZES = ({"n": 3, "d": 2}, {"n": 2, "d": 3})
_GIVEN = "given"  # the domain of a name that stands for a sympy object
_SCALARS = ("real", "pos", "unit")
_UNDONE = (sp.Derivative, sp.Integral, sp.Sum, sp.Product)
# What a left side that is a program may have done to earn the right's very form.
_DERIVING = {"Derivative", "Integral", "Poly", "Sum", "det", "diff", "expand", "expectation", "hessian", "integrate"}
_DERIVING |= {"combinations", "inverse", "jacobian", "series", "solve", "subs"}
_OPAQUE = (AppliedUndef, sp.Derivative, sp.Subs)
_EXACT = 1e-30
_POINTS = 2  # at each pair of sizes


def exact(
    label: str,
    left: Any,
    right: Any,
    *,
    solves: str = "",
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    case: tuple[str, str] | None = None,
    symbols: Mapping[str, str] | None = None,
    **values: Any,
) -> Check:
    """Prove that `left` equals the formula `right`, with a symbol for every entry, at each pair of `sizes`.

    `left` is a function of named sympy numbers, columns and matrices, a sympy expression or a list of them, or the
    typeset left side as a formula. With `solves="S"` it is an equation instead: `left` must vanish once `right` stands
    in the place of `S`.
    `values` declares names: a domain as in `identity`, a sympy object for which the name stands, or a function of other
    names that makes one at each pair of sizes. `case` and `symbols` are as in `identity`. Derivatives, sums and
    integrals may be handed over unevaluated. Raises EquationError where there is no proof, where both sides are the
    same expression before anything is computed, and where a mutant of either side passes as well.
    """
    left = sp.Matrix(left) if isinstance(left, list) else left
    kind = "solution" if solves else "identity"
    claim = _Claim(label, kind, (left,), right, solves, sizes, values, symbols or {})
    return claim.checked(excuse, case)


def by_squares(
    label: str,
    smaller: Any,
    larger: Any,
    certificate: str,
    *,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    case: tuple[str, str] | None = None,
    symbols: Mapping[str, str] | None = None,
    **values: Any,
) -> Check:
    """Prove an inequality: `larger` − `smaller` equals `certificate`, which is never negative on the face of it.

    A certificate is made of squares, squared norms, positive names and numbers by sums, products and quotients. The
    two sides are formulas, or functions as in `exact`. Raises as `exact` does, and for any other certificate.
    """
    claim = _Claim(label, "inequality", (larger, smaller), certificate, "", sizes, values, symbols or {})
    if (place := _maybe_negative(claim.formula.root, claim.spec)) is not None:
        raise EquationError(f"{label}: the certificate is not seen to be positive in {Formula(place).text}.")
    return claim.checked(excuse, case)


def expectation(polynomial: Any, noise: Sequence[sp.Symbol], moment: Callable[[int], Any] | None = None) -> sp.Expr:
    """The mean of a polynomial in independent `noise` variables, whose k-th powers have the means `moment(k)`.

    Without `moment` each variable is from N(0, 1).
    """
    moment = moment or normal_moment
    return sp.Add(
        *(factor * sp.prod(moment(power) for power in powers) for powers, factor in _terms(polynomial, noise))
    )


def _terms(polynomial: Any, variables: Sequence[sp.Symbol]) -> list[tuple[tuple[int, ...], sp.Expr]]:
    """Exponents of the variables and coefficient of each term."""
    expression = sp.sympify(polynomial)
    others = sorted(expression.free_symbols - set(variables), key=str)
    domain = sp.QQ[others] if others else sp.QQ
    try:  # several times faster than `Poly`, which expands the expression first
        terms = PolyRing(variables, domain, sp.lex).from_expr(expression).terms()
    except (CoercionFailed, ValueError):  # a coefficient is no polynomial
        return sp.Poly(expression, *variables).terms()
    return [(powers, domain.to_sympy(factor)) for powers, factor in terms]


def normal_moment(k: int) -> sp.Integer:
    """The mean of εᵏ for ε from N(0, 1): by parts 1·3·5⋯(k − 1) for even k, and 0 for odd k."""
    return sp.Integer(0) if k % 2 else sp.prod(range(1, k, 2))


# --- the check


@dataclass(frozen=True)
class _Claim:
    """What is checked: the first of `sides` less the others equals `right`, or is zero where `right` is put in."""

    label: str
    kind: str
    sides: tuple[Any, ...]
    right: Any
    solves: str
    sizes: Sequence[Mapping[str, int]]
    given: Mapping[str, Any]
    symbols: Mapping[str, str]

    @cached_property
    def spec(self) -> dict[str, str]:
        return _spec((*self.sides, self.right), self.given)

    @cached_property
    def formula(self) -> Formula:
        return _formula(self.label, self.right, self.spec)

    @cached_property
    def formulas(self) -> tuple[Formula | None, ...]:
        """The sides that are formulas, and None for those that are programs or expressions."""
        return tuple(_formula(self.label, side, self.spec) if isinstance(side, str) else None for side in self.sides)

    def checked(self, excuse: Mapping[str, str] | None, case: tuple[str, str] | None) -> Check:
        started = time.process_time()
        try:
            cases = self._cases()
            for one in cases:
                _prove(one, self.formula)
        except _NoProofError as error:
            raise EquationError(f"{self.label} {error}") from None
        except (_NoValueError, ShapeError, UndefinedError, AlgebraError) as error:
            raise EquationError(f"{self.label}: {error}") from None
        found = _Mutants()
        self._spoil_the_right_side(cases, found)
        self._spoil_the_other_sides(cases, found)
        return Check(
            label=self.label,
            kind=self.kind,
            points=_POINTS * len(cases),
            tried=sum(found.by_side.values()),
            same=found.same,
            excused=equations.excused(self.label, found.survivors, excuse or {}),
            evidence="exact",
            sizes=tuple((one.sizes["n"], one.sizes["d"]) for one in cases if self.has_sizes and one.has_arrays),
            seconds=round(time.process_time() - started, 2),
            case=equations.case_in_words(self.label, case),
            by_side=found.by_side,
            formula=self._typeset(),
        )

    @cached_property
    def domains(self) -> dict[str, str]:
        """Of the names that occur."""
        used = _used(self.label, (*self.sides, self.formula), self.solves, self.spec, self.given)
        return {name: self.spec[name] for name in used}

    @cached_property
    def has_sizes(self) -> bool:
        """Whether n and d decide the shape of anything: numbers have none, and an object that is given has its own."""
        made = any(isinstance(self.given.get(name), types.FunctionType) for name in self.domains)
        return made or not all(split(domain)[0] in (*_SCALARS, _GIVEN) for domain in self.domains.values())

    def _cases(self) -> list[_Case]:
        domains = self.domains | ALWAYS  # mutants may name a size
        sizes = self.sizes if self.has_sizes else self.sizes[:1]
        return [_case(self.sides, self.formula, self.solves, size, domains, self.given) for size in sizes]

    def _typeset(self) -> str:
        sides = [self._typeset_side(side) for side in self.sides]
        right = tex(self.formula, self.symbols, self.spec)
        if self.solves:
            unknown = symbol_of(self.solves, {**SYMBOLS, **self.symbols}, self.spec)
            return rf"{sides[0]} = 0 \text{{ at }} {unknown} = {right}"
        return " - ".join(sides) + f" = {right}"

    def _typeset_side(self, side: Any) -> str:
        """TeX for a side that may be a formula, a program, which has its name, or an expression in some symbols."""
        if isinstance(side, str | types.FunctionType):
            return equations.typeset(equations.side_of(side, self.spec), self.symbols, self.spec)
        return rf"\text{{an expression in }} {', '.join(sorted(map(sp.latex, side.free_symbols)))}"

    def _spoil_the_right_side(self, cases: Sequence[_Case], found: _Mutants) -> None:
        made = [name for name in self.given if self.spec[name] == _GIVEN and name in cases[0].values]
        kinds = {**self.spec, **{name: _kind_of(cases[0].values[name]) for name in made}}
        place = "certificate" if len(self.sides) > 1 else "right"
        for change, mutant in mutants(self.formula, kinds):
            refused = any(_refuses(case, mutant) for case in cases)
            found.note(place, mutant.text, change, refused, partial(_all_equal, cases, self.formula, mutant))

    def _spoil_the_other_sides(self, cases: Sequence[_Case], found: _Mutants) -> None:
        places = ("left",) if len(self.sides) == 1 else ("right", "left")  # the larger side comes first
        for part, (place, side, formula) in enumerate(zip(places, self.sides, self.formulas, strict=True)):
            if formula and not self.solves:  # a factor of an equation changes no solution
                for change, mutant in mutants(formula, self.spec):
                    refused = any(_refuses(case, self.formula, (part, mutant)) for case in cases)
                    found.note(place, mutant.text, change, refused, partial(_all_equal, cases, formula, mutant))
            elif isinstance(side, types.FunctionType):
                for program in program_mutants(side, cases[0].domains):
                    refused = any(_refuses(case, self.formula, (part, program)) for case in cases)
                    found.note(
                        place, program.name, "inputs of a program", refused, partial(_all_alike, cases, part, program)
                    )


@dataclass
class _Mutants:
    """What became of the mutants."""

    by_side: dict[str, int] = field(default_factory=dict)
    same: int = 0
    survivors: list[tuple[str, str]] = field(default_factory=list)

    def note(self, place: str, text: str, change: str, refused: bool, same: Callable[[], bool]) -> None:
        if refused:
            self.by_side[place] = self.by_side.get(place, 0) + 1
        elif same():
            self.same += 1
        else:
            self.survivors.append((text, change))


def _refuses(case: _Case, right: Formula, spoilt: tuple[int, Formula | Program] | None = None) -> bool:
    """Whether a mutant is refused at one pair of sizes; having no value there is a refusal too."""
    try:
        return case.clearly_differs(right, spoilt) or case.refusal(right, spoilt) is not None
    except (_NoValueError, ShapeError, UndefinedError):
        return True


def _all_equal(cases: Sequence[_Case], a: Formula, b: Formula) -> bool:
    return all(is_zero(entry, case.squares) for case in cases for entry in case.apart(a, b))


def _all_alike(cases: Sequence[_Case], part: int, program: Program) -> bool:
    return not any(case.tells_apart(part, program) for case in cases)


class _NoProofError(ValueError):
    """The claim is wrong, or this algebra has no proof of it; the message goes on after the label."""


class _NoValueError(ValueError):
    """A side has no real value at a point, or another shape than the other side."""


def _prove(case: _Case, right: Formula) -> None:
    """Raise `_NoProofError` unless the claim holds at rational points, and then in the polynomial ring too."""
    if failure := case.refusal(right):
        raise _NoProofError(f"does not hold: {failure}")
    if case.restates(right):
        raise _NoProofError(
            "proves nothing: both sides are one expression before anything is computed. Hand over the derivative, sum "
            "or integral unevaluated, or with `solves` the equation that the right side solves."
        )
    if not all(is_zero(entry, case.squares) for entry in case.difference(right)):
        raise _NoProofError(f"holds at rational points with {case.where}, but this algebra has no proof of it.")


# --- names


def _spec(sides: Sequence[Any], given: Mapping[str, Any]) -> dict[str, str]:
    """The domains of all names; what is given as a sympy object has none."""
    declared = {name: value if isinstance(value, str) else _GIVEN for name, value in given.items()}
    return equations.domains_of(sides, declared)


def _formula(label: str, right: Any, names: Iterable[str]) -> Formula:
    formula = read(right, names, more=equations.MORE_FUNCTIONS)
    if not isinstance(formula, Formula):
        raise EquationError(f"{label}: the right side of an exact check is a formula, not a program.")
    return formula


def _used(
    label: str, sides: Sequence[Any], solves: str, spec: Mapping[str, str], given: Mapping[str, Any]
) -> list[str]:
    """The names that occur in the sides, those that make others, and those whose roots occur."""
    found = {solves} - {""}
    for side in sides:
        if isinstance(side, str):
            side = read(side, spec, more=equations.MORE_FUNCTIONS)
        if isinstance(side, Formula):
            found |= side.names
        elif isinstance(side, sp.Basic | sp.MatrixBase):
            found |= {symbol.name for symbol in side.free_symbols} & set(spec)
        else:
            found |= set(inspect.signature(side).parameters)
    made = (given[name] for name in found & set(given) if callable(given[name]))
    found |= {parameter for make in made for parameter in inspect.signature(make).parameters}
    if unknown := sorted(found - set(spec)):
        raise EquationError(f'{label}: nothing says what {unknown[0]} is; declare it, for example {unknown[0]}="pos".')
    found |= {split(spec[name])[1] for name in found if split(spec[name])[0] in ("sqrt", "sqrtneg")}
    return sorted(found)


def _kind_of(value: Any) -> str:
    """A domain for the mutants of a name that stands for a sympy object: whether it has an inverse or a transpose."""
    shape = np.shape(value)
    return "real" if not shape else "vector:d" if len(shape) == 1 else "sym:d" if len(set(shape)) == 1 else "matrix:n,d"


def _maybe_negative(node: Node, spec: Mapping[str, str]) -> Node | None:
    """The first part of a certificate that might be negative, or None."""
    if isinstance(node, Number):
        return None
    if isinstance(node, Name):
        return None if split(spec.get(node.name, ""))[0] in ("pos", "unit", "dim", "posvector") else node
    if node.op in ("norm2", "frob2", "colnorm2", "rownorm2", "exp", "sqrt"):
        return None
    if node.op == "**":
        even = isinstance(node.args[1], Number) and node.args[1].value % 2 == 0
        return None if even else _maybe_negative(node.args[0], spec)
    if node.op == "-" and node.args[0] == Number(1) and isinstance(node.args[1], Name):
        return None if spec.get(node.args[1].name) == "unit" else node
    if node.op in ("+", "*", "/", "sum", "prod"):
        return next((bad for part in node.args if (bad := _maybe_negative(part, spec)) is not None), None)
    return node


# --- one pair of sizes


@dataclass(frozen=True)
class _Case:
    """The claim at one pair of sizes."""

    sizes: Mapping[str, int]
    domains: Mapping[str, str]  # of the names that have one
    values: Mapping[str, Any]  # of all names, as the arithmetic of formulas wants them: symbols, or made of them
    parts: tuple[Any, ...]  # of the left side: each a sympy number, or an array of them; the first less the others
    raw: Any  # the same as it was handed over, before derivatives, sums and integrals were done
    unknown: Any = None  # what stands in the left side for the name that is solved for

    @cached_property
    def left(self) -> Any:
        first, *rest = self.parts
        for other in rest:
            first = first - other
        return first

    @property
    def where(self) -> str:
        return f"n = {self.sizes['n']} and d = {self.sizes['d']}"

    @property
    def has_arrays(self) -> bool:
        named = (value for name, value in self.values.items() if name not in ALWAYS)
        return any(np.ndim(value) for value in (*named, self.left))

    @cached_property
    def squares(self) -> dict[sp.Symbol, sp.Expr]:
        return known_squares(self.domains)

    def restates(self, right: Formula) -> bool:
        if self.raw is None:
            return False
        value = right.evaluate_with(Symbolic(), self.values)
        return np.shape(value) == np.shape(self.raw) and _flat(value) == _flat(self.raw)

    def difference(self, right: Formula) -> list[sp.Expr]:
        """The entries that must vanish."""
        value = right.evaluate_with(Symbolic(), self.values)
        if self.unknown is None:
            return _flat(self.left - value)
        rule: dict[sp.Symbol, Any] = {}
        pairs = zip(_flat(self.unknown), _flat(value), strict=True)
        twice = [entry - rule.setdefault(symbol, entry) for symbol, entry in pairs]
        return [*(sp.sympify(entry).xreplace(rule) for entry in _flat(self.left)), *twice]

    def apart(self, a: Formula, b: Formula) -> list[sp.Expr]:
        """The entries that must vanish for two formulas to be the same function."""
        return _flat(a.evaluate_with(Symbolic(), self.values) - b.evaluate_with(Symbolic(), self.values))

    # --- at rational points

    def refusal(self, right: Formula, spoilt: tuple[int, Formula | Program] | None = None) -> str | None:
        """Where the claim fails at a rational point, or None; raises where a formula has no value.

        With `spoilt` one of the parts of the left side is a mutant.
        """
        for index, (_, values) in enumerate(self._points):
            value = right.evaluate(values, DIGITS)
            _same_shape(self.left if self.unknown is None else self.unknown, value)
            with mpmath.workdps(DIGITS):
                if self.unknown is None:
                    a, b = self._left_at(index, spoilt), _flat(value)
                else:
                    a, b = self._with_unknown(self._moved(index, spoilt), _flat(value))
                gap = max(abs(x - y) for x, y in zip(a, b, strict=True))
                size = 1 if self.unknown is not None else max(1e-6, *map(abs, [*a, *b]))
            if not gap <= _EXACT * size:
                shown = "; ".join(
                    f"{name} = {[round(float(x), 6) for x in side]}" for name, side in (("left", a), ("right", b))
                )
                return f"at a rational point with {self.where}, {shown}."
        return None

    def clearly_differs(self, right: Formula, spoilt: tuple[int, Formula | Program] | None) -> bool:
        """Whether float64 is enough to see that formulas differ at the first point, by far more than rounding."""
        if self.unknown is not None or (spoilt is not None and isinstance(spoilt[1], Program)):
            return False
        values, sides = self._first_in_float64
        value = np.ravel(right.evaluate(values))
        if spoilt is not None and isinstance(spoilt[1], Formula):
            sides = [
                np.ravel(spoilt[1].evaluate(values)) if part == spoilt[0] else side for part, side in enumerate(sides)
            ]
        if any(side.shape != value.shape for side in sides):
            return False
        left = sides[0] - sum(sides[1:])
        size = max(1e-6, *(np.max(np.abs(side)) for side in (*sides, value)))
        return bool(np.max(np.abs(left - value)) > REJECT * size)

    @cached_property
    def _first_in_float64(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The values of the names at the first point, and the parts of the left side."""
        values = {name: np.asarray(value, dtype=float)[()] for name, value in self._points[0][1].items()}
        return values, [np.array(part, dtype=float) for part in self._parts_at_points[0]]

    def tells_apart(self, part: int, program: Program) -> bool:
        """Whether a part of the left side and its mutant differ at a rational point."""
        rng = np.random.default_rng(_POINTS)
        unknown = [mpmath.mpf(float(number)) for number in rng.integers(16, 160, len(self._free)) / 64]
        for index, (place, _) in enumerate(self._points):
            with mpmath.workdps(DIGITS):
                a, b = (self._run(part, *where, *unknown) for where in (place, self._moved(index, (part, program))))
                if max(abs(x - y) for x, y in zip(a, b, strict=True)) > _EXACT * max(1e-6, *map(abs, [*a, *b])):
                    return True
        return False

    def _left_at(self, index: int, spoilt: tuple[int, Formula | Program] | None) -> list[Any]:
        """The entries of the left side at a point, where one of its parts may be a mutant."""
        parts = list(self._parts_at_points[index])
        if spoilt is not None:
            part, mutant = spoilt
            if isinstance(mutant, Formula):
                value = mutant.evaluate(self._points[index][1], DIGITS)
                _same_shape(self.parts[part], value)
                parts[part] = _flat(value)
            else:
                parts[part] = self._run(part, *self._moved(index, spoilt))
        first, *rest = parts
        for other in rest:
            first = [x - y for x, y in zip(first, other, strict=True)]
        return first

    def _with_unknown(self, place: Sequence[Any], value: list[Any]) -> tuple[list[Any], list[Any]]:
        """What must be equal where the right side has the entries `value`, and the left side must vanish."""
        names = _flat(self.unknown)
        found = dict(zip(names, value, strict=True))
        left = self._run(0, *place, *found.values())
        return [*left, *(found[name] for name in names)], [*(0 * one for one in left), *value]

    def _moved(self, index: int, spoilt: tuple[int, Formula | Program] | None) -> list[Any]:
        """The numbers for the symbols at a point, after a mutant has changed the inputs of its program."""
        place = list(self._points[index][0])
        if spoilt is None or isinstance(spoilt[1], Formula):
            return place
        known = dict(zip(self._symbols, place, strict=True))
        other = dict(zip(self._symbols, self._frozen, strict=True))
        inputs = {name: self._in_symbols(name, known) for name in spoilt[1].parameters if name in self.domains}
        frozen = {name: self._in_symbols(name, other) for name in inputs}
        changed = spoilt[1].change(inputs, frozen)
        for name, value in changed.items():
            if value is not inputs[name]:
                known |= zip(self._symbols_of(name), _flat(value), strict=True)
        return [known[symbol] for symbol in self._symbols]

    def _symbols_of(self, name: str) -> list[sp.Symbol]:
        """The symbols of which an input is made: its entries, or those of its root, or Cayley's."""
        entries = _flat(self.values[name]) if name in self.values else _flat(self.unknown)
        if all(isinstance(entry, sp.Symbol) for entry in entries):
            return entries
        free = {symbol for entry in entries for symbol in sp.sympify(entry).free_symbols}
        return [symbol for symbol in self._symbols if symbol in free]

    def _in_symbols(self, name: str, known: Mapping[sp.Symbol, Any]) -> np.ndarray:
        """The numbers for the symbols of an input, in its own shape where they are its entries."""
        names = self._symbols_of(name)
        numbers = np.array([known.get(symbol, mpmath.mpf(1)) for symbol in names], dtype=object)
        shape = np.shape(self.values.get(name, self.unknown))
        return numbers.reshape(shape) if len(names) == int(np.prod(shape, dtype=int)) else numbers

    @cached_property
    def _symbols(self) -> list[sp.Symbol]:
        entries = [entry for part in (self.left, *self.values.values()) for entry in _flat(part)]
        found = {symbol for entry in entries for symbol in sp.sympify(entry).free_symbols}
        return sorted(found - set(_flat(self.unknown)), key=lambda symbol: symbol.name)

    @cached_property
    def _points(self) -> list[tuple[list[Any], dict[str, Any]]]:
        """Rational numbers for the symbols, and what the names are there, with 50 digits."""
        with mpmath.workdps(DIGITS):
            return [self._point(seed) for seed in range(_POINTS)]

    @cached_property
    def _frozen(self) -> list[Any]:
        """Numbers for the symbols that are at no point, for what is frozen."""
        with mpmath.workdps(DIGITS):
            return self._point(_POINTS)[0]

    def _point(self, seed: int) -> tuple[list[Any], dict[str, Any]]:
        numbers: dict[Any, float] = {}
        drawn = next(points(dict(self.domains), seed=seed, sizes=(dict(self.sizes),))).values()
        for name, domain in self.domains.items():
            if name in self.values and split(domain)[0] != "orth":  # its symbols are not its entries
                numbers |= zip(_flat(self.values[name]), map(float, np.ravel(drawn[name])), strict=True)
        rng = np.random.default_rng(seed)
        for symbol in self._symbols:
            sign = 1.0 if symbol.is_positive else rng.choice([-1.0, 1.0])
            number = (-1.0) ** seed if symbol in self.squares else sign * rng.integers(16, 160) / 64
            numbers.setdefault(symbol, number)
        place = [mpmath.mpf(numbers[symbol]) for symbol in self._symbols]
        return place, {name: self._number(name, place) for name in self.values}

    def _number(self, name: str, place: Sequence[Any]) -> Any:
        try:
            entries = [mpmath.mpf(entry) for entry in self._makers[name](*place)]
        except (ZeroDivisionError, TypeError):  # a complex number is no mpf
            raise _NoValueError(f"a name has no real value at a point with {self.where}.") from None
        shape = np.shape(self.values[name])
        return np.array(entries, dtype=object).reshape(shape) if shape else entries[0]

    @cached_property
    def _makers(self) -> dict[str, Callable[..., Any]]:
        """What gives the entries of each name, of the numbers for the symbols."""
        return {name: sp.lambdify(self._symbols, _flat(value), modules="mpmath") for name, value in self.values.items()}

    @cached_property
    def _free(self) -> list[sp.Symbol]:
        return list(dict.fromkeys(_flat(self.unknown)))

    @cached_property
    def _programs(self) -> list[Callable[..., Any]]:
        free = [*self._symbols, *self._free]
        return [sp.lambdify(free, _flat(part), modules="mpmath", cse=True) for part in self.parts]

    def _run(self, part: int, *numbers: Any) -> list[Any]:
        try:
            return [mpmath.mpf(entry) for entry in self._programs[part](*numbers)]
        except (ZeroDivisionError, TypeError):  # a complex number is no mpf
            raise _NoValueError(f"the left side has no real value at a point with {self.where}.") from None

    @cached_property
    def _parts_at_points(self) -> list[list[list[Any]]]:
        return [[self._run(part, *place) for part in range(len(self.parts))] for place, _ in self._points]


def _case(
    sides: Sequence[Any],
    formula: Formula,
    solves: str,
    sizes: Mapping[str, int],
    domains: Mapping[str, str],
    given: Mapping[str, Any],
) -> _Case:
    free = {name: domain for name, domain in domains.items() if domain != _GIVEN}
    objects: dict[str, Any] = symbols(free, sizes)
    for side in sides:  # an expression brings its own symbols for numbers
        if isinstance(side, sp.Basic | sp.MatrixBase):
            objects |= {one.name: one for one in side.free_symbols if free.get(one.name) in _SCALARS}
    objects |= {name: _given(given[name], objects) for name, domain in domains.items() if domain == _GIVEN}
    raw = [_side(side, objects) for side in sides]
    done = [side.doit() for side in raw]
    names: dict[sp.Basic, sp.Symbol] = {}
    for part in (*done, *objects.values()):
        for node in sorted(part.atoms(*_OPAQUE), key=str):
            names.setdefault(node, sp.Symbol(f"unknown_{len(names)}", real=True))
    lift = Symbolic().lift
    values = {name: lift(value.xreplace(names)) for name, value in objects.items()}
    parts = tuple(lift(side.xreplace(names)) for side in done)
    alone = len(parts) == 1 and not solves and not raw[0].has(*_UNDONE) and not _derives(sides[0])
    unknown = values.pop(solves) if solves else None
    return _Case(sizes, free, values, parts, lift(raw[0]) if alone else None, unknown)


def _given(value: Any, objects: Mapping[str, Any]) -> Any:
    """The sympy object for which a name stands; a function makes it of other names."""
    return sp.sympify(_called(value, objects) if isinstance(value, types.FunctionType) else value)


def _called(function: Callable[..., Any], objects: Mapping[str, Any]) -> Any:
    return function(**{name: objects[name] for name in inspect.signature(function).parameters})


def _side(side: Any, objects: Mapping[str, Any]) -> Any:
    """A left side as a sympy expression or matrix, not yet computed."""
    if isinstance(side, str):
        lift = Symbolic().lift
        value = _formula("", side, objects).evaluate_with(
            Symbolic(), {name: lift(one) for name, one in objects.items()}
        )
        return sp.Matrix(value.tolist()) if np.ndim(value) else sp.sympify(value)
    if not isinstance(side, sp.Basic | sp.MatrixBase):
        side = sp.sympify(_called(side, objects))
    if isinstance(side, list | tuple | sp.Tuple):
        side = sp.Matrix(list(side))
    return side[0, 0] if isinstance(side, sp.MatrixBase) and side.shape == (1, 1) else side


def _derives(side: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether the code of a function, or of one that it calls, takes a derivative, an average, a determinant, …"""
    if not isinstance(side, types.FunctionType) or side in seen:
        return False
    codes = [side.__code__, *(const for const in side.__code__.co_consts if isinstance(const, types.CodeType))]
    names = {name for code in codes for name in (*code.co_names, *code.co_freevars)}
    called = (side.__globals__.get(name) for name in names)
    return bool(names & _DERIVING) or any(_derives(one, seen | {side}) for one in called)


def _flat(value: Any) -> list[Any]:
    return [] if value is None else list(np.ravel(np.asarray(value, dtype=object)))


def _same_shape(a: Any, b: Any) -> None:
    if np.shape(a) != np.shape(b):
        raise _NoValueError(f"the left side is {describe(a)}, the right side {describe(b)}.")
