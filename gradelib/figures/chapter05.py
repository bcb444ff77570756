"""Figures and table of chapter 5: the Hessian of log p(x | z) beside JᵀHJ, and the curvature of a Bernoulli pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from gradelib.figures import COLOURS, Picture, axes, look, style
from gradelib.figures.tables import with_error
from gradelib.likelihoods import Bernoulli

_REACH = 1.9  # how far z goes to either side of the code
_PLACES = {"left": 0.13, "right": 0.97, "bottom": 0.075, "top": 0.955, "hspace": 0.36}


@style()
def residual_picture(r: float) -> Picture:
    """The decoder g(z) = (z, z²/2), the image x = (0, r), and log p(x | z) + log p(z) with two parabolas at the code 0.

    The noise is N(0, I) and β is 1. The second derivative of log p(x | z) is −(1 − r), that of Gauss–Newton −1 for
    every r. Bars show one standard deviation of the best Gaussian around 0 for the β-VAE's own loss, and of those that
    the two parabolas ask for.
    """
    figure, (pixels, curve) = axes(2, 1, width=4.4, height=6.2, places=_PLACES)
    z = np.linspace(-_REACH, _REACH, 35)
    pixels.plot(z, z**2 / 2, **look("formula"))
    circle = np.linspace(0, 2 * np.pi, 41)
    pixels.plot(np.sin(circle), 1 + np.cos(circle), color=COLOURS["faint"], linewidth=1)
    pixels.plot([0], [1], marker="+", color=COLOURS["muted"], markersize=7)
    pixels.plot([0, 0], [0, r], color=COLOURS["learned"], linewidth=1)
    pixels.plot([0], [0], marker="o", color=COLOURS["ink"])
    pixels.plot([0], [r], **look("learned", markersize=7))
    pixels.set(xlim=(-2, 2), ylim=(-1.4, 2.9), aspect="equal", xlabel="pixel 1", ylabel="pixel 2")
    pixels.set_title("the decoded curve and $x$", y=1)  # y, or it is searched for

    true = (r - 2) * z**2 / 2 - z**4 / 8
    curve.plot(z, true, color=COLOURS["muted"], linewidth=3.5, label="what is to be matched")
    variances = {"full": 1 / (2 - r) if r < 2 else None, "other": 0.5}
    best = best_variance(r)
    curve.plot(z, (r - 2) * z**2 / 2, **look("full", marker="", label="exact Hessian"))
    curve.plot(z, -(z**2), **look("other", marker="", label="Gauss–Newton"))
    _bar(curve, best, -2.9, color=COLOURS["muted"], linewidth=3.5)
    for (meaning, variance), height in zip(variances.items(), (-3.25, -3.6), strict=True):
        # Where there is none it is drawn all the same, as nothing: frames of like parts are stored once.
        _bar(curve, variance or math.nan, height, **look(meaning, marker=""))
    curve.set(xlim=(-_REACH, _REACH), ylim=(-3.9, 2.9), xlabel="$z - h$")
    curve.set_title(r"$\log p(x|z) + \log p(z)$", y=1)
    curve.legend(loc="upper center", fontsize="small")
    for panel in (pixels, curve):
        panel.locator_params(nbins=5)  # a tick is what takes longest to draw
    shape = "curves down" if r < 1 else "is flat" if r == 1 else "curves up"
    costs = {
        meaning: true_loss(variance, r) - true_loss(best, r) for meaning, variance in variances.items() if variance
    }
    words = f"that of Gauss–Newton 0.50, with a loss {costs['other']:.3f} nats higher"
    if "full" in costs:
        words += f", that of the exact Hessian {variances['full']:.2f}, {costs['full']:.3f} nats higher."
    else:
        words += "; the exact Hessian gives none."
    return Picture(
        figure,
        alt=f"The image lies {_where(r)}. At the code log p(x|z) {shape}: its second derivative is {r - 1:+.2f}, that "
        f"of Gauss–Newton −1.00. The best variance of the β-VAE's own loss is {best:.2f}, {words}",
    )


def best_variance(r: float) -> float:
    """The variance of the Gaussian around 0 with the least `true_loss`."""
    return (r - 2 + math.sqrt((2 - r) ** 2 + 6)) / 3


def true_loss(variance: float, r: float) -> float:
    """The β-VAE loss, β = 1, of N(0, variance) for the image and decoder of `residual_picture`, up to a constant."""
    return (1 - r) * variance / 2 + 3 * variance**2 / 8 + (variance - math.log(variance)) / 2


def _where(r: float) -> str:
    return (
        f"{abs(r):g} {'inside' if r > 0 else 'outside'} the decoded curve, whose radius is 1" if r else "on the curve"
    )


def _bar(panel: Axes, variance: float, height: float, **drawn: Any) -> None:
    """One standard deviation to either side of the code."""
    panel.plot([-math.sqrt(variance), math.sqrt(variance)], [height, height], **drawn)


@style()
def bernoulli_curvature(values: Sequence[float]) -> Picture:
    """|H| of one Bernoulli pixel against its mean m: in the mean for each value x in `values`, and in the logit."""
    figure, panel = axes(width=4.4, height=3.8)
    m = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)[:, None]
    panel.axhspan(0.9, 1.1, color=COLOURS["faint"], linewidth=0)
    near = {}
    styles = ["-", "--", "-.", ":", (0, (6, 1, 1, 1))]
    for value, line in zip(values, styles, strict=False):
        size = -Bernoulli("mean").curvature(torch.full_like(m, value), m)[:, 0]
        near[value] = float((size < 1.1).double().mean())
        panel.plot(m, size, color=COLOURS["full"], linestyle=line, label=f"mean, $x$ = {value:g}")
    panel.plot(m, m * (1 - m), color=COLOURS["other"], label="logit, any $x$")
    panel.set(yscale="log", xlim=(0, 1), ylim=(0.03, 100), xlabel="mean $m$ of the pixel", ylabel="$|H|$")
    panel.minorticks_off()
    figure.legend(loc="outside upper center", ncols=2)
    words = "; ".join(f"for x = {value:g} at {share:.0%} of the means" for value, share in near.items())
    return Picture(
        figure,
        alt="The size of a Bernoulli pixel's curvature against its mean, on a logarithmic scale, with a grey band of "
        f"10 per cent around 1. The curves of the mean form reach the band {words}. The curve of the logit form is "
        "an arch that stays at a quarter or less.",
    )


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the second-order loss with JᵀHJ leaves out, a line for each row of `digits-long` or `learned-covariance`."""
    lines = ["data    decoder   family     β  steps  signed        in size  no optimum  exact − G.–N."]
    for row in rows:
        exact = with_error(row, "exact_less_formula", ".4f") if "exact_less_formula" in row else "–"
        lines.append(
            f"{row.get('data', 'digits'):6}  {row['activation']:8}  {row.get('family', 'diag.'):6} {row['beta']:5} "
            f"{row['steps']:6}  {with_error(row, 'taylor_signed', '.1%'):14} {row['taylor_absolute']:5.0%}  "
            f"{row['indefinite']:10.1%}  {exact}"
        )
    return "\n".join(lines)
