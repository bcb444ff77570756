"""The register of equations: what holds passes, what does not is refused, and so is a check that proves too little."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sympy as sp
import torch

from gradelib import posteriors
from gradelib.equations import REGISTER, EquationError, definition, identity, inequality, limit

BOOK = Path(__file__).parent.parent / "book"
OPTIMUM = "inv(I_d - T(J)@H@J/beta)"
CHAPTERS = sorted(BOOK.glob("[0-9]*.md"))


def optimum(J, H, beta):
    return posteriors.optimal_covariance(J.mT @ H @ J, beta)


def test_identity_of_formulas():
    result = identity("eq-test", OPTIMUM, "beta*inv(beta*I_d - T(J)@H@J)")
    assert result.tried > 50
    assert REGISTER["eq-test", OPTIMUM, "beta*inv(beta*I_d - T(J)@H@J)"] is result


def test_identity_names_the_equation_and_both_sides():
    with pytest.raises(EquationError, match=r"eq-wrong does not hold: .* n = 5, d = 3: left = .*; right = "):
        identity("eq-wrong", OPTIMUM, "beta*inv(beta*I_d + T(J)@H@J)")


def test_identity_of_sympy_objects():
    a, b = sp.symbols("a b", positive=True)
    assert identity("eq-test", (a + b) ** 2, a**2 + 2 * a * b + b**2).tried > 20
    with pytest.raises(EquationError, match="eq-wrong"):
        identity("eq-wrong", (a + b) ** 2, a**2 + b**2)


def test_identity_wants_equal_shapes():
    with pytest.raises(EquationError, match="eq-wrong"):
        identity("eq-wrong", "diag(I_d)", "1")


def test_definition_compares_with_code():
    assert definition("eq-test", OPTIMUM, optimum).tried > 20
    with pytest.raises(EquationError, match="eq-wrong"):
        definition("eq-wrong", OPTIMUM, lambda J, H, beta: torch.linalg.inv(optimum(J, H, beta)))


def test_definition_of_a_symbol_that_is_not_the_books_own():
    assert definition("eq-test", "beta/(beta + m)", lambda beta, m: beta / (beta + m), m="pos")


def test_inequality_and_its_equality_case():
    assert inequality("eq-test", "1/diag(S)", "diag(inv(S))", equal_at={"S": "beta*I_d"}).tried > 10


@pytest.mark.parametrize(
    ("smaller", "larger", "special"),
    [
        ("diag(inv(S))", "1/diag(S)", "beta*I_d"),  # the wrong way round
        ("1/diag(S)", "diag(inv(S)) + 1", "beta*I_d"),  # true, but never equal
        ("1/diag(S)", "diag(inv(S))", "S"),  # not equal where it is said to be
        ("tr(S)", "tr(S)", "I_d"),  # equal everywhere
    ],
)
def test_inequality_refuses(smaller, larger, special):
    with pytest.raises(EquationError, match="eq-wrong"):
        inequality("eq-wrong", smaller, larger, equal_at={"S": special})


def test_an_inequality_that_holds_only_far_from_equality_is_refused():
    # tr S > d holds for the random S that are drawn, and d is reached at S = I; a little below it, it is wrong
    with pytest.raises(EquationError, match="beside equality"):
        inequality("eq-wrong", "d/2", "tr(S)/2", equal_at={"S": "I_d"})


def test_a_check_that_proves_too_little_is_refused():
    with pytest.raises(EquationError, match=r"also passes for .*: it proves too little"):
        inequality("eq-weak", "0", "tr(S) - d - logdet(S)", equal_at={"S": "I_d"})  # true for twice the right side too


def test_limits():
    assert limit("eq-test", OPTIMUM, "I_d", to="infinity").tried > 0
    with pytest.raises(EquationError, match="near the limit"):
        limit("eq-wrong", OPTIMUM, "I_d/2", to="infinity")
    with pytest.raises(ValueError, match="Did you mean 'infinity'"):
        limit("eq-wrong", OPTIMUM, "I_d", to="infinty")


def test_rewritten_forms_are_not_counted_as_survivors():
    result = identity("eq-test", "tr(J@T(J))", "frob2(J)")  # tr(T(J)@J), a mutant of the left side, is the same
    assert result.same > 0


def test_the_text_of_a_check_is_stable():
    result = identity("eq-test", "norm2(h)", lambda h: h @ h)
    assert str(result) == f"✓ eq-test · identity at 6 points · {result.tried} wrong variants refused"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_labelled_equation_has_a_check_and_every_check_an_equation(chapter):
    labels, checked = labels_and_checks(chapter.read_text(encoding="utf-8"))
    assert labels, "a chapter without a labelled equation"
    assert sorted(labels - checked) == [], "labelled, but not checked"
    assert sorted(checked - labels) == [], "checked, but not labelled"


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        ('$$\na\n$$ (eq-a)\n```\nidentity("eq-a", "1", "1")\n```', set()),
        ("$$\na\n$$ (eq-a)\n", {"eq-a"}),
        ('limit(\n    "eq-b", "1", "1")', {"eq-b"}),
    ],
)
def test_the_comparison_of_labels_and_checks_can_fail(text, difference):
    labels, checked = labels_and_checks(text)
    assert labels ^ checked == difference


def labels_and_checks(text: str) -> tuple[set[str], set[str]]:
    labels = set(re.findall(r"^\s*\$\$ \((eq-[\w-]+)\)$", text, re.MULTILINE))
    return labels, set(re.findall(r'\b(?:identity|inequality|limit|definition)\(\s*"(eq-[\w-]+)"', text))
