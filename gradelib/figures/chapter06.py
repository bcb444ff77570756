"""Figures and tables of chapter 6: learned covariances beside those of the formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradelib import geometry
from gradelib.figures import COLOURS, Picture, axes, ellipse, look, style
from gradelib.figures.tables import with_error
from gradelib.likelihoods import Likelihood
from gradelib.networks import VAE
from gradelib.posteriors import optimal_covariance, project

_PLACES = {"left": 0.16, "right": 0.95, "bottom": 0.07, "top": 0.925, "hspace": 0.24, "height_ratios": (1.6, 1)}


@style()
def learned_against_formula(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> Picture:
    """Variances that an encoder learned against those of the formula, one panel for each family.

    `pairs` maps a family to its learned and its predicted covariances, both (examples, d, d).
    """
    width = 2.4 * len(pairs)
    places = {"left": 0.7 / width, "right": 1 - 0.1 / width, "bottom": 0.18, "top": 0.9, "wspace": 0.12}
    figure, panels = axes(
        1, len(pairs), width=width, height=2.8, places=places, sharex=True, sharey=True, squeeze=False
    )
    off = {}
    for panel, (family, covariances) in zip(panels[0], pairs.items(), strict=True):
        learned, formula = (S.detach().diagonal(dim1=-2, dim2=-1).flatten().cpu() for S in covariances)
        resolved = formula <= 0.5  # an unused latent has the variance 1 on both sides
        off[family] = float((learned / formula)[resolved].log().abs().median().exp() - 1)
        panel.plot(formula, learned, **look(family, linestyle="", markersize=2, alpha=0.35, rasterized=True))
        panel.axline((1, 1), (2, 2), **look("formula", linewidth=1))
        panel.set(xscale="log", yscale="log", aspect="equal")
        panel.set_title(f"{family} posterior", y=1)  # y, or it is searched for
        panel.minorticks_off()
        panel.set_xlabel(r"by the formula, $\Sigma^\star_{ii}$")
    panels[0][0].set_ylabel(r"learned variance, $\Sigma_{ii}$")
    words = " and ".join(f"by {share:.0%} for the {family} posterior" for family, share in off.items())
    return Picture(
        figure,
        alt="Learned variances against those of the formula, on logarithmic axes, one point for each latent of each "
        f"held-out image. Where the best variance is at most ½, the median is off the line of equality {words}.",
    )


def posterior_slice(
    model: VAE, x: Tensor, likelihood: Likelihood, *, reach: float = 1.35
) -> Callable[[float], Picture]:
    """A function of β that draws the best covariances on a slice through two latents around the code of x (n).

    The two latents are those with the largest |(JᵀHJ)_ij|; the others stay where the encoder put them. The picture
    shows the full, the diagonal and the isotropic optimum at one standard deviation. Behind them stands what they
    approximate: contours of log p(x|z)/β + log p(z) less its tangent plane at the code, ½ and 2 nats below the code.
    Below them stands what the two restrictions cost in nats, against β.
    """
    h, hessian = _hessian_at_code(model, x, likelihood)
    i, j = divmod(int(hessian.triu(1).abs().argmax()), len(h))
    steps = torch.linspace(-reach, reach, 61, dtype=x.dtype)
    z = h.repeat(len(steps), len(steps), 1)
    z[..., i] += steps
    z[..., j] += steps[:, None]
    log_likelihood = _less_tangent(lambda z: likelihood.log_prob(x, model.decoder(z)), h, z)
    log_prior = _less_tangent(lambda z: -0.5 * (z**2).sum(-1), h, z)
    pair = hessian[[i, j]][:, [i, j]]
    betas = torch.logspace(-1.5, 2, 36, dtype=x.dtype)
    curves = {family: [cost(pair, float(beta), family) for beta in betas] for family in ("diagonal", "isotropic")}

    @style()
    def draw(beta: float) -> Picture:
        figure, (panel, costs) = axes(2, 1, width=4.4, height=7.0, places=_PLACES)
        exact = {"levels": [-2, -0.5], "colors": COLOURS["muted"], "linewidths": [0.7, 1.2]}
        panel.contour(steps, steps, log_likelihood / beta + log_prior, negative_linestyles="solid", **exact)
        ellipse(panel, (0, 0), torch.eye(2), "other", edgecolor=COLOURS["muted"], linestyle=":", linewidth=1)
        widths = {}
        for family in ("full", "diagonal", "isotropic"):
            covariance = optimal_covariance(pair, beta, family)
            ellipse(panel, (0, 0), covariance, family)
            panel.plot([], [], **look(family, marker="", label=family))
            widths[family] = torch.linalg.eigvalsh(covariance).sqrt()
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        panel.set(xlabel=f"$z_{i + 1} - h_{i + 1}$", ylabel=f"$z_{j + 1} - h_{j + 1}$")
        costs.axvline(beta, color=COLOURS["faint"], linewidth=1)
        costs_of = {family: cost(pair, beta, family) for family in curves}
        for family, curve in curves.items():
            costs.plot(betas, curve, **look(family, marker=""))
            costs.plot([beta], [costs_of[family]], **look(family, linestyle="", markersize=7))
        costs.set(xscale="log", ylim=(0, None), xlabel="β", ylabel="cost, nats")
        costs.minorticks_off()
        costs.xaxis.set_major_formatter("{x:g}")
        costs.locator_params("y", nbins=5)  # a tick is what takes longest to draw
        figure.legend(loc="upper center", ncols=3, title=f"β = {beta:g}")
        spread = "; ".join(f"{family} {low:.2f} by {high:.2f}" for family, (low, high) in widths.items())
        words = f"Ellipses of one standard deviation around the code, with half axes: {spread}."
        grey = " Grey lines: contours of the function that they approximate, ½ and 2 nats below the code."
        dear = "; ".join(f"{family} {nats:.3f}" for family, nats in costs_of.items())
        return Picture(figure, alt=f"{words}{grey} Cost of the restriction in nats: {dear}.")

    return draw


def cost(hessian: Tensor, beta: float, family: str) -> float:
    """What the best Σ of a family costs against the best of all, β/2 (log |Π(P)| − log |P|) in nats; P from (d, d)."""
    P = torch.eye(len(hessian), dtype=hessian.dtype) - hessian / beta
    return float(beta / 2 * (torch.logdet(project(P, family)) - torch.logdet(P)))


def table_by_family(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each row of `learned-covariance`: the ratios of the variances, the eigenvalues, and both losses."""
    sides = "ratio 10–50–90 %   over 10 %    eigenvalues"
    lines = [f"data   decoder   family      β  steps   {sides}    β KL   learned − formula"]
    for row in rows:
        ratio = "–".join(f"{part:.2f}" for part in row["variance_ratio"])
        off = f"{row['off']:.0%}" if ratio else ""
        lines.append(
            f"{row['data']:6} {row['activation']:8}  {row['family']:8} {row['beta']:4} {row['steps']:6}  {ratio:>17}  "
            f"{off:>10}  {row['smallest'][1]:6.2f} to {row['largest'][1]:.2f}  {row['kl']:6.3f}  "
            f"{with_error(row, 'learned_less_formula', '.4f'):>18}"
        )
    return "\n".join(lines)


def table_by_length(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each row of `digits-long` with a diagonal Σ: how far it is off the formula, and in nats."""
    lines = ["decoder      β  steps  resolved  over 10 % off   β KL   learned − formula"]
    for row in rows:
        lines.append(
            f"{row['activation']:8}  {row['beta']:4} {row['steps']:6} {row['resolved']:9.1f}  {row['off']:13.0%}  "
            f"{row['kl']:5.3f}  {with_error(row, 'learned_less_formula', '.4f'):>18}"
        )
    return "\n".join(lines)


@torch.no_grad()
def _hessian_at_code(model: VAE, x: Tensor, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """The code h (d) of one example x (n), and JᵀHJ (d, d) there."""
    h = model.posterior(x).mean
    curvature = likelihood.curvature(x, model.decoder(h))
    return h, geometry.gauss_newton(geometry.jacobian(model.decoder, h), curvature)


def _less_tangent(f: Callable[[Tensor], Tensor], h: Tensor, z: Tensor) -> Tensor:
    """Values f(z) at z (…, d) less their tangent plane at h (d), which every q with mean h averages to f(h)."""
    at_h, slope = f(h), torch.func.grad(f)(h)
    return (f(z) - at_h - (z - h) @ slope).detach()
