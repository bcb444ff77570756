"""The register of checked equations: a labelled equation stands in the book only with a check that could have failed.

A chapter checks an equation in the cell below it, in one or two lines:

    identity("eq-optimal-covariance", "inv(I_d - T(J)@H@J/beta)", best_covariance)

A side is a formula in the language of the exercises, a sympy object, or a function of named torch tensors. Formulas may
also use `max(a, b)`, and `average` writes means over several random matrices. Both sides are computed at random points,
at several sizes with n ≠ d. The book's own symbols (`marker.domains.NOTATION`) need no declaration.

Then both sides are mutated: a formula (a sign, a factor 2, β ↔ 1/β, a transpose, a dropped term, …), and the inputs of
a function (one frozen, a batch reduced to its first entry, …). A mutant that passes the same check, and is not the same
function, means that the check proves too little, and raises too.

Where no program can compute a side as it is typeset, the check is of a *case*, and says which and why:

    definition("eq-kl-invariance", …, case=("rotations of Gaussians", "the statement is about every invertible map"))

A mutant that no check of this kind could refuse is excused in writing, where every reader sees it:

    inequality("eq-kl", "0", "tr(S) - d - logdet(S)", equal_at={"S": "I_d"},
               excuse={"2*(tr(S) - d - logdet(S))": "a positive factor does not change where it is zero"})
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from types import FunctionType
from typing import Any, Literal

import numpy as np

from gradelib import records
from gradelib._names import one_of
from gradelib.marker.compare import ACCEPT, DIGITS, POINTS_PER_SIZE, SIZES, equivalent, points
from gradelib.marker.domains import ALWAYS, NOTATION, Point
from gradelib.marker.language import Formula, ShapeError, UndefinedError
from gradelib.marker.mutation import mutants
from gradelib.marker.reading import read
from gradelib.program_mutation import Program, program_mutants
from gradelib.typeset import tex

Side = Formula | Program
Test = Callable[[Side, Side], "str | None"]  # says where the claim fails, or None where it holds

MORE_FUNCTIONS = ("max",)  # which formulas of checks may use, and answers not
PLACES = ("left", "right")

_NEAR_EQUALITY = (0.9, 1.1)
_FROZEN = 2  # the seed of the values that frozen inputs keep
_NEAR_LIMIT = 1e15  # with 50 digits, an error of the order of its inverse is left


class EquationError(AssertionError):
    """An equation that does not hold, or whose check lets a wrong one pass."""


@dataclass(frozen=True)
class Excused:
    """A mutant that passes the check too, and why it may; `change` is what was done to the formula."""

    mutant: str
    change: str
    reason: str


@dataclass(frozen=True)
class Check:
    """A passed check of the equation `label`.

    `tried` counts the mutants that the same check refused, `by_side` the same for each side, `same` those that only
    write the same function differently, and `excused` names those that pass it too, with reasons. `evidence` says
    whether both sides were computed at points ("numeric") or proved equal as expressions ("exact"; `sizes` are then the
    pairs of n and d, and the points are those at which the mutants were refused). `case` says in words what was tested,
    where that is not the whole statement. `formula` is TeX for what was compared.
    """

    label: str
    kind: str
    points: int
    tried: int
    same: int
    excused: tuple[Excused, ...] = ()
    evidence: Literal["numeric", "exact"] = "numeric"
    sizes: tuple[tuple[int, int], ...] = ()
    seconds: float = 0.0  # of the processor
    case: str = ""
    by_side: Mapping[str, int] = field(default_factory=dict)
    formula: str = ""

    def __str__(self) -> str:
        wrong = f"{self.tried} wrong variants refused"
        if self.excused:
            wrong += f", {len(self.excused)} excused: " + ", ".join(one.mutant for one in self.excused)
        case = f"a case: {self.case} · " if self.case else ""
        return f"✓ {self.label} · {case}{self._how} · {wrong}"

    @property
    def _how(self) -> str:
        if self.evidence == "numeric":
            return f"{self.kind} at {self.points} points"
        return f"exact {self.kind}" + (
            " for n×d = " + ", ".join(f"{n}×{d}" for n, d in self.sizes) if self.sizes else ""
        )

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return records.mimebundle("check", self.label, str(self), asdict(self))


def identity(
    label: str,
    left: Any,
    right: Any,
    *,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    case: tuple[str, str] | None = None,
    symbols: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `left` equals `right` at random points of their domains, to 1e-9 of their size.

    `domains` declares names that are not the book's own, for example `w="real"`, and `sizes` the pairs of n and d that
    are tried. `excuse` maps the text of a surviving mutant to the reason why it may survive. `case` says what is tested
    and why not the whole statement, and `symbols` what the equation calls a name. Raises EquationError with the point
    and both sides where they differ, with the mutant that survives, or with an excuse that excuses nothing.
    """
    claim = _Claim(label, "identity", (left, right), domains_of((left, right), domains), sizes, symbols)
    return claim.checked(_agreement(claim.spec, sizes), excuse, case)


def inequality(
    label: str,
    smaller: Any,
    larger: Any,
    *,
    equal_at: Mapping[str, str],
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    case: tuple[str, str] | None = None,
    symbols: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `smaller` < `larger` at random points, and that they are equal once `equal_at` is put in.

    `equal_at` maps names to formulas, for example `{"S": "inv(I_d - T(J)@H@J/beta)"}`. Raises as `identity` does.
    """
    spec = domains_of((smaller, larger), domains)
    claim = _Claim(label, "inequality", (smaller, larger), spec, sizes, symbols, relation=r"\le")
    special = {name: _formula(formula, spec) for name, formula in equal_at.items()}
    values = _Values(spec, sizes)

    @cache
    def moved(index: int, share: float) -> dict[str, Any]:
        """The names at a point of equality, times `share`."""
        there = values.points[index].values()
        return {name: share * formula.evaluate(there) for name, formula in special.items()}

    def test(a: Side, b: Side) -> str | None:
        for index, point in enumerate(values.points):
            low, high = (values.of(side, index) for side in (a, b))
            if not np.all(low < high):
                return _report(point, smaller=low, larger=high)
            scale = np.max(high - low)
            for share in _NEAR_EQUALITY:  # wrong inequalities are often right far from equality, and fail beside it
                low, high = (values.of(side, index, share, moved(index, share)) for side in (a, b))
                if not np.all(low <= high + ACCEPT * scale):
                    return _report(point, smaller_beside_equality=low, larger_beside_equality=high)
            low, high = (values.of(side, index, 1.0, moved(index, 1.0)) for side in (a, b))
            if not _close(low, high, scale):
                return _report(point, smaller_at_equality=low, larger_at_equality=high)
        return None

    return claim.checked(test, excuse, case)


def limit(
    label: str,
    expression: Any,
    value: Any,
    *,
    name: str = "beta",
    to: str,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    case: tuple[str, str] | None = None,
    symbols: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `expression` tends to `value` as `name` goes to "0" or to "infinity", in arithmetic with 50 digits.

    Both sides are formulas or sympy objects. Raises as `identity` does.
    """
    spec = domains_of((expression, value), {name: "pos", **domains})
    ends = {"0": 1 / _NEAR_LIMIT, "infinity": _NEAR_LIMIT}
    extreme = ends[one_of("limit", to, ends)]
    claim = _Claim(label, "limit", (expression, value), spec, sizes, symbols, relation=r"\to")
    for side in (expression, value):
        _formula(side, spec)

    def test(a: Side, b: Side) -> str | None:
        for point in points(spec, sizes=tuple(map(dict, sizes))):
            place = {**point.values(DIGITS), name: extreme}
            values = [side.evaluate(place, DIGITS) for side in (a, b) if isinstance(side, Formula)]
            left, right = (np.array(value, dtype=float) for value in values)
            if not _close(left, right, scale=1):
                return _report(point, near_the_limit=left, limit=right)
        return None

    return claim.checked(test, excuse, case, mutated=(1,))  # many things share a limit, so only that is spoilt


def definition(
    label: str,
    formula: str,
    code: Callable[..., Any],
    *,
    sizes: Sequence[Mapping[str, int]] = SIZES,
    excuse: Mapping[str, str] | None = None,
    case: tuple[str, str] | None = None,
    symbols: Mapping[str, str] | None = None,
    **domains: str,
) -> Check:
    """Check that `code`, called with torch tensors by name, computes `formula`. Raises as `identity` does."""
    claim = _Claim(label, "definition", (formula, code), domains_of((formula, code), domains), sizes, symbols)
    return claim.checked(_agreement(claim.spec, sizes), excuse, case)


def average(formula: str, *names: str, over: int = 3) -> str:
    """The mean of a formula over `over` examples, each with its own inputs `names`: J_1, J_2, … are all like J.

    A function of the same inputs has the parameters J_1, J_2, ….
    """
    anyone = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    terms = [anyone.sub(rf"\g<1>_{index}", formula) for index in range(1, over + 1)]
    return "(" + " + ".join(f"({term})" for term in terms) + f")/{over}"


def _agreement(spec: Mapping[str, str], sizes: Sequence[Mapping[str, int]]) -> Test:
    """The test that two sides have the same value and shape at every point."""
    values = _Values(spec, sizes)

    def test(a: Side, b: Side) -> str | None:
        for index, point in enumerate(values.points):
            left, right = values.of(a, index), values.of(b, index)
            if not _close(left, right):
                return _report(point, left=left, right=right)
        return None

    return test


@dataclass(frozen=True)
class _Claim:
    """What is checked: two sides, and what is said of them."""

    label: str
    kind: str
    given: tuple[Any, Any]
    spec: Mapping[str, str]
    sizes: Sequence[Mapping[str, int]]
    symbols: Mapping[str, str] | None
    relation: str = "="

    def checked(
        self,
        test: Test,
        excuse: Mapping[str, str] | None,
        case: tuple[str, str] | None,
        mutated: Sequence[int] = (0, 1),
    ) -> Check:
        """Try the claim, then every mutant of the `mutated` sides."""
        started = time.process_time()
        sides = [side_of(side, self.spec) for side in self.given]
        if failure := _refusal(test, *sides):
            raise EquationError(f"{self.label} does not hold: {failure}")
        by_side, same = dict.fromkeys(PLACES, 0), 0
        survivors: list[tuple[str, str]] = []
        for place in mutated:
            for change, text, mutant in self._mutants(sides[place]):
                if _refusal(test, *(mutant if place == other else side for other, side in enumerate(sides))):
                    by_side[PLACES[place]] += 1
                elif self._is_the_same(sides[place], mutant):
                    same += 1
                else:
                    survivors.append((text, change))
        return Check(
            self.label,
            self.kind,
            POINTS_PER_SIZE * len(self.sizes),
            sum(by_side.values()),
            same,
            excused(self.label, survivors, excuse or {}),
            seconds=round(time.process_time() - started, 2),
            case=case_in_words(self.label, case),
            by_side=by_side,
            formula=self.relation.join(f" {typeset(side, self.symbols, self.spec)} " for side in sides).strip(),
        )

    def _mutants(self, side: Side) -> Iterator[tuple[str, str, Side]]:
        """What was done, the text that names it in an excuse, and the mutant."""
        if isinstance(side, Formula):
            yield from ((change, mutant.text, mutant) for change, mutant in mutants(side, self.spec))
        else:
            programs = program_mutants(side.function, self.spec)
            yield from (("inputs of a program", program.name, program) for program in programs)

    def _is_the_same(self, side: Side, mutant: Side) -> bool:
        if isinstance(side, Formula) and isinstance(mutant, Formula):
            return bool(equivalent(side, mutant, self.spec, seed=1))
        return _agreement(self.spec, self.sizes)(side, mutant) is None


def side_of(given: Any, spec: Mapping[str, str]) -> Side:
    """What was given, as a formula or a program."""
    side = read(given, spec, more=MORE_FUNCTIONS)
    return side if isinstance(side, Formula) else Program(side)


def typeset(side: Side, symbols: Mapping[str, str] | None, spec: Mapping[str, str]) -> str:
    """TeX for a side; a program has its name."""
    if isinstance(side, Formula):
        return tex(side, symbols, spec)
    name = side.function.__name__.strip("<>").replace("lambda", "program").replace("_", " ")
    return rf"\text{{{name}}}"


def case_in_words(label: str, case: tuple[str, str] | None) -> str:
    """The words of a case; raises EquationError where it does not say what is tested, or why no more is."""
    if case is None:
        return ""
    if len(case) != 2 or not all(words.strip() for words in case):
        raise EquationError(f"The case of {label} says in two texts what is tested, and why not the whole statement.")
    return f"{case[0]}; not in full, since {case[1]}"


def _formula(given: Any, spec: Mapping[str, str]) -> Formula:
    """What was given, as a formula; raises ValueError for a function, which no 50 digits can be put into."""
    side = side_of(given, spec)
    if not isinstance(side, Formula):
        raise ValueError("A limit and a case of equality are formulas or sympy objects, but this is a function.")
    return side


def excused(label: str, survivors: Sequence[tuple[str, str]], excuse: Mapping[str, str]) -> tuple[Excused, ...]:
    """The survivors with their excuses; raises where one has none, and where an excuse is empty or has no survivor."""
    for mutant, change in survivors:
        if mutant not in excuse:
            raise EquationError(f"The check of {label} also passes for {mutant} ({change}): it proves too little.")
    alive = {mutant for mutant, _ in survivors}
    for mutant, reason in excuse.items():
        if mutant not in alive:
            raise EquationError(f"The check of {label} excuses {mutant}, which does not survive it.")
        if not reason.strip():
            raise EquationError(f"The check of {label} excuses {mutant} without a reason.")
    return tuple(Excused(mutant, change, " ".join(excuse[mutant].split())) for mutant, change in survivors)


def _refusal(test: Test, a: Side, b: Side) -> str | None:
    """Why the claim fails; a side that has no value, or a shape that does not fit, is a failure too."""
    try:
        return test(a, b)
    except (ShapeError, UndefinedError) as error:
        return str(error)
    except Exception as error:
        if (isinstance(a, Program) and a.name) or (isinstance(b, Program) and b.name):
            return str(error)  # a matrix that is singular now, and the like
        raise


def domains_of(sides: Iterable[Any], declared: Mapping[str, str]) -> dict[str, str]:
    """The domains of all names in the sides: as declared, else the book's own, else what sympy assumes of a symbol."""
    names: dict[str, str] = {}
    for side in sides:
        if isinstance(side, str):
            continue
        if hasattr(side, "free_symbols"):
            names |= {symbol.name: "pos" if symbol.is_positive else "real" for symbol in side.free_symbols}
    known = {**NOTATION, **names, **declared, **ALWAYS}
    return {**{name: known[stem] for name, stem in _examples(sides, known).items()}, **known}


def _examples(sides: Iterable[Any], known: Mapping[str, str]) -> dict[str, str]:
    """The names J_1, J_2, … of several examples that occur in the sides, each with the name J that they are like."""
    texts = [side for side in sides if isinstance(side, str)]
    texts += [" ".join(inspect.signature(side).parameters) for side in sides if isinstance(side, FunctionType)]
    found = (match for text in texts for match in re.finditer(r"\b(\w+)_\d+\b", text))
    return {match[0]: match[1] for match in found if match[1] in known}


class _Values:
    """What sides are at the points of a claim, each computed once: a side comes back with every mutant of the other."""

    def __init__(self, spec: Mapping[str, str], sizes: Sequence[Mapping[str, int]]) -> None:
        self.points = list(points(spec, sizes=tuple(map(dict, sizes))))
        self._known: dict[tuple[int, int, float | None], tuple[Side, np.ndarray]] = {}

    def of(
        self, side: Side, index: int, share: float | None = None, changed: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """The value at a point, where `changed` names, which go with `share`, may have other values."""
        key = id(side), index, share
        if key not in self._known:  # with the side, so that no other one gets its id
            self._known[key] = side, _at(side, self.points[index], changed)
        return self._known[key][1]


def _at(side: Side, point: Point, changed: Mapping[str, Any] | None = None) -> np.ndarray:
    values = {**point.values(), **(changed or {})}
    if isinstance(side, Formula):
        return np.asarray(side.evaluate(values), dtype=float)
    import torch

    values = side.change(values, _drawn_once(point))
    return np.asarray(side.function(**{name: torch.as_tensor(values[name]) for name in side.parameters}), dtype=float)


def _drawn_once(point: Point) -> dict[str, Any]:
    """Values of the same inputs, always the same ones at the same sizes."""
    return next(points(point.domains, seed=_FROZEN, sizes=(dict(point.sizes),))).values()


def _close(left: np.ndarray, right: np.ndarray, scale: Any = 0) -> bool:
    if left.shape != right.shape:
        return False
    size = max(np.max(np.abs(left)), np.max(np.abs(right)), np.max(scale))
    return bool(np.max(np.abs(left - right)) <= ACCEPT * size)


def _report(point: Point, **sides: np.ndarray) -> str:
    where = ", ".join(f"{name} = {size}" for name, size in point.sizes.items())
    what = "; ".join(f"{name.replace('_', ' ')} = {np.round(side, 6).tolist()}" for name, side in sides.items())
    return f"at a random point with {where}: {what}."
