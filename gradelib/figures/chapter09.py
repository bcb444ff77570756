"""Figures of chapter 9: what an estimate from a few columns of the Jacobian costs, and how noisy it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from gradelib.figures import COLOURS, Picture, axes, look, style

_DRAWS, _BINS = 1000, 48

_PLACES = {"left": 0.155, "right": 0.975, "bottom": 0.08, "top": 0.945, "hspace": 0.42}


def remaining(k: int, d: int) -> float:
    """(d − k)/(k(d − 1)), what is left of the variance of one column when k are drawn (`eq-column-variance`)."""
    return (d - k) / (k * (d - 1))


def cost(columns: float) -> float:
    """Cost of a step in steps of a β-VAE, for an encoder as dear as the decoder; below 1 it is a share of the batch."""
    return 1 + columns / 2


def estimates(charges: Tensor, columns: float, *, shared: bool, draws: int = _DRAWS) -> Tensor:
    """Random estimates (draws) of the batch's mean regulariser from the `charges` (batch, d) of its columns, in nats.

    With `columns` ≥ 1 there are so many columns for each example, below it one column for that share of the batch.
    `shared` takes the same columns for all examples.
    """
    batch, d = charges.shape
    k, part = max(1, int(columns)), math.ceil(min(1, columns) * batch)
    generator = torch.Generator().manual_seed(0)

    def ranks(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=charges.dtype)

    rows = ranks(draws, batch).topk(part).indices
    picked = ranks(draws, 1 if shared else part, d).topk(k).indices.expand(draws, part, k)
    return d * charges[rows].gather(-1, picked).mean((-2, -1))


def trade_off(charges: Tensor, noise: Mapping[str | float, float]) -> Callable[[float], Picture]:
    """A function of the number of columns that draws the spread of the estimate, and noise against cost.

    `charges` (batch, d) is what each column pays, in nats. `noise` is the gradient's noise: of one column for each
    example ("own"), of one for the whole batch ("shared"), of the "β-VAE", and, with a number below 1 as the key, of
    one column for each example in that share of the batch. Raises ValueError where `charges` is no matrix of finite
    numbers ≥ 0, or where one of the three names is missing.
    """
    if charges.ndim != 2 or not charges.isfinite().all() or not (charges >= 0).all():
        raise ValueError(f"Charges are a matrix (batch, d) of finite numbers ≥ 0, but their shape is {charges.shape}.")
    if missing := {"own", "shared", "β-VAE"} - set(noise):
        raise ValueError(f"The noise of {sorted(missing)} is missing.")
    d = charges.shape[1]
    means = d * charges.mean(0)
    truth, margin = float(means.mean()), 0.06 * float(means.max() - means.min())
    bins = np.linspace(float(means.min()) - margin, float(means.max()) + margin, _BINS + 1)

    @style()
    def draw(columns: float) -> Picture:
        figure, (above, below) = axes(2, 1, width=4.6, height=6, places=_PLACES)
        spreads = _histograms(above, charges, columns, bins)
        above.axvline(truth, color=COLOURS["muted"], linewidth=1, linestyle=":")
        above.set(xlabel="estimate, nats", ylabel="share of the draws", xlim=(bins[0], bins[-1]), ylim=(0, 1.05))
        above.set_title("the regulariser of one batch")
        above.legend(loc="upper right", fontsize="small")
        level = _level(noise, columns, d)
        _curves(below, noise, d)
        if level:
            below.plot([cost(columns)], [level], marker="o", markersize=11, fillstyle="none", color=COLOURS["ink"])
        else:
            below.axvline(cost(columns), color=COLOURS["ink"], linewidth=1)
        below.legend(loc="upper right", fontsize="small")
        return Picture(figure, alt=_words(columns, d, spreads, level, truth))

    return draw


def _histograms(panel: Axes, charges: Tensor, columns: float, bins: np.ndarray) -> dict[str, float]:
    spreads = {}
    for name, meaning, shared in (("own columns", "full", False), ("shared", "other", True)):
        drawn = estimates(charges, columns, shared=shared)
        share, _ = np.histogram(drawn.numpy(), bins)
        panel.stairs(share / len(drawn), bins, color=COLOURS[meaning], fill=not shared, label=name, linewidth=1.4)
        spreads[name] = float(drawn.std(correction=0))
    return spreads


def _curves(panel: Axes, noise: Mapping[str | float, float], d: int) -> None:
    some = range(1, d)
    parts = sorted(share for share in noise if isinstance(share, float))
    own = [cost(share) for share in parts] + [cost(k) for k in some]
    levels = [noise[share] for share in parts] + [noise["own"] * remaining(k, d) for k in some]
    panel.plot(own, levels, **look("full", label="own columns"))
    shared = [noise["shared"] * remaining(k, d) for k in some]
    panel.plot([cost(k) for k in some], shared, **look("other", label="shared"))
    panel.plot([1], [noise["β-VAE"]], **look("learned", label="β-VAE", markersize=7))
    positive = [level for level in (*levels, *shared, noise["β-VAE"]) if level > 0]
    panel.set(xlim=(0.7, cost(d) + 0.3), ylim=(min(positive) / 2, max(positive) * 12), yscale="log")
    panel.set(xlabel="cost of a step, in β-VAE steps", ylabel="noise of the gradient", title="what it buys")
    panel.yaxis.set_major_formatter("{x:g}")
    panel.minorticks_off()  # nine more to a decade would take most of the time


def _level(noise: Mapping[str | float, float], columns: float, d: int) -> float:
    return noise[columns] if columns < 1 else noise["own"] * remaining(int(columns), d)


def _words(columns: float, d: int, spreads: Mapping[str, float], level: float, truth: float) -> str:
    drawn = f"one column for {columns:g} of the batch" if columns < 1 else f"{columns:g} of {d} columns"
    heard = f"a noise of {level:.2g} in the gradient" if level else "no noise at all"
    return (
        f"With {drawn}, a step costs {cost(columns):.4g} β-VAE steps and has {heard}. Estimates of the regulariser, "
        f"which is {truth:.2f} nats, spread by {spreads['own columns']:.2f} with own columns and by "
        f"{spreads['shared']:.2f} with shared ones."
    )
