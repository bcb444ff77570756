"""Wrong programs and wrong equations that an earlier, weaker check of a chapter let pass: each is refused now.

Each row names the cell of a check by a text in it, and what makes it wrong.
"""

from __future__ import annotations

import pytest
from chapter_cells import changed_cells, run_cell
from corpora import some_of

from gradelib.equations import EquationError

WRONG = {
    "the best decoder where more eigenvalues are above β": (
        "01",
        '"eq-linear-optimum"',
        {"beta / (1 + l)": "beta * (1 + l)", "beta/(1 + l)": "beta*(1 + l)"},
    ),
    "a decoder that nobody improved": ("01", '"eq-linear-optimum"', {"    descent.step(step)\n": ""}),
    "a posterior that is pushed without its mean": (
        "03",
        '"eq-rotated-covariance", "R@h"',
        {"z + R @ S @ R.mT @ slope_of_pushed(h, S, R, z)": "h"},
    ),
    "another radius": ("04", "r=2 * sp.sqrt(p2 / p4)", {"r=2 * sp.sqrt(p2 / p4)": "r=sp.sqrt(p2 / p4)"}),
    "another infinite branch": ("04", '"eq-no-average", "2*c"', {'"2*c"': '"3*c"'}),
    "a pair of points on one side": ("04", '"eq-control-variate"', {"(h - u, p / 2)": "(h + u, p / 2)"}),
    "the curvature of a curve that only turns": (
        "05",
        '"eq-residual-curvature"',
        {"sp.sqrt(across(c, J).dot(across(c, J))) / J.dot(J)": "sp.sqrt(c.dot(c)) / J.dot(J)"},
    ),
    "equality at multiples of the identity alone": (
        "06",
        '"eq-marginal", "1/diag(P)"',
        {'"diag(inv(P))"': '"diag(inv(P)) + (frob2(P) - tr(P)**2/d)"'},
    ),
    "a cost that ignores the size of the blocks": (
        "07",
        "price(two_blocks(V, S, J), len(V))",
        {"price(two_blocks(V, S, J), len(V))": "price(two_blocks(V, S, J), 1)"},
    ),
    "the bound of the isotropic family": (
        "07",
        '"eq-hadamard-gap"',
        {'"sum(log(diag(P)))"': '"d*log(tr(P)/d)"'},
    ),
    "a length with one metric for the whole curve": (
        "07",
        '"eq-length", "a*',
        {"geometry.jacobian(g, codes)": "geometry.jacobian(g, codes[:1].expand_as(codes))"},
    ),
    "the bound of two latents for three": (
        "09",
        '"d*log(1 + tr(M)/(d*beta))"',
        {'"d*log(1 + tr(M)/(d*beta))"': '"2*log(1 + tr(M)/(2*beta))"'},
    ),
    "a highest sum that nobody looked for": (
        "10",
        '"eq-crowding"',
        {"highest_sum(X, beta**4)": "torch.ones(()) + 0 * beta"},
    ),
    "one covariance for all clouds": ("11", '"eq-aggregate"', {"(S + V)/2": "S"}),
    "a fitted prior without the spread of the codes": (
        "11",
        '"eq-mismatch"',
        {"V = (S + h[:, :, None] * h[:, None, :]).mean(0)": "V = S.mean(0) + torch.outer(mean, mean)"},
    ),
    "one noise for all pixels": ("12", '"eq-denoising"', {"s * F * e -": "s * F * sp.Matrix([e[0]] * len(e)) -"}),
    "a share below zero, RAE": ("12", "kept_by_rae,", {"max(0, 1 - sqrt(beta/lam))": "1 - sqrt(beta/lam)"}),
    "a share below zero, VAE": ("12", "kept_by_the_vae,", {"max(0, 1 - beta/lam)": "1 - beta/lam"}),
    "a share below zero, tied": ("12", '"max(0, 1 - gamma', {"max(0, 1 - gamma/(2*lam))": "1 - gamma/(2*lam)"}),
}


# Mistakes of other kinds: a factor that is 1 at some sizes, a sum that is not a mean, a transposed matrix, and so on.
MORE = {
    "a decoder that is turned the other way": (
        "02",
        '"eq-transported-objective", f"-{fit}',
        {"J @ R.mT, R @ h": "J @ R, R @ h"},
    ),
    "a slope that counts an entry twice": (
        "03",
        '"eq-shared-precision", slope',
        {"sp.ones(S.rows) / 2 + sp.eye(S.rows) / 2": "sp.ones(S.rows)"},
    ),
    "an average of squares alone": (
        "04",
        '"eq-taylor", average_of_the_parabola',
        {"for j in range(i, len(u))]": "for j in (i,)]"},
    ),
    "images that are all as likely": (
        "05",
        '"eq-signed-average", mean_bending',
        {"w[i] * each[i]": "each[i]", "/ sum(w)\n": "/ len(w)\n"},
    ),
    "a diagonal in the place of blocks": (
        "06",
        "inverse_of_each_block, best_blocks",
        {'beta, "block", block=2)': 'beta, "diagonal")'},
    ),
    "a divergence the other way round": (
        "07",
        '"eq-fischer-gap", gap, lambda',
        {"kl_divergence(restricted, best)": "kl_divergence(best, restricted)"},
    ),
    "minors of one row": (
        "08",
        '"eq-grae-cheap"',
        {"combinations(range(V.rows), rho)": "combinations(range(V.rows), 1)"},
    ),
    "own draws that the batch shares": (
        "09",
        '"eq-own-columns", own_draws',
        {"for x in a for y in c": "for x, y in zip(a, c)"},
    ),
    "a deal without its factor, which is 1 for three cards": ("09", '"4*o - s"', {"sp.Rational(d, B) * sum": "sum"}),
    "charges without a half": (
        "09",
        '"eq-one-column", lambda',
        {"return [beta / 2 * sp.log(1 + M": "return [beta * sp.log(1 + M"},
    ),
    "a bend of the other sign": ("10", '"eq-quadratic-gap"', {"- K * u**2 / 2": "+ K * u**2 / 2"}),
    "draws without replacement": (
        "11",
        '"eq-floor"',
        {"for x in rows for y in rows]": "for x in rows for y in rows if x != y]"},
    ),
    "one Hessian for all pixels": ("12", '"eq-denoising"', {"D[k * D.cols:(k + 1) * D.cols, :]": "D[:D.cols, :]"}),
}


@pytest.mark.parametrize("name", [*WRONG, *MORE])
def test_each_text_that_is_changed_is_in_its_chapter(name):
    changed_cells(*(WRONG | MORE)[name])  # raises where it is not


@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of([*WRONG, *MORE], 5))
def test_a_wrong_program_is_refused(name):
    chapter, cell, changes = (WRONG | MORE)[name]
    with pytest.raises(EquationError, match="does not hold"):
        run_cell(chapter, cell, changes)


def test_the_same_cell_passes_as_it_stands():
    assert run_cell("07", '"eq-hadamard-gap"', {}).tried > 20
    with pytest.raises(AssertionError, match="no cell has 'nothing like it'"):
        run_cell("07", '"eq-hadamard-gap"', {"nothing like it": ""})
