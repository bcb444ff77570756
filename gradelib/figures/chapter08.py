"""Figures of chapter 8: what GRAE's regulariser charges for a singular value of the decoder, and how hard it pulls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from gradelib.figures import COLOURS, Picture, axes, look, style

# Of the panels, whatever their ticks say: where β/k² is the same the curves are too, and the frames share them.
_PLACES = {"left": 0.14, "right": 0.975, "bottom": 0.085, "top": 0.94, "hspace": 0.42}


def charge(sigma: Tensor, beta: float) -> Tensor:
    """½β log(1 + σ²/β), what each singular value pays in nats (`eq-singular-values`): any shape to the same."""
    return beta / 2 * torch.log1p(sigma.square() / beta)


def pull(sigma: Tensor, beta: float) -> Tensor:
    """βσ/(β + σ²), the slope of `charge` in σ (`eq-pull`): any shape to the same."""
    return beta * sigma / (beta + sigma.square())


def per_singular_value(sigma: Tensor) -> Callable[..., Picture]:
    """A function of β that draws charge and pull against σ, with marks at the singular values `sigma` (d).

    Its second argument k, 1 unless told, counts pixels in other units: the singular values are k times as large, and
    so are the axes. Raises ValueError where `sigma` is not a vector of finite numbers ≥ 0 with one above 0.
    """
    if sigma.ndim != 1 or not sigma.isfinite().all() or not (sigma >= 0).all() or not (sigma > 0).any():
        raise ValueError(f"Singular values are a vector of finite numbers ≥ 0, one of them above 0, but got {sigma}.")

    @style()
    def draw(beta: float, k: float = 1.0) -> Picture:
        top, marks = 1.15 * k * float(sigma.max()), k * sigma
        grid = torch.linspace(0, top, 161, dtype=sigma.dtype)
        figure, (above, below) = axes(2, 1, width=4.6, height=5.6, places=_PLACES)
        _panel(above, grid, grid.square() / 2, charge(grid, beta), (marks, charge(marks, beta)))
        _panel(below, grid, grid, pull(grid, beta), (marks, pull(marks, beta)))
        above.set(ylabel="charge, nats", ylim=(0, 0.42 * top**2))
        above.set_title(r"charge $\frac{\beta}{2}\log(1+\sigma^2/\beta)$", y=1)  # y, or it is searched for
        below.set(ylabel="pull, nats per unit of σ", ylim=(0, top))
        below.set_title(r"pull $\beta\sigma/(\beta+\sigma^2)$", y=1)
        for panel in (above, below):
            panel.axvline(min(beta**0.5, 2 * top), color=COLOURS["faint"], linewidth=1, zorder=0)
            panel.set(xlabel="singular value σ", xlim=(0, top))
            panel.locator_params(nbins=5)  # a tick is what takes longest to draw
        above.legend(loc="upper left")
        return Picture(figure, alt=_words(marks, beta))

    return draw


def _panel(panel: Axes, grid: Tensor, frobenius: Tensor, curve: Tensor, marks: tuple[Tensor, Tensor]) -> None:
    panel.plot(grid, frobenius, **look("other", linewidth=1.2, marker="", label="Frobenius"))
    panel.plot(grid, curve, **look("full", marker="", label="GRAE"))
    panel.plot(*marks, **look("learned", clip_on=False, label="trained decoder"))


def _words(sigma: Tensor, beta: float) -> str:
    steep = int((sigma > beta**0.5).sum())
    paid = float(charge(sigma, beta).sum())
    share = paid / (float(sigma.square().sum()) / 2)
    return (
        f"Charge and pull of GRAE against the singular value, below the Frobenius parabola and its straight slope. "
        f"The pull peaks at σ = √β = {beta**0.5:.2g}, and {steep} of the {len(sigma)} marked singular values lie "
        f"beyond it. All {len(sigma)} together pay {paid:.2g} nats, {share:.1%} of what the Frobenius penalty charges."
    )
