"""Figures of chapter 4: the average of a function over a Gaussian beside its second-order Taylor value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gradelib import geometry
from gradelib.figures import COLOURS, Picture, axes, look, style

Function = Callable[[Tensor], Tensor]

_PLACES = {"left": 0.15, "right": 0.97, "bottom": 0.115, "top": 0.8}


def width_of_q(
    f: Function,
    average: Callable[[float], float],
    h: float,
    *,
    reach: float = 4.5,
    low: float = -2.5,
    high: float = 0.9,
) -> Callable[[float], Picture]:
    """A function of s that draws f, its parabola at h, and both values of E_q f for q = N(h, s²).

    `f` maps (…) to (…), and `average(s)` is the true mean of f under q. The picture runs over h ± `reach`, and over
    values from `low` to `high`; the density of q stands at the bottom, its peak always equally high.
    """
    at, z = torch.tensor([h]), torch.linspace(h - reach, h + reach, 121)
    slope = torch.func.grad(lambda point: f(point).sum())(at)
    second = geometry.hessian(lambda point: f(point).sum(-1), at)[0]
    value, parabola = f(at), f(at) + slope * (z - h) + 0.5 * second * (z - h) ** 2
    lowest = float(f(z).min())

    @style()
    def draw(s: float) -> Picture:
        true, taylor = float(average(s)), float(value + 0.5 * second * s**2)
        figure, panel = axes(width=4.4, height=4.3, places=_PLACES)
        near = h + s * torch.linspace(-4, 4, 41)
        density = low + 0.7 * torch.exp(-0.5 * ((near - h) / s) ** 2)
        panel.fill_between(near, low, density, color=COLOURS["faint"], linewidth=0, label="$q$")
        panel.plot(z, f(z), **look("formula", label="$f$"))
        panel.plot(z, parabola.where(parabola > low - 1, torch.nan), **look("full", marker="", label="parabola"))
        across = [h - s, h + s]
        panel.plot(across, [true, true], color=COLOURS["learned"], linewidth=1)
        panel.plot([h], [true], **look("learned", markersize=7, label=f"true average {true:.3f}"))
        panel.plot(across, [taylor, taylor], color=COLOURS["full"], linewidth=1)
        panel.plot([h], [taylor], **look("full", linestyle="", label=f"Taylor value {taylor:.3f}"))
        panel.set(xlim=(h - reach, h + reach), ylim=(low, high), xlabel="$z$", ylabel=r"$\log p(x|z)$")
        figure.legend(loc="upper center", ncols=2)
        below = " That is below the lowest value that f has." if taylor < lowest else ""
        return Picture(
            figure,
            alt=f"A wave f with a parabola that touches it at h = {h:g}, and the bell of a q with standard deviation "
            f"{s:g} below. The true average of f is {true:.3f}; the Taylor value, the average of the parabola, is "
            f"{taylor:.3f}.{below}",
        )

    return draw


@style()
def error_against_width(widths: Tensor, errors: Mapping[str, Tensor]) -> Picture:
    """How far several estimates of E_q f are from the Taylor value, in units of the trace term, against s.

    `widths` (k) are the standard deviations of q, and `errors` maps the name of a method to relative errors (k): first
    quadrature, then the Monte Carlo methods. Both axes are logarithmic.
    """
    figure, panel = axes(width=4.4, height=3.6)
    for (name, error), meaning in zip(errors.items(), ("full", "learned", "other"), strict=False):
        shown = look(meaning, label=name)
        panel.plot(widths, error.abs(), **shown | {"linestyle": shown["linestyle"] or "--"})
    panel.set(xscale="log", yscale="log", xlabel=r"standard deviation $s$ of $q$", ylabel="error / trace term")
    panel.minorticks_off()
    panel.legend()
    ends = "; ".join(
        f"{name} from {float(error[0].abs()):.1g} to {float(error[-1].abs()):.1g}" for name, error in errors.items()
    )
    return Picture(
        figure,
        alt="Relative difference between an estimate of the average and the Taylor value, against the width of q, on "
        f"logarithmic axes, from the narrowest to the widest q: {ends}. Only the first is a straight line.",
    )
