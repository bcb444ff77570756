"""The marker against mutants of every answer, with a second, independent route as the judge.

The second route shares no arithmetic with the first: Python itself evaluates the mutant's text on torch tensors, drawn
by torch, at other sizes. Where the two routes disagree, the marker (or the mutant's text) is wrong.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from corpora import sampling, some_of

from gradelib import exercises
from gradelib.marker.check import mark
from gradelib.marker.compare import equivalent
from gradelib.marker.exercise import Exercise
from gradelib.marker.language import Formula
from gradelib.marker.mutation import mutants
from gradelib.marker.parser import parse

FORMULAS = [exercise for exercise in exercises.every() if exercise.answer]
MOST, FEWEST, SAMPLE = 2400, 2000, 150


def random_inputs(domains: Mapping[str, str], n: int, d: int, seed: int) -> dict[str, Any]:
    """Values of the inputs, made by another recipe than the marker's."""
    draw = torch.Generator().manual_seed(seed)
    sizes = {"n": n, "d": d}

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    def spd(k: int) -> torch.Tensor:
        a = normal(k, k)
        return a @ a.mT / k + 0.3 * torch.eye(k, dtype=torch.float64)

    def root(a: torch.Tensor) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(a)
        return vectors @ values.sqrt().diag() @ vectors.mT

    make: dict[str, Callable] = {
        "real": normal,
        "pos": lambda: 0.2 + normal().abs(),
        "unit": lambda: 0.1 + 0.8 * torch.rand((), generator=draw, dtype=torch.float64),
        "vector": normal,
        "posvector": lambda k: 0.2 + normal(k).abs(),
        "matrix": normal,
        "sym": lambda k: (lambda a: a + a.mT)(normal(k, k)),
        "spd": spd,
        "contraction": lambda k: torch.linalg.inv(spd(k) + 0.8 * torch.eye(k, dtype=torch.float64)),
        "negdiag": lambda k: -(0.2 + normal(k).abs()).diag(),
        "orth": lambda k: torch.linalg.qr(normal(k, k))[0],
        "eye": lambda k: torch.eye(k, dtype=torch.float64),
        "dim": lambda k: torch.tensor(float(k), dtype=torch.float64),
    }
    values: dict[str, Any] = {}
    for name, domain in {**domains, "I_d": "eye:d", "I_n": "eye:n", "d": "dim:d", "n": "dim:n"}.items():
        kind, _, argument = domain.partition(":")
        if kind.startswith("sqrt"):
            values[name] = root(values[argument] * (-1 if kind == "sqrtneg" else 1))
        else:
            values[name] = make[kind](*(sizes[size] for size in argument.split(",") if size))
    return values


def need(condition: bool) -> None:
    if not condition:
        raise ValueError("shape")


def on_matrix(function: Callable, *ndims: int) -> Callable:
    def strict(x: Any) -> Any:
        need(torch.as_tensor(x).ndim in ndims)
        return function(x)

    return strict


def number(x: Any) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64)


def transpose(x: torch.Tensor) -> torch.Tensor:
    if x.ndim == 1:
        return x[None]
    return x[0] if x.shape[0] == 1 else x.mT


def over(a: Any, b: Any) -> Any:
    need(number(b).ndim < 2)
    return a / b


class _Strict(ast.NodeTransformer):
    """Torch would divide by a matrix entry by entry; the formula language does not."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        return ast.Call(ast.Name("over", ast.Load()), [node.left, node.right], [])


def compiled(text: str) -> Any:
    return compile(ast.fix_missing_locations(_Strict().visit(ast.parse(text, mode="eval"))), "formula", "eval")


FUNCTIONS = {
    "over": over,
    "T": on_matrix(transpose, 1, 2),
    "inv": on_matrix(torch.linalg.inv, 2),
    "tr": on_matrix(torch.trace, 2),
    "det": on_matrix(torch.linalg.det, 2),
    "logdet": on_matrix(torch.logdet, 2),
    "diag": on_matrix(torch.diag, 1, 2),
    "norm2": on_matrix(lambda v: v @ v, 1),
    "frob2": on_matrix(lambda a: torch.linalg.matrix_norm(a) ** 2, 2),
    "colnorm2": on_matrix(lambda a: torch.linalg.vector_norm(a, dim=0) ** 2, 2),
    "rownorm2": on_matrix(lambda a: torch.linalg.vector_norm(a, dim=1) ** 2, 2),
    "sum": on_matrix(torch.sum, 1, 2),
    "prod": on_matrix(torch.prod, 1),
    "exp": on_matrix(lambda x: torch.exp(number(x)), 0, 1),
    "log": on_matrix(lambda x: torch.log(number(x)), 0, 1),
    "sqrt": on_matrix(lambda x: torch.sqrt(number(x)), 0, 1),
    "pi": torch.tensor(torch.pi, dtype=torch.float64),
}


def torch_value(code: Any, values: Mapping[str, Any]) -> torch.Tensor | None:
    """The formula's value by Python and torch; None where it has none."""
    try:
        value = number(eval(code, {"__builtins__": {}}, {**FUNCTIONS, **values}))
    except (RuntimeError, ValueError, IndexError, ZeroDivisionError, TypeError):
        return None
    value = value.reshape(()) if value.shape == (1,) else value
    return value if torch.isfinite(value).all() else None


class Judge:
    """The second route for one exercise: whether a formula has the reference's values at its own points."""

    def __init__(self, exercise: Exercise) -> None:
        cases = [(6, 4, 1), (4, 5, 2), (6, 4, 3)]
        self.points = [random_inputs(exercise.inputs, n, d, seed) for n, d, seed in cases]
        reference = compiled(exercise.answer)
        self.right = [torch_value(reference, point) for point in self.points]
        assert all(value is not None for value in self.right)

    def accepts(self, formula: Formula) -> bool:
        code = compiled(formula.text)
        return all(self._same(torch_value(code, p), r) for p, r in zip(self.points, self.right, strict=True))

    @staticmethod
    def _same(value: torch.Tensor | None, right: torch.Tensor) -> bool:
        if value is None or value.shape != right.shape:
            return False
        return bool((value - right).abs().max() <= 1e-8 * right.abs().max())


@cache
def many_mutants(name: str) -> list[Formula]:
    """All mutants and a sample of their mutants; with whole corpora many of these, and of the third generation."""
    exercise = exercises.get(name)
    first = [mutant for _, mutant in mutants(exercise.formula, exercise.inputs)]
    found = {mutant.text: mutant for mutant in first}
    for mutant in some_of(first, 20):
        found.update((second.text, second) for _, second in mutants(mutant, exercise.inputs))
    draw = random.Random(0)
    while sampling.whole and len(found) < FEWEST:
        parent = draw.choice(list(found.values()))
        found.update((child.text, child) for _, child in mutants(parent, exercise.inputs))
    every = list(found.values())
    return [*first, *some_of(draw.sample(every, min(len(every), MOST)), SAMPLE)]


@pytest.mark.sampled
@pytest.mark.parametrize("exercise", FORMULAS, ids=lambda exercise: exercise.id)
def test_two_routes_agree_on_every_mutant(exercise: Exercise, record_property: Callable) -> None:
    judge, verdicts = Judge(exercise), Counter()
    for mutant in many_mutants(exercise.id):
        first = bool(equivalent(mutant, exercise.formula, exercise.inputs))
        assert first == judge.accepts(mutant), mutant.text
        verdicts[first] += 1
    record_property("mutants", dict(verdicts))
    least = 0.8 if sampling.whole else 0.5  # children of a few mutants are more alike
    assert verdicts[False] > least * sum(verdicts.values())


@pytest.mark.sampled
@pytest.mark.parametrize("exercise", FORMULAS, ids=lambda exercise: exercise.id)
def test_check_itself_gives_the_verdict_of_the_second_route(exercise: Exercise) -> None:
    judge = Judge(exercise)
    for mutant in random.Random(sampling.seed).sample(many_mutants(exercise.id), 8):
        result = mark(exercise, mutant.text)
        assert bool(result) == judge.accepts(mutant), mutant.text
        assert result.state in ("correct", "incorrect", "unreadable")


def test_each_kind_of_mutant_occurs() -> None:
    text = "beta/2*sum(log(1 + colnorm2(J)/beta)) - logdet(inv(S)@T(R)@R) + tr(I_d)*d + s**2"
    found = Counter(
        name for name, _ in mutants(parse(text), {"S": "spd:d", "J": "matrix:n,d", "R": "orth:d", "s": "pos"})
    )
    kinds = mutants.__doc__.split("The names:")[1].split("A mutant")[0]
    assert set(kinds.split("`")[1::2]) == set(found)


@pytest.mark.parametrize(
    ("text", "name", "mutant"),
    [
        ("beta*K - logp", "sign", "-(beta*K - logp)"),
        ("beta*K - logp", "sign of a term", "beta*K + logp"),
        ("beta*K - logp", "dropped term", "beta*K"),
        ("beta*K - logp", "beta inverted", "1/beta*K - logp"),
        ("beta*K - logp", "beta dropped", "1*K - logp"),
        ("inv(S)", "inverse", "S"),
        ("S", "inverse", "inv(S)"),
        ("T(J)@J", "transpose", "J@J"),
        ("T(J)@J", "order", "J@T(J)"),
        ("sum(x)", "mean for sum", "sum(x)/n"),
        ("I_d", "n for d", "I_n"),
        ("tr(S)", "factor", "2*tr(S)"),
        ("tr(S)", "function", "det(S)"),
    ],
)
def test_mutant(text: str, name: str, mutant: str) -> None:
    assert (name, parse(mutant)) in [(n, parse(m.text)) for n, m in mutants(parse(text))]


def test_mutants_are_in_a_fixed_order_and_never_the_formula_itself() -> None:
    formula = parse("inv(I_d - T(J)@H@J/beta)")
    first, second = mutants(formula), mutants(formula)
    assert first == second
    assert formula not in [mutant for _, mutant in first]
