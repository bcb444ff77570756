"""The formula language: what it reads, what it refuses and with which words, and what a formula is worth."""

from __future__ import annotations

import contextlib
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradelib.marker.language import Formula, Name, Number, Op, ShapeError, UndefinedError, UnreadableError
from gradelib.marker.parser import parse

J = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0], [2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
S = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 3.0]])
V = np.array([1.0, -2.0, 0.5])
VALUES = {"J": J, "S": S, "v": V, "beta": 0.5, "n": 4.0, "d": 3.0, "I_d": np.eye(3), "I_n": np.eye(4)}


def value(text: str, digits: int | None = None) -> object:
    return parse(text).evaluate(VALUES, digits)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("beta*(1 + 2)**2/4", 0.5 * 9 / 4),
        ("-beta**2", -0.25),
        ("2**-1", 0.5),
        ("+3 - -1", 4),
        ("pi", math.pi),
        ("sqrt(exp(log(beta)))", math.sqrt(0.5)),
        ("T(J)", J.T),
        ("J.T@J", J.T @ J),
        ("J.mT", J.T),
        ("inv(S)", np.linalg.inv(S)),
        ("tr(S)", 6.0),
        ("det(S)", np.linalg.det(S)),
        ("logdet(S)", np.log(np.linalg.det(S))),
        ("diag(S)", np.diag(S)),
        ("diag(v)", np.diag(V)),
        ("norm2(v)", V @ V),
        ("frob2(J)", (J**2).sum()),
        ("colnorm2(J)", (J**2).sum(0)),
        ("rownorm2(J)", (J**2).sum(1)),
        ("sum(v)", V.sum()),
        ("sum(S)", S.sum()),
        ("prod(v)", V.prod()),
        ("1 + v", 1 + V),
        ("1/v", 1 / V),
        ("v*v", V * V),
        ("v**2", V**2),
        ("T(v)@S@v", V @ S @ V),
        ("v@S@v", V @ S @ V),
        ("v@T(v)", np.outer(V, V)),
        ("T(T(v))", V),
        ("J@v", J @ V),
        ("[1, 2]", np.array([1.0, 2.0])),
        ("[[1, beta], [0, 2]]", np.array([[1, 0.5], [0, 2]])),
        ("β·2 − π", 1 - math.pi),
        ("J*J", J * J),
        ("S^-1", np.linalg.inv(S)),
        ("(S + S)**(-1)", np.linalg.inv(2 * S)),
        ("dot(v, v)", V @ V),
        ("S.dot(v)", S @ V),
        ("norm(J)", np.linalg.norm(J)),
        ("mean(v)", V.mean()),
        ("abs(v)", abs(V)),
        ("square(J)", J**2),
        ("cosh(v)", np.cosh(V)),
        ("sinh(v)", np.sinh(V)),
        ("tanh(v)", np.tanh(V)),
        ("sigmoid(v)", 1 / (1 + np.exp(-V))),
        ("softplus(v)", np.log1p(np.exp(V))),
        ("log1p(beta)", np.log1p(0.5)),
        ("expm1(v)", np.expm1(V)),
        ("np.linalg.solve(S, v)", np.linalg.solve(S, V)),
        ("torch.outer(v, v)", np.outer(V, V)),
        ("np.eye(d)", np.eye(3)),
        ("[[1], [2]]", np.array([[1.0], [2.0]])),
    ],
)
def test_value(text: str, expected: object) -> None:
    for digits in (None, 50):
        result = np.asarray(value(text, digits), dtype=np.float64)
        assert result.shape == np.shape(expected)
        np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-15)


def test_fifty_digits_are_really_fifty() -> None:
    with mpmath.workdps(60):
        assert abs(value("log(2)", 50) - mpmath.log(2)) < mpmath.mpf(10) ** -49
        assert abs(value("0.1", 50) - mpmath.mpf(1) / 10) < mpmath.mpf(10) ** -49
        residue = np.max(abs(value("inv(S)@S - I_d", 50)))
        assert residue < mpmath.mpf(10) ** -47
    assert mpmath.mp.dps == 15


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("J'@J", "T(J)@J"),
        ("||x||^2", "norm2(x)"),
        ("|S|", "det(S)"),
        (r"\frac{1}{2}", "LaTeX"),
        ("beta = S", "right of the equals sign"),
        ("(J", "more opening"),
        ("(J]", "a “(” is closed by a “]”"),
        ("[(J])", "a “(” is closed by a “]”"),
        ("J)", "more closing"),
        ("2beta", "every product"),
        ("beta J", "every product"),
        ("beta(1 + J)", "beta*("),
        ("invrse(S)", "did you mean inv"),
        ("slogdet(S)", "did you mean logdet"),
        ("frobenius(J)", "did you mean frob2"),
        ("log(beta, 2)", "natural logarithm"),
        ("J.shape", "Attributes"),
        ("bta", "did you mean beta"),
        ("I", "I_d or I_n"),
        ("zzz", "you can use"),
        ("inv", "inv is a function"),
        ("inv(J, S)", "one argument"),
        ("tr(S, axis=0)", "options"),
        ("1 if beta else 2", "conditions"),
        ("beta == 1", "without comparisons"),
        ("beta//2", "single /"),
        ('"beta" + 2', "quotation marks"),
        ("1j", "Only real numbers"),
        ("True", "Only real numbers"),
        ("10**7 + 10000000", "number over"),
        ("1e999", "number over"),
        ("9**9**9", "power in an exponent"),
        ("2**99", "exponent over"),
        ("(lambda: 1)()", "without quotation marks"),
        ("[x for x in v]", "conditions"),
        ("(J := 1)", "no options"),
        ("J[0]", "not part of the formula language"),
        ("[]", "only numbers, names"),
        ("é", "not part of the formula language"),
        ("1 +", "not a complete formula"),
        ("x" * 1001, "at most 1000"),
        ("+".join("1" * 130), "far longer"),
        ("-" * 60 + "1", "nested too deeply"),
        ("(" * 300 + "1" + ")" * 300, "too many brackets"),
        ("1,5", "1.5"),
        ("0,5*beta", "0.5"),
        ("é", "“é” (U+00E9)"),
        ("1/2beta", "(1/2)*beta"),
        ("betas", "beta*s"),
        ("-" * 999 + "1", "too"),
        ("[" + "[1]," * 190 + "]", "far longer"),
    ],
)
def test_refusal_says_what_to_change(text: str, words: str) -> None:
    with pytest.raises(UnreadableError) as error:
        parse(text, ["J", "S", "v", "beta", "s", "I_d", "x"])
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 + S", "times the identity"),
        ("S - J", "3 × 3 matrix and a 4 × 3 matrix"),
        ("J@J", "inner sizes"),
        ("T(J)*J", "is @"),
        ("J*v", "is @"),
        ("beta@S", "use *"),
        ("S/S", "use inv"),
        ("S**2", "S@S"),
        ("2**v", "exponent must be a number"),
        ("inv(J)", "square matrix"),
        ("inv(beta)", "1/x"),
        ("norm2(S)", "frob2"),
        ("frob2(v)", "norm2"),
        ("log(S)", "logdet"),
        ("tr(v)", "sum"),
        ("v/J@v", "divide by a matrix"),
        ("[[1, 2], [3]]", "same length"),
        ("T(beta)", "vector or matrix"),
    ],
)
def test_shapes_that_do_not_fit(text: str, words: str) -> None:
    with pytest.raises(ShapeError, match="In “"):
        value(text)
    with pytest.raises(ShapeError) as error:
        value(text, 50)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("log(-beta)", "log of a number that is not positive"),
        ("logdet(-S)", "log of a number that is not positive"),
        ("sqrt(-beta)", "square root of a negative"),
        ("1/0", "divides by zero"),
        ("inv(S - S)", "singular"),
        ("(-2)**0.5", "not a finite real number"),
    ],
)
@pytest.mark.parametrize("digits", [None, 50])
def test_no_finite_real_value(text: str, words: str, digits: int | None) -> None:
    with pytest.raises(UndefinedError, match=words):
        value(text, digits)


def test_overflow_is_no_value() -> None:
    with pytest.raises(UndefinedError):
        value("exp(999)")


def test_names() -> None:
    assert parse("inv(I_d - T(J)@J/beta)*pi").names == {"I_d", "J", "beta"}


def test_a_name_without_a_value_is_named() -> None:
    with pytest.raises(UnreadableError, match="did you mean beta"):
        parse("bet").evaluate(VALUES)


_LEAVES = st.one_of(
    st.sampled_from([Name(name) for name in ("J", "beta", "I_d", "pi")]),
    st.integers(0, 9).map(Number),
    st.sampled_from([0.5, 1e-07, 2.25]).map(Number),
)


def _grow(children: st.SearchStrategy) -> st.SearchStrategy:
    pairs = st.tuples(st.sampled_from(["+", "-", "*", "/", "@"]), children, children)
    calls = st.tuples(st.sampled_from(["neg", "T", "inv", "log", "sum"]), children)
    powers = st.tuples(children, st.sampled_from([Number(2), Op("neg", (Number(1),))]))
    return st.one_of(
        pairs.map(lambda p: Op(p[0], p[1:])),
        calls.map(lambda p: Op(p[0], p[1:])),
        powers.map(lambda p: Op("**", p)),
        st.lists(children, min_size=2, max_size=3).map(lambda items: Op("[]", tuple(items))),
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.recursive(_LEAVES, _grow, max_leaves=12))
def test_text_reads_back_into_the_same_tree(root: Op) -> None:
    formula = Formula(root)
    assert parse(formula.text) == formula


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UnreadableError):
        parse(text, ["J"])
