"""The register of equations: what holds passes, what does not is refused, and so is a check that proves too little."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import jupytext
import pytest
import sympy as sp
import torch

from gradelib import posteriors
from gradelib.equations import EquationError, Excused, average, definition, identity, inequality, limit
from gradelib.records import MIME_TYPE

BOOK = Path(__file__).parents[2] / "book"
OPTIMUM = "inv(I_d - T(J)@H@J/beta)"
CHAPTERS = sorted(BOOK.glob("[0-9]*.md"))


def optimum(J, H, beta):
    return posteriors.optimal_covariance(J.mT @ H @ J, beta)


def test_identity_of_formulas():
    result = identity("eq-test", OPTIMUM, "beta*inv(beta*I_d - T(J)@H@J)")
    assert result.tried > 50


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


def test_a_program_is_called_once_at_each_point_for_all_mutants_of_the_formula():
    calls = []

    def code(beta):
        calls.append(float(beta))
        return 1 + beta**2

    check = definition("eq-test", "1 + beta**2", code)
    assert check.by_side["left"] > 3
    # Each mutant of the program is called at one point at least, and the program itself is looked at for sameness once.
    assert max(map(calls.count, calls)) <= 3


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


# --- excuses

WEAK = ("eq-weak", "0", "tr(S) - d - logdet(S)")  # true for twice and for half the right side, too
FACTORS = {f"{factor}*(tr(S) - d - logdet(S))": "a positive factor moves no zero" for factor in ("2", "1/2")}


def weak(excuse):
    return inequality(*WEAK, equal_at={"S": "I_d"}, excuse=excuse)


def test_an_excuse_lets_a_survivor_live_and_is_named():
    result = weak(FACTORS)
    assert [excused.change for excused in result.excused] == ["factor", "factor"]
    assert {excused.mutant: excused.reason for excused in result.excused} == FACTORS
    named = ", ".join(excused.mutant for excused in result.excused)
    assert str(result).endswith(f"{result.tried} wrong variants refused, 2 excused: {named}")


@pytest.mark.parametrize(
    ("excuse", "says"),
    [
        ({}, "also passes for .*: it proves too little"),
        ({**FACTORS, "3*tr(S)": "why not"}, r"excuses 3\*tr\(S\), which does not survive"),
        (dict.fromkeys(FACTORS, " "), "without a reason"),
    ],
)
def test_an_excuse_that_excuses_nothing_is_refused(excuse, says):
    with pytest.raises(EquationError, match=says):
        weak(excuse)


# --- programs


def test_the_inputs_of_two_programs_are_spoilt():
    def half(beta):
        return beta / 2

    result = identity("eq-test", half, half)
    assert str(result) == "✓ eq-test · identity at 6 points · 2 wrong variants refused"
    assert result.by_side == {"left": 1, "right": 1}


def test_an_input_that_does_not_count_is_told_apart_from_one_that_the_check_overlooks():
    assert definition("eq-test", "tr(S)", lambda S, beta: torch.trace(S)).same == 1  # β is no part of it
    with pytest.raises(EquationError, match=r"also passes for beta frozen \(inputs of a program\)"):
        inequality("eq-weak", lambda h, beta: h @ h / (1 + beta), "norm2(h)", equal_at={"h": "0*h"})


def test_a_batch_that_is_reduced_to_one_is_refused():
    result = definition("eq-test", "frob2(J)/n", lambda J: J.square().sum(1).mean())
    assert result.by_side["right"] == 2  # J frozen, and J reduced to its first row
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        definition("eq-wrong", "frob2(J)/n", lambda J: J[0].square().sum())


def test_an_input_in_the_place_of_its_like_is_refused():
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        definition("eq-wrong", "norm2(x) + norm2(g)", lambda x, g: 2 * x @ x)
    assert definition("eq-test", "norm2(x) + norm2(g)", lambda x, g: x @ x + g @ g).by_side["right"] == 5


# --- the language of equations


def test_the_larger_of_two():
    assert definition("eq-test", "max(0, 1 - beta)", lambda beta: (1 - beta).clamp(min=0)).tried > 10
    with pytest.raises(EquationError, match="eq-wrong does not hold"):  # the case of a positive second argument
        definition("eq-wrong", "max(0, 1 - beta)", lambda beta: 1 - beta)


def test_averages_over_several_examples():
    assert average("tr(J@T(J)) + n", "J", over=2) == "((tr(J_1@T(J_1)) + n) + (tr(J_2@T(J_2)) + n))/2"

    def mean_length(h_1, h_2, h_3):
        return torch.stack([h_1, h_2, h_3]).square().sum(1).mean()

    assert definition("eq-test", average("norm2(h)", "h"), mean_length).tried > 30
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        definition("eq-wrong", average("norm2(h)", "h"), lambda h_1, h_2, h_3: h_1 @ h_1)


# --- cases


def test_a_case_says_what_and_why():
    result = identity("eq-test", "beta", "beta", case=("one number", "there are too many"))
    words = "✓ eq-test · a case: one number; not in full, since there are too many · identity at 6 points"
    assert str(result).startswith(words)
    for bad in (("one number",), ("one number", " ")):
        with pytest.raises(EquationError, match="says in two texts what is tested, and why not the whole"):
            identity("eq-test", "beta", "beta", case=bad)


# --- typesetting


def test_what_is_computed_is_typeset():
    result = identity("eq-test", OPTIMUM, "beta*inv(beta*I_d - T(J)@H@J)")
    assert result.formula.startswith(r"\left(I - \frac{J^\top\,H\,J}{\beta}\right)^{-1} = \beta\,")
    named = definition("eq-test", "beta/(beta + m)", lambda beta, m: beta / (beta + m), m="pos", symbols={"m": r"\mu"})
    assert named.formula == r"\frac{\beta}{\beta + \mu} = \text{program}"
    low = inequality("eq-test", "1/diag(S)", "diag(inv(S))", equal_at={"S": "beta*I_d"}, symbols={"S": "P"})
    assert low.formula == r"\frac{1}{\operatorname{diag}(P)} \le \operatorname{diag}(P^{-1})"


# --- records


@pytest.mark.parametrize("result", [weak(FACTORS), identity("eq-a", "beta", "beta")], ids=lambda result: result.label)
def test_a_check_shows_its_words_and_carries_its_data(result):
    shown = result._repr_mimebundle_()
    assert shown["text/plain"] == str(result)
    record = shown[MIME_TYPE]
    assert (record["kind"], record["name"], record["text"]) == ("check", result.label, str(result))
    data = json.loads(json.dumps(record["data"]))  # as the kernel sends it
    assert (data["label"], data["tried"], data["same"]) == (result.label, result.tried, result.same)
    assert [Excused(**excused) for excused in data["excused"]] == list(result.excused)


# --- the chapters

CHECKS = ("identity", "inequality", "limit", "definition", "exact", "by_squares")
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def book() -> str:
    return "\n\n".join(page.read_text(encoding="utf-8") for page in sorted(BOOK.glob("*.md")))


@each_chapter
def test_every_labelled_equation_has_a_check_and_every_check_an_equation(chapter, book):
    labels, checked = labels_and_checks(chapter.read_text(encoding="utf-8"))
    assert labels, "a chapter without a labelled equation"
    assert sorted(labels - checked) == [], "labelled, but not checked in this chapter"
    assert sorted(checked - labels_and_checks(book)[0]) == [], "checked, but not labelled anywhere"


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
    return labels, set(
        re.findall(r'\b(?:identity|inequality|limit|definition|exact|by_squares)\(\s*"(eq-[\w-]+)"', text)
    )


def test_every_label_stands_once(book):
    labels = re.findall(r"^\s*\$\$ \((eq-[\w-]+)\)$", book, re.MULTILINE)
    assert sorted(labels) == sorted(set(labels))


@each_chapter
def test_equations_are_referred_to_by_their_labels(chapter, book):
    assert faults_of_references(chapter.read_text(encoding="utf-8"), labels_and_checks(book)[0]) == []


@pytest.mark.parametrize(
    "text",
    [
        "by {eq}`eq-gone`",
        "by {eq}`this one <eq-gone>`",
        "by equation (6.4)",
        "by Eq. 3",
        "$$ a \\tag{3} $$",
        "\\begin{align}\na &= b\n\\end{align}",
    ],
)
def test_a_reference_without_a_label_is_found(text):
    assert len(faults_of_references(f"{text} and {{eq}}`eq-there`", {"eq-there"})) == 1


def faults_of_references(text: str, labels: set[str]) -> list[str]:
    """References to no label, and numbers that Sphinx does not give: typed ones, and those of bare environments."""
    named = re.findall(r"\{eq\}`(?:[^`<]*<)?([^`<>]+)>?`", text)
    typed = re.findall(r"\b[Ee]q(?:uations?|\.)[ ~]\(?\d[\d.]*\)?|\\tag\b", text)
    bare = re.findall(r"^\\begin\{(?:equation|align|alignat|gather|multline)\}", text, re.MULTILINE)
    return [name for name in named if name not in labels] + typed + bare


@each_chapter
def test_checks_and_claims_are_seen(chapter):
    cells = [cell.source for cell in jupytext.read(chapter).cells if cell.cell_type == "code"]
    assert [call for cell in cells for call in unseen(cell)] == []


@pytest.mark.parametrize(
    ("cell", "calls"),
    [
        ('x = 1\nlimit("eq-a", "1", "1")', []),
        ('limit("eq-a", "1", "1")\nx = 1', ["limit"]),
        ('for a in "12":\n    identity("eq-a", a, a)', ["identity"]),
        ('result = claim("a", True, "1")', ["claim"]),
        ('limit("eq-a", "1", "1");', ["limit"]),
        ('for a in "12":\n    display(identity("eq-a", a, a))', []),
        ('try:\n    limit("eq-a", "1", "2")\nexcept EquationError as error:\n    print(error)', []),
    ],
)
def test_an_unseen_check_is_found(cell, calls):
    assert unseen(cell) == calls


def unseen(cell: str) -> list[str]:
    """Checks and claims whose line is not shown, and so is not counted: a cell shows its last expression.

    Others need a `display`, since `print` gives words without data. What stands in a `try` is there to be refused.
    """
    tree = ast.parse(cell)
    ends_in_words = tree.body and isinstance(tree.body[-1], ast.Expr) and not cell.rstrip().endswith(";")
    shown = [tree.body[-1].value] if ends_in_words else []
    tried = {node for attempt in ast.walk(tree) if isinstance(attempt, ast.Try) for node in ast.walk(attempt)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    shown += [argument for call in calls if call.func.id == "display" for argument in call.args]
    named = [call for call in calls if call.func.id in (*CHECKS, "claim")]
    return [call.func.id for call in named if call not in shown and call not in tried]


def test_a_function_has_no_limit_in_50_digits():
    with pytest.raises(ValueError, match="formulas or sympy objects, but this is a function"):
        limit("eq-limit", lambda beta: beta, "0", to="0")
