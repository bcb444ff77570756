"""`check`: the four states, every kind of answer, and what a learner is told."""

from __future__ import annotations

import functools
import re
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp
import torch

import gradelib
from gradelib import check, exercises
from gradelib.marker.check import mark
from gradelib.marker.exercise import Exercise, Mistake
from gradelib.marker.result import Result

ANSWER = "inv(I_d - T(J)@H@J/beta)"
n, d, beta, w, x, s = sp.symbols("n d beta w x s")
J, H, S = sp.MatrixSymbol("J", n, d), sp.MatrixSymbol("H", n, n), sp.MatrixSymbol("S", d, d)


def optimum(J: torch.Tensor, H: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    return torch.linalg.inv(torch.eye(J.shape[1], dtype=J.dtype) - J.T @ H @ J / beta)


def variances(J: torch.Tensor, curvature: torch.Tensor, beta: float) -> torch.Tensor:
    return 1 / (1 - (curvature[..., None] * J**2).sum(-2) / beta)


# The four states


def test_correct() -> None:
    result = check("opt-cov", ANSWER)
    assert result
    assert (result.state, result.mistake, result.score, result.max_score) == ("correct", None, 1, 1)


def test_incorrect_with_a_known_mistake() -> None:
    result = check("opt-cov", "I_d - T(J)@H@J/beta")
    assert not result
    assert (result.state, result.mistake, result.score) == ("incorrect", "I_d - T(J)@H@J/beta", 0)
    assert result.text.startswith("You found what the stationarity condition gives")


def test_unreadable() -> None:
    result = check("opt-cov", "inv(I_d - T(J)@H@J/bta)")
    assert (result.state, result.mistake, bool(result)) == ("unreadable", None, False)
    assert "did you mean beta?" in result.text


def empty(J, H, beta):
    """Return the best covariance."""


def ellipsis(J, H, beta): ...


def returns_ellipsis(J, H, beta):
    return ...


@pytest.mark.parametrize("stub", [..., None, "", "  \n", empty, ellipsis, returns_ellipsis, lambda J: ...])
def test_unanswered(stub: object) -> None:
    result = check("opt-cov", stub)
    assert result.state == "unanswered"
    assert "Nothing to mark yet" in result.text
    assert result.mistake is None


def test_a_function_that_works_but_still_returns_an_ellipsis_is_unanswered() -> None:
    def started(J, H, beta):
        M = J.T @ H @ J
        return ... if M.ndim else M

    assert check("opt-cov", started).state == "unanswered"


@pytest.mark.parametrize(
    ("exercise_id", "near"),
    [("optcov", "opt-cov"), ("zzzzzz", "The text of"), (3, "The text of"), (None, "The text of")],
)
def test_an_unknown_exercise_is_answered_with_the_nearest(exercise_id: object, near: str) -> None:
    result = check(exercise_id, ANSWER)
    assert result.state == "unreadable"
    assert near in result.text


# Kinds of answers


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("opt-cov", sp.Inverse(sp.Identity(d) - J.T * H * J / beta)),
        ("opt-cov", beta * (beta * sp.Identity(d) - J.T * H * J) ** -1),
        ("opt-cov", (sp.MatrixSymbol("I_d", d, d) - J.T * H * J / sp.Symbol("beta", positive=True)).inv()),
        ("opt-cov", sp.MatPow(sp.Identity(d) - J.T * H * J / beta, -1)),
        (
            "rotation",
            sp.MatrixSymbol("R", d, d)
            * sp.MatPow(sp.MatPow(S, 2), 1)
            * sp.MatPow(S, -1)
            * sp.MatrixSymbol("R", d, d).T,
        ),
        ("opt-var-1d", beta / (beta + w**2)),
        ("opt-var-1d", 1 / (1 + w**2 / sp.Symbol("beta", positive=True, real=True))),
        ("hess-bern-logit", -sp.exp(sp.Symbol("a")) / (1 + sp.exp(sp.Symbol("a"))) ** 2),
        ("standard-error", sp.sqrt(sp.Symbol("v") / sp.Symbol("m"))),
        ("taylor-expectation", sp.Symbol("f0") + sp.Trace(sp.MatrixSymbol("H", d, d) * S) / 2),
        ("regulariser", beta / 2 * sp.log(sp.Determinant(sp.Identity(d) + J.T * J / beta))),
        ("rotation", sp.MatrixSymbol("R", d, d) * S * sp.Transpose(sp.MatrixSymbol("R", d, d))),
        ("gauss-newton", J.T * H * J),
    ],
)
def test_sympy_objects_that_are_right(exercise_id: str, answer: object) -> None:
    result = check(exercise_id, answer)
    assert result, result


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (1 / (1 + beta * w**2), "incorrect", "As beta grows"),
        (sp.Float("0.25") * w, "incorrect", ""),
        (sp.Rational(1, 2), "incorrect", ""),
        (sp.pi * sp.E, "incorrect", ""),
        (sp.Symbol("betta") + w, "unreadable", "did you mean beta"),
        (sp.Symbol("__import__('os').system('x')"), "unreadable", "strange name"),
        (sp.sin(w), "unreadable", "not part of the formula language"),
        (sp.Function("f")(w), "unreadable", "cannot be marked"),
        (sp.I * w, "unreadable", "not part of the formula language"),
        (sp.nan, "unreadable", "not part of the formula language"),
        (sp.zoo, "unreadable", "not part of the formula language"),
        (sp.Integral(w, w), "unreadable", "not part of the formula language"),
        (sp.Integer(10) ** 400, "unreadable", "number over"),
        (w ** sp.Integer(400), "unreadable", "exponent over"),
        (sp.Identity(3), "unreadable", "size by name"),
        (sp.Matrix([[w, 1], [1, beta]]), "incorrect", "2 × 2"),
        (sp.ImmutableMatrix([w, beta]), "incorrect", "2 × 1"),
        (sp.zeros(100, 100), "unreadable", "larger than any"),
        (sp.MatrixSymbol("w", 2, 2) ** 5, "unreadable", "powers of a matrix"),
    ],
)
def test_sympy_objects_that_are_wrong(answer: object, state: str, words: str) -> None:
    result = check("opt-var-1d", answer)
    assert result.state == state, result
    assert words in result.text


NUMBER = Exercise(
    "third", "1/3 to two digits?", {}, answer="1/3", tolerance=0.005, mistakes=(Mistake("3", "Turn it."),)
)
MATRIX = Exercise("eye", "The 2 × 2 identity?", {}, answer="[[1, 0], [0, 1]]")


@pytest.mark.parametrize(
    "answer",
    [0.333, "0.333", 1 / 3, np.float32(1 / 3), torch.tensor(0.3333), sp.Rational(1, 3), "1/3", np.array(0.33333)],
)
def test_numbers_that_are_right(answer: object) -> None:
    assert mark(NUMBER, answer)


@pytest.mark.parametrize("answer", [0.3, 0, -1 / 3, np.int64(2), "0.34"])
def test_numbers_that_are_wrong(answer: object) -> None:
    assert mark(NUMBER, answer).state == "incorrect"


def test_a_number_finds_its_known_mistake() -> None:
    assert mark(NUMBER, 3).mistake == "3"


@pytest.mark.parametrize(
    "answer",
    [torch.eye(2), np.eye(2), [[1, 0], [0, 1]], ((1.0, 0), [0, 1]), sp.eye(2), torch.nn.Parameter(torch.eye(2))],
)
def test_tensors_that_are_right(answer: object) -> None:
    assert mark(MATRIX, answer)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (torch.ones(2, 2), "incorrect"),
        (torch.eye(3), "incorrect"),
        (torch.ones(2), "incorrect"),
        (torch.ones(2, 2, 2), "unreadable"),
        (torch.eye(2).bool(), "unreadable"),
        (torch.eye(2) * 1j, "unreadable"),
        (torch.eye(2) / 0, "unreadable"),
        (torch.zeros(1000, 1000), "unreadable"),
        (np.array([object()]), "unreadable"),
        ([[1, 0], [0]], "unreadable"),
        ([], "unreadable"),
        (True, "unreadable"),
        (1j, "unreadable"),
        (float("nan"), "unreadable"),
        (float("inf"), "unreadable"),
        ({"a": 1, "b": 2}, "unreadable"),
    ],
)
def test_tensors_that_are_wrong(answer: object, state: str) -> None:
    assert mark(MATRIX, answer).state == state


def test_a_function_for_a_formula() -> None:
    assert check("opt-cov", optimum)
    assert check("opt-cov", lambda beta, J, H: optimum(J, H, beta))
    assert check("opt-cov", functools.partial(optimum))
    assert check("opt-cov", lambda J, H, beta, I_d: torch.linalg.inv(I_d - J.mT @ H @ J / beta))
    assert check("opt-cov-gauss", lambda J, beta: optimum(J, -torch.eye(len(J), dtype=J.dtype), beta))
    assert check("column-estimator", lambda c, beta, d: d * torch.log(1 + c / beta))
    assert check("kl-gauss", lambda h, S: (S.trace() + h @ h - len(h) - S.logdet()) / 2)


def test_a_module_is_a_function() -> None:
    class Variances(torch.nn.Module):
        def forward(self, J, curvature, beta):
            return variances(J, curvature, beta)

    assert check("optimal-variances", Variances())


def test_a_formula_for_a_function_exercise() -> None:
    result = check("optimal-variances", "1/(1 - diag(J))")
    assert result.state == "unreadable"


# What a wrong formula is told


@pytest.mark.parametrize(
    ("exercise_id", "answer", "mistake"),
    [
        ("opt-cov", "-inv(I_d - T(J)@H@J/beta)", "sign"),
        ("opt-cov", "3*inv(I_d - T(J)@H@J/beta)", "factor"),
        ("opt-cov", "inv(I_d - 3*T(J)@H@J/beta)", None),
        ("kl-diag", "sum(h**2 - 1 - v)/2", "dropped term"),
        ("opt-cov", "inv(I_d - T(J)@H@J/beta**2)", "exponent"),
        ("opt-var-1d", "(beta + w**2)/beta*pi/pi", "1 + w**2/beta"),
        ("hadamard-gap", "(sum(log(1 + colnorm2(J)/beta)) - logdet(I_d + T(J)@J/beta))/n", "mean for sum"),
        ("rotated-jacobian", "R@T(J)", "R@T(J)"),
        ("quadratic-expectation", "-(h@H@h + tr(H@S))", "sign"),
        ("rotation", "inv(R@S@T(R))", "R@inv(S)@T(R)"),
        ("metric", "T(J)@J + I_d - I_d*2", None),
        ("gauss-newton", "T(T(J)@H)", "H@J"),
        ("regulariser", "beta/2*logdet(I_d + T(J)@J/beta) + beta/2*logdet(S)", None),
        ("kl-gauss", "(tr(S) + norm2(h) - n - logdet(S))/2", "n for d"),
        ("kl-gauss", "(tr(inv(S)) + norm2(h) - d - logdet(S))/2", "inverse"),
        ("gauss-newton", "T(J)@H@T(J)", "order"),
        ("second-moment", "norm2(h) + 3*tr(S)", None),
        ("second-moment", "norm2(h) + 2*tr(S)", "factor"),
        ("linear-column-norm", "2*lam - beta", "factor"),
    ],
)
def test_general_detectors(exercise_id: str, answer: str, mistake: str | None) -> None:
    result = check(exercise_id, answer)
    assert result.state in ("incorrect", "unreadable")
    names = {"inverse": "inverse in one place", "factor": ("factor", "one factor")}
    assert result.mistake == mistake or result.mistake in names.get(mistake, ()), result


def test_the_transpose_of_an_answer_that_is_not_symmetric() -> None:
    exercise = Exercise("a", "?", {"J": "matrix:n,d"}, answer="2*J")
    assert mark(exercise, "2*T(J)").mistake == "transpose"


def test_a_missing_and_a_needless_input_are_named() -> None:
    assert "without beta" in check("grae", "norm2(x - r)*3 + norm2(h) + logdet(I_d + T(J)@J)").text
    assert "depend on Jf" in check("taylor-expectation", "f0 + tr(H@S)/2 + norm2(Jf)").text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("1 - T(J)@H@J/beta", "identity"),
        ("J", "size n × d, but a matrix of size d × d"),
        ("beta", "a number, but a matrix of size d × d"),
        ("diag(T(J)@J)", "a vector of length d"),
        ("log(-beta)*I_d", "no value at some allowed inputs"),
    ],
)
def test_shapes_and_undefined_values_are_told(answer: str, words: str) -> None:
    assert words in check("opt-cov", answer).text


# What a wrong function is told: one step each


def changes_input(J, curvature, beta):
    J *= 1
    result = variances(J, curvature, beta)
    J += 1
    return result


def from_memory(J, curvature, beta, calls=[]):  # noqa: B006 - that is the point
    calls.append(1)
    return variances(J, curvature, beta) + (1e-3 if len(calls) > 6 else 0)


def ends_python(J, curvature, beta):
    raise SystemExit


def not_from_zero(J, curvature, beta):
    return variances(J, curvature, beta) + (J - J.detach()).abs().sqrt().sum()


FAULTS = [
    (lambda: 1, "takes 0 arguments, but it is called with 3"),
    (lambda J, curvature: J, "takes 2 arguments"),
    (lambda J, curvature, beta, more: J, "takes 4 arguments"),
    (lambda curvature, J, beta: J, "order of the arguments is (J, curvature, beta)"),
    (lambda J, curvature, beta, *, key: J, "keyword-only"),
    (lambda J, curvature, beta: missing_name, "stopped in its line"),  # noqa: F821
    (lambda J, curvature, beta: J @ J, "J (5, 3), curvature (5,), beta = "),
    (lambda J, curvature, beta: print(J), "returns None"),
    (lambda J, curvature, beta: 1.0 + 0 * beta, "returns a “float”, not a tensor"),
    (lambda J, curvature, beta: (J, J), "return a single tensor"),
    (lambda J, curvature, beta: (yield 1), "use “return”, not “yield”"),
    (changes_input, "changes its input J"),
    (lambda J, curvature, beta: variances(J, curvature, beta)[..., None], "shape (3, 1), but (3,) is asked for"),
    (lambda J, curvature, beta: J[..., 0] * 3, "Axis -1 has size n = 5 where d = 3 belongs"),
    (lambda J, curvature, beta: variances(J, curvature, beta).float(), "is float32, but the inputs are float64"),
    (lambda J, curvature, beta: variances(J, curvature, beta).to("meta"), "on the device meta"),
    (lambda J, curvature, beta: variances(J, curvature, beta) / 0, "holds NaN or infinity"),
    (lambda J, curvature, beta: variances(J, curvature, beta) ** 3, "3 of 3 entries are not right"),
    (
        lambda J, curvature, beta: (
            1 / (1 - (curvature[..., None] * J**2).reshape(-1, *J.shape[-2:]).sum((0, 1)) / beta)
        ),
        "Count axes from the end",
    ),
    (lambda J, curvature, beta: variances(J, curvature, beta) + torch.rand(()) * 1e-12, "gives two results"),
    (from_memory, "gives two results"),
    (lambda J, curvature, beta: variances(J, curvature, beta).detach(), "no gradient flows back to the inputs"),
    (lambda J, curvature, beta: variances(J, curvature.detach(), beta), "no gradient flows back to curvature"),
    (not_from_zero, "gradient in J is not finite"),
    (ends_python, "ended Python itself"),
]


@pytest.mark.parametrize(("function", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_first_fault_of_a_function(function: object, words: str) -> None:
    result = check("optimal-variances", function)
    assert result.state == "incorrect"
    assert words in result.text, result.text


def test_a_function_that_reads_an_input_from_outside() -> None:
    scope = {"curvature": -torch.ones(5, dtype=torch.float64)}
    exec("def f(J, H, beta): return J.sum(-2) * curvature[0] * beta", scope)
    assert "reads curvature from outside" in check("optimal-variances", scope["f"]).text


def test_a_parameter_that_is_no_input() -> None:
    assert "did you mean beta?" in check("opt-cov", lambda J, H, bta: J).text


def test_a_function_for_a_formula_finds_the_known_mistake() -> None:
    assert check("opt-cov", lambda J, H, beta: optimum(J, -H, beta)).mistake == "inv(I_d + T(J)@H@J/beta)"
    assert check("gauss-newton", lambda J, H: J @ H @ J.T).mistake == "J@H@T(J)"
    assert check("opt-cov", lambda J, H, beta: 3 * optimum(J, H, beta)).mistake == "factor"


def test_general_mistakes_of_a_function() -> None:
    assert check("optimal-variances", lambda J, curvature, beta: -variances(J, curvature, beta)).mistake == "sign"
    assert check("optimal-variances", lambda J, curvature, beta: 3 * variances(J, curvature, beta)).mistake == "factor"


# The forms of a result


@pytest.mark.parametrize("state", ["correct", "incorrect", "unreadable", "unanswered"])
def test_text_and_html(state: str) -> None:
    result = Result("opt-cov", state, "A <b>sentence</b> & more.", score=1, max_score=1)
    text, html = str(result), result._repr_html_()
    assert repr(result) == text
    assert text.splitlines()[1] == "A <b>sentence</b> & more."
    head = text.splitlines()[0]
    assert head.split()[0] in html
    assert re.sub("^. ", "", head.split(" · ")[0]) in html
    assert 'role="status"' in html
    assert "border-left" in html
    assert "&lt;b&gt;sentence&lt;/b&gt; &amp; more." in html
    assert re.search("(?<![-a-z])color:inherit", html), "words stand in the page's own colour"


def test_states_differ_in_more_than_colour() -> None:
    htmls = [Result("e", state, "t")._repr_html_() for state in ("correct", "incorrect", "unreadable", "unanswered")]
    assert len({re.sub("#[0-9a-f]{6}", "", html) for html in htmls}) == 4
    assert len({re.search("border-left:6px (\\w+)", html)[1] for html in htmls}) == 4


def test_points_are_shown_and_counted() -> None:
    exercise = Exercise("a", "?", {}, answer="2", max_score=3)
    assert "3 of 3 points" in str(mark(exercise, 2))
    assert "0 of 3 points" in str(mark(exercise, 5))
    assert "point" not in str(mark(exercise, ...))


def test_the_same_answer_gives_the_same_bytes() -> None:
    script = (
        "from gradelib import check\n"
        "for a in ('inv(I_d)', 'J@J', '3*I_d', ..., lambda J: J, 'inv(T(J)@H@J/beta)', 'inv(bta)'):\n"
        "    r = check('opt-cov', a); print(r, r._repr_html_(), r.mistake)\n"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_marking_a_formula_loads_neither_torch_nor_sympy() -> None:
    script = (
        "import sys, gradelib\n"
        "assert gradelib.check('opt-cov', 'inv(I_d)').state == 'incorrect'\n"
        "print(sorted({'torch', 'sympy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_an_exercise_needs_an_answer_or_a_function() -> None:
    with pytest.raises(ValueError, match="either"):
        Exercise("a", "?", {})
    with pytest.raises(ValueError, match="either"):
        Exercise("a", "?", {}, answer="1", function=optimum)


def test_a_reference_may_be_given_by_its_place() -> None:
    exercise = Exercise(
        "a",
        "?",
        {"J": "matrix:n,d", "curvature": "negvector:n", "beta": "pos"},
        function="gradelib.exercises.chapter06:optimal_variances",
    )
    assert mark(exercise, variances)


def test_check_is_exported() -> None:
    assert gradelib.check is check


def test_an_error_of_a_private_type_is_told_by_its_public_parent():
    class _IncompleteInputError(SyntaxError):
        """As in Python 3.13, for a cell that breaks off."""

    def breaks_off(J, curvature, beta):
        raise _IncompleteInputError("incomplete input")

    assert "“SyntaxError”" in mark(exercises.get("optimal-variances"), breaks_off).text
