"""Figures of chapter 12: what linear autoencoders keep of each direction, and what it costs to turn their codes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gradelib.figures import Picture, axes, look, style

_PLACES = {"left": 0.13, "right": 0.975, "bottom": 0.085, "top": 0.98, "hspace": 0.25}

KEPT: dict[str, Callable[[Tensor, float], Tensor]] = {
    "β-VAE, GRAE": lambda variance, beta: (1 - beta / variance).clamp(min=0),
    "RAE": lambda variance, beta: (1 - (beta / variance).sqrt()).clamp(min=0),
    "denoising": lambda variance, beta: variance / (variance + beta),
}
"""The share of a direction that survives, from its variance in the data and the strength of the regulariser."""

_LOOKS = {
    "β-VAE, GRAE": look("full", marker=""),
    "RAE": look("other", marker=""),
    "denoising": look("block", marker=""),
}


def turn_cost(variances: Tensor, degrees: Tensor, beta: float) -> Tensor:
    """What GRAE≈ pays in nats, above its optimum, for codes turned by `degrees` (k) in a plane: (2), (k) → (k).

    `variances` are those of the data along the two directions (`eq-turn-cost`); one that is below β is not used.
    """
    first, second = variances.clamp(min=beta)
    turned = torch.deg2rad(2 * degrees).sin().square()
    return beta / 2 * torch.log1p((first - second).square() / (4 * first * second) * turned)


def kept_and_turned(variances: Tensor, latents: int) -> Callable[[float], Picture]:
    """A function of β that draws the kept share against the variance, and the price of a turn against its angle.

    `variances` (n) are the eigenvalues of the data's covariance, the largest first. The first `latents` of them are
    marked, and the turn mixes the first with the last of these. Raises ValueError for other variances.
    """
    if variances.ndim != 1 or not (variances > 0).all() or not (variances.diff() <= 0).all():
        raise ValueError(f"Variances are a vector of numbers above 0, the largest first, but got {variances}.")
    if not 2 <= latents <= len(variances):
        raise ValueError(f"Between 2 and {len(variances)} latents can be marked, not {latents}.")
    top = 1.1 * float(variances[0])
    grid = torch.linspace(top / 400, top, 100, dtype=variances.dtype)
    degrees = torch.linspace(0, 90, 61, dtype=variances.dtype)
    pair = variances[[0, latents - 1]]
    strengths = torch.linspace(float(pair[1]), float(pair[0]), 50).tolist()  # the dearest turn is among these
    highest = max(float(turn_cost(pair, degrees, beta).max()) for beta in strengths)

    @style()
    def draw(beta: float) -> Picture:
        figure, (upper, lower) = axes(2, 1, width=5, height=5.6, places=_PLACES)
        marked = variances[:latents]
        for name, kept in KEPT.items():
            upper.plot(grid, kept(grid, beta), label=name, **_LOOKS[name])
            upper.plot(marked, kept(marked, beta), **_LOOKS[name] | {"linestyle": "", "marker": "o", "markersize": 3.5})
        upper.set(xlabel="variance λ of the data", ylabel="share that is kept", xlim=(0, top), ylim=(0, 1.02))
        upper.legend(loc="lower right", fontsize="small", bbox_to_anchor=(1, 0.02))
        lower.plot(degrees, turn_cost(pair, degrees, beta), **look("diagonal", marker="", label="GRAE≈"))
        lower.plot(degrees, 0 * degrees, **look("full", marker="", label="the others"))
        lower.set(xlabel="turn of the codes, degrees", ylabel="price, nats", xlim=(0, 90), xticks=(0, 45, 90))
        lower.set(ylim=(-0.05 * highest, 1.3 * highest))
        lower.legend(loc="upper right", fontsize="small")
        return Picture(figure, alt=_words(marked, pair, beta))

    return draw


def _words(marked: Tensor, pair: Tensor, beta: float) -> str:
    used = int((marked > beta).sum())
    shares = ", ".join(f"{name} {float(kept(marked[:1], beta)):.0%}" for name, kept in KEPT.items())
    cost = float(turn_cost(pair, torch.tensor([45.0], dtype=pair.dtype), beta))
    return (
        f"Above: the kept share rises with the variance of a direction. Of the strongest is kept: {shares}. β-VAE and "
        f"RAE drop what has less variance than β = {beta:g} and keep {used} of {len(marked)}; denoising drops nothing. "
        f"Below: a turn of the codes is free for all but GRAE≈, which pays {_rounded(cost)} nats for 45 degrees."
    )


def _rounded(value: float) -> str:
    return "0" if value <= 0 or math.isclose(value, 0, abs_tol=1e-12) else f"{value:.2g}"
