"""Figures of chapter 5: the exact Hessian of log p(x | z) beside JᵀHJ, and the curvature of a Bernoulli pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from gradelib.figures import COLOURS, Picture, axes, look, style
from gradelib.likelihoods import Bernoulli

_REACH = 1.9  # how far z goes to either side of the code
_MEANINGS = {"softplus": "full", "tanh": "isotropic", "relu": "other"}


@style()
def residual_picture(r: float) -> Picture:
    """The decoder g(z) = (z, z²/2), the image x = (0, r), and log p(x | z) with its two parabolas at the code h = 0.

    The noise is N(0, I). The exact second derivative is −(1 − r), that of Gauss–Newton −1 for every r.
    """
    figure, (pixels, curve) = axes(1, 2, width=6.6, height=3.5)
    z = np.linspace(-_REACH, _REACH, 81)
    pixels.plot(z, z**2 / 2, **look("formula"))
    circle = np.linspace(0, 2 * np.pi, 61)
    pixels.plot(np.sin(circle), 1 + np.cos(circle), color=COLOURS["faint"], linewidth=1)
    pixels.plot([0], [1], marker="+", color=COLOURS["muted"], markersize=7)
    pixels.plot([0, 0], [0, r], color=COLOURS["learned"], linewidth=1)
    pixels.plot([0], [0], marker="o", color=COLOURS["ink"])
    pixels.plot([0], [r], **look("learned", markersize=7))
    pixels.set(xlim=(-2, 2), ylim=(-1.4, 2.4), aspect="equal", xlabel="pixel 1", ylabel="pixel 2")
    pixels.set_title("the decoded curve and $x$")

    curve.plot(z, -(z**2) / 2 + r * z**2 / 2 - z**4 / 8, color=COLOURS["muted"], linewidth=3.5, label=r"$\log p(x|z)$")
    curve.plot(z, -(1 - r) * z**2 / 2, **look("full", marker="", label="exact Hessian"))
    curve.plot(z, -(z**2) / 2, **look("other", marker="", label="Gauss–Newton"))
    curve.set(xlim=(-_REACH, _REACH), ylim=(-2.6, 1.6), xlabel="$z - h$")
    curve.set_title(r"$\log p(x|z)$ less its value at $h$")
    curve.legend(loc="lower center", fontsize="small")
    shape = "curves down" if r < 1 else "is flat" if r == 1 else "curves up"
    return Picture(
        figure,
        alt=f"The image lies {abs(r):g} {'inside' if r > 0 else 'outside'} the decoded curve, whose radius at the code "
        f"is 1. At the code the log-likelihood {shape}: its second derivative is {r - 1:+.2f}, that of Gauss–Newton "
        "−1.00."
        if r
        else "The image lies on the decoded curve. Both second derivatives at the code are −1.00.",
    )


@style()
def bernoulli_curvature(values: Sequence[float]) -> Picture:
    """|H| of one Bernoulli pixel against its mean m: in the mean for each value x in `values`, and in the logit."""
    figure, panel = axes(width=5.4, height=3.4)
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
    figure.legend(loc="outside right center")
    words = "; ".join(f"for x = {value:g} at {share:.0%} of the means" for value, share in near.items())
    return Picture(
        figure,
        alt="The size of a Bernoulli pixel's curvature against its mean, on a logarithmic scale, with a grey band of "
        f"10 per cent around 1. The curves of the mean form reach the band {words}. The curve of the logit form is "
        "an arch that stays at a quarter or less.",
    )


@style()
def error_against_width(
    widths: Sequence[float], errors: Mapping[tuple[str, str], Sequence[float]], trace: Mapping[str, Sequence[float]]
) -> Picture:
    """Mean errors of the expectation with JᵀHJ against the width s, one panel for each residual.

    `errors` maps (activation, residual) to one error for each width, in nats; `trace` maps an activation to the size of
    its trace term ½ s²|vᵀJᵀHJv|, which is drawn in grey.
    """
    residuals = list(dict.fromkeys(residual for _, residual in errors))
    figure, panels = axes(1, len(residuals), width=3.3 * len(residuals), height=3.5, sharey=True, squeeze=False)
    told = []
    for panel, residual in zip(panels[0], residuals, strict=True):
        for activation, size in trace.items():
            panel.plot(widths, size, color=COLOURS["muted"], linewidth=1, label="_")
            panel.plot(widths, errors[activation, residual], **look(_MEANINGS[activation], label=activation))
            share = errors[activation, residual][0] / size[0]
            told.append(f"{activation} with {residual}: {share:.1%}")
        panel.set(xscale="log", yscale="log", title=residual, xlabel="width $s$ of the cloud")
        panel.set_xticks(widths, [f"{s:g}" for s in widths])
        panel.minorticks_off()
    panels[0][0].set_ylabel("mean error, nats")
    panels[0][0].legend()
    return Picture(
        figure,
        alt="Errors of the second-order expectation with JᵀHJ against the width of the cloud, on logarithmic axes, "
        "with the trace terms as thin grey lines. Error over trace term at the smallest width: "
        + "; ".join(told)
        + ".",
    )
