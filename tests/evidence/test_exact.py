"""Exact checks: what holds is proved, and a wrong program, a restated side and a weak claim are refused."""

from __future__ import annotations

import pytest
import sympy as sp

from gradelib import records
from gradelib.algebra import AlgebraError, is_zero
from gradelib.equations import EquationError, identity
from gradelib.exact import by_squares, det, exact, expectation, inverse, normal_moment

P = "(I_d - T(J)@H@J/beta)"
a, b, x, y = sp.symbols("a b x y", positive=True)
t = sp.Symbol("t")


def objective(J, H, S, beta):
    return (J.T * H * J * S).trace() / 2 - beta * (S.trace() - sp.log(det(S))) / 2


def gradient(J, H, S, beta):
    return [objective(J, H, S, beta).diff(entry) for entry in sorted(S.free_symbols, key=str)]


# --- the algebra


@pytest.mark.parametrize(
    "zero",
    [
        (a + b) ** 2 - a**2 - 2 * a * b - b**2,
        1 / (a + b) - a / (a * (a + b)),
        1 / (1 / a + 1 / b) - a * b / (a + b),
        sp.sqrt(a + b) * sp.sqrt(a + b) - a - b,
        (a - b) / (sp.sqrt(a) - sp.sqrt(b)) - sp.sqrt(a) - sp.sqrt(b),
        sp.Rational(1, 6) * a + sp.Rational(1, 3) * a - a / 2,
        a / b * sp.log((x + y) ** 2) - 2 * a / b * sp.log(x + y),
        sp.log(a**2 - b**2) - sp.log(a - b) - sp.log(a + b),
        a * sp.log(x**2 - 1)
        + b * sp.log(x * y)
        - a * sp.log(x - 1)
        - a * sp.log(x + 1)
        - b * sp.log(y)
        - b * sp.log(x),
        sp.exp(a / 2) ** 2 - sp.exp(a),
        sp.exp(a + b) / sp.exp(b) - sp.exp(a),
        sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1,
        sp.cos(2 * x) + 2 * sp.sin(x) ** 2 - 1,
        sp.E * sp.exp(a) - sp.exp(a + 1),
        sp.pi * a - a * sp.pi,
        sp.sqrt(a / 2 + b / 2) * sp.sqrt(2) - sp.sqrt(a + b),
        (a + b) * sp.log(x / y)
        - a * sp.log(x / 2)
        - b * sp.log(x * a)
        + b * sp.log(2 * a * y)
        + a * sp.log(y / 2)
        - b * sp.log(2),
    ],
)
def test_what_is_zero_is_proved(zero):
    assert is_zero(zero)
    assert not is_zero(zero + a / 1000)


def test_a_symbol_may_have_a_known_square():
    assert is_zero(a**3 - a * b, {a: b})
    assert not is_zero(a**3 - a * b)


def test_what_algebra_does_not_reach_is_said():
    with pytest.raises(AlgebraError, match="does not reach sign"):
        is_zero(sp.sign(sp.Symbol("r", real=True)) - 1)
    with pytest.raises(AlgebraError, match="its exponent is no number"):
        is_zero(a**b - 1)


def test_absolute_values_are_squares_with_a_sign():
    p, q = sp.symbols("p q", real=True)
    assert is_zero(sp.Abs(-2 * p - 2 * q, evaluate=False) - 2 * sp.Abs(p + q))
    assert is_zero(sp.Abs(p) ** 2 - p**2)
    assert not is_zero(sp.Abs(p) - p)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_inverse_and_determinant(size):
    A = sp.Matrix(size, size, lambda i, j: sp.Symbol(f"a{i}{j}"))
    assert all(is_zero(entry) for entry in inverse(A) * A - sp.eye(size))
    assert is_zero(det(A) * det(inverse(A)) - 1)


def test_moments_of_a_gaussian():
    assert [normal_moment(k) for k in range(7)] == [1, 0, 1, 0, 3, 0, 15]
    e = sp.symbols("e1 e2")
    assert expectation(a * e[0] ** 4 * e[1] ** 2 + b * e[0] + 5, e) == 3 * a + 5
    assert expectation(e[0] ** 3, e[:1], lambda k: x**k) == x**3


# --- checks


def test_the_sizes_are_tried_and_told():
    result = exact("eq-test", gradient, f"inv{P}", solves="S")
    assert (result.evidence, result.sizes, result.points) == ("exact", ((3, 2), (2, 3)), 4)
    assert result.tried > 30
    assert str(result) == f"✓ eq-test · exact solution for n×d = 3×2, 2×3 · {result.tried} wrong variants refused"
    kind, data = (result._repr_mimebundle_()[records.MIME_TYPE][key] for key in ("kind", "data"))
    assert (kind, data["evidence"], data["tried"]) == ("check", "exact", result.tried)


def test_a_claim_that_holds_at_one_size_only_is_refused():
    exact("eq-test", lambda J: det(J * J.T), "det(J@T(J)) + (n - 2)", sizes=[{"n": 2, "d": 3}])
    with pytest.raises(EquationError, match="does not hold: at a rational point with n = 3 and d = 4"):
        exact("eq-wrong", lambda J: det(J * J.T), "det(J@T(J)) + (n - 2)", sizes=[{"n": 2, "d": 3}, {"n": 3, "d": 4}])


def test_numbers_need_no_sizes():
    s, m, beta = sp.symbols("s m beta", positive=True)
    slope = (-m * s / 2 - beta * (s - sp.log(s)) / 2).diff(s)
    result = exact("eq-test", slope, "beta/(beta + m)", solves="s", s="pos", m="pos")
    assert str(result).startswith("✓ eq-test · exact solution · ")


def test_a_matrix_that_is_given_has_its_own_size():
    C = sp.Matrix([[a, 0], [b, a]])
    result = exact("eq-test", lambda: sp.log(det(C * C.T)), "sum(log(diag(C)**2))", C=C)
    assert str(result).startswith("✓ eq-test · exact identity · ")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (gradient, P),  # not inverted
        (gradient, "inv(I_d + T(J)@H@J/beta)"),
        (gradient, "inv(I_d - T(J)@H@J)"),
        (lambda J, H, S, beta: [2 * one for one in gradient(J, H, S, beta / 2)], f"inv{P}"),
    ],
)
def test_a_wrong_solution_is_refused(left, right):
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        exact("eq-wrong", left, right, solves="S")


def test_a_solution_must_be_as_symmetric_as_what_it_stands_for():
    with pytest.raises(EquationError, match="does not hold"):
        exact("eq-wrong", lambda S: 0 * S[0, 0], "J@T(J) + x@T(g)", solves="S", S="sym:n")


def wrong_average(h, S):
    """The mean of ‖z‖² for a q whose covariance is S, by a program that looks only along the first axis."""
    e = sp.Symbol("e")
    return expectation((h[0] + e) ** 2, [e], lambda k: S[0, 0] if k == 2 else normal_moment(k))


def test_a_wrong_program_is_refused_that_one_latent_lets_pass():
    one = identity("eq-weak", "h**2 + s", lambda h, s: h**2 + s, h="real", s="pos")  # d = 1, both sides restated
    assert one.tried > 0
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        exact("eq-wrong", wrong_average, "norm2(h) + tr(S)")


@pytest.mark.parametrize(
    "left",
    [lambda beta, m: beta / (beta + m), "beta/(beta + m)", sp.Symbol("beta") / (sp.Symbol("beta") + sp.Symbol("m"))],
)
def test_a_restated_side_proves_nothing(left):
    with pytest.raises(
        EquationError, match="proves nothing: both sides are one expression before anything is computed"
    ):
        exact("eq-restated", left, "beta/(beta + m)", m="pos")


def test_a_derivative_may_have_the_very_form_of_the_right_side():
    assert exact("eq-test", sp.Derivative(x**2, x), "2*x", x=x).tried
    assert exact("eq-test", lambda s: sp.diff(s**2, s), "2*s", s="pos").tried


def test_a_survivor_is_refused_unless_it_is_excused():
    squared = "(beta - 2)*(beta - 3)"  # 2 and 3 both solve it, and 3 is a mutant of 2
    with pytest.raises(EquationError, match=r"also passes for 3 .*: it proves too little"):
        exact("eq-weak", squared, "2", solves="beta")
    assert exact("eq-weak", squared, "2", solves="beta", excuse={"3": "the other zero"}).excused


def test_mutants_that_are_the_same_function_are_counted_apart():
    assert exact("eq-test", lambda J: sum(entry**2 for entry in J.expand()), "tr(J@T(J))").same > 0


def test_names_may_stand_for_expressions():
    z, g, outer = sp.Symbol("z"), sp.Function("g"), sp.Function("outer")
    names = {"J": g(z).diff(z), "C": g(z).diff(z, 2), "s": outer(g(z)).diff(g(z)), "H": outer(g(z)).diff(g(z), 2)}
    assert exact("eq-test", outer(g(z)).diff(z, 2), "H*J**2 + s*C", **names).tried > 10
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        exact("eq-wrong", outer(g(z)).diff(z, 2), "H*J**2", **names)


def unit_vector(d):
    return sp.eye(d)[:, 0]


def velocity_of_the(column):
    def velocity(J):
        z = sp.Matrix(sp.symbols(f"z1:{J.cols + 1}"))
        return (J * z).diff(z[column])

    return velocity


def test_a_name_may_be_made_of_others_at_each_pair_of_sizes():
    result = exact("eq-test", velocity_of_the(0), "J@e", e=unit_vector)
    assert (result.sizes, result.tried > 5) == (((3, 2), (2, 3)), True)
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        exact("eq-wrong", velocity_of_the(1), "J@e", e=unit_vector)
    with pytest.raises(EquationError, match="nothing says what w is"):
        exact("eq-wrong", velocity_of_the(0), "J@e", e=lambda w: w)


def test_orthogonal_matrices_and_roots():
    assert exact("eq-test", lambda R: R.T, "inv(R)").tried
    assert exact("eq-test", lambda R, S: det(R * S * R.T), "det(S)").tried
    assert exact("eq-test", lambda Q: det(Q) ** 2, "det(S)", Q="sqrt:S").tried
    with pytest.raises(EquationError, match="eq-wrong does not hold"):
        exact("eq-wrong", lambda R: det(R), "1")  # reflections are orthogonal too


@pytest.mark.parametrize(
    ("left", "right", "says"),
    [
        (lambda J: J.T * J, "J@T(J)", "the left side is a 2 × 2 matrix, the right side a 3 × 3 matrix"),
        (lambda w: 2 * w, "2*beta", r'nothing says what w is; declare it, for example w="pos"'),
        (lambda beta: sp.sign(beta - 1) * (beta - 1), "abs(beta - 1)", "Algebra does not reach sign"),
        (lambda beta: 2 * beta, lambda beta: 2 * beta, "the right side of an exact check is a formula"),
        (lambda J: det(J.T * J), "1/det(J@T(J))", "the value is not a finite real number"),
    ],
)
def test_a_bad_check_gets_one_sentence(left, right, says):
    with pytest.raises(EquationError, match=says) as caught:
        exact("eq-wrong", left, right)
    assert "\n" not in str(caught.value)


# --- inequalities


def test_an_inequality_with_a_certificate():
    result = by_squares("eq-test", "4", "1/x + 1/(1 - x)", "(2*x - 1)**2/(x*(1 - x))", x="unit")
    assert str(result).startswith("✓ eq-test · exact inequality · ")


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ("(2*x - 1)**2/(x*(1 + x))", "does not hold"),
        ("1/x + 1/(1 - x) - 4", "not seen to be positive in 1/x"),
        ("(2*x - 1)**3*(2*x - 1)**(-1)/(x*(1 - x))", r"not seen to be positive in 2\*x - 1"),
        ("(2*x - 1)**2/(x*(1 - x)) - 0*x", "not seen to be positive"),
    ],
)
def test_a_certificate_must_hold_and_be_seen_to_be_positive(certificate, says):
    with pytest.raises(EquationError, match=says):
        by_squares("eq-wrong", "4", "1/x + 1/(1 - x)", certificate, x="unit")


def test_a_real_name_is_not_positive():
    with pytest.raises(EquationError, match="not seen to be positive in m"):
        by_squares("eq-wrong", "0", "m", "m", m="real")
