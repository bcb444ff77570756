"""Figures of chapter 2: what a turn of the latents does to their independence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from contourpy import contour_generator
from torch import Tensor

from gradelib.figures import COLOURS, Picture, axes, look, style

Density = Callable[[Tensor], Tensor]

_REACH, _SLICES, _LEVELS = 4.0, (0.0, 1.0), (0.1, 0.6)
_PLACES = {"left": 0.125, "right": 0.985, "bottom": 0.46, "top": 0.895, "wspace": 0.12, "hspace": 0.4}
_BELOW = (0.125, 0.1, 0.86, 0.27)  # left, bottom, width and height of the panel of all curves
_LOOKS = ("isotropic", "diagonal", "other", "formula")


@style()
def _turned(
    pairs: Mapping[str, tuple[Density, Density]],
    degrees: Sequence[float],
    lost: Mapping[str, Sequence[float]],
    at: float,
) -> Picture:
    figure, panels = axes(2, len(pairs), width=1.15 * len(pairs), height=4.7, places=_PLACES)
    curve = figure.add_axes(_BELOW)
    for panel in panels.flat:
        panel.set(xlim=(-_REACH, _REACH), xticks=[], yticks=[])
    here = list(degrees).index(at)
    ends = zip(pairs.items(), _LOOKS, panels[0], panels[1], strict=True)
    for (name, pair), meaning, above, below in ends:
        shown = look(meaning, marker="", linewidth=1.2)
        for line in _outlines(pair, at):
            above.plot(*line, **shown)
        above.set(ylim=(-_REACH, _REACH), aspect="equal", title=name.replace(", ", ",\n"))
        for place, dashes in zip(_SLICES, ("-", (0, (2, 1.5))), strict=True):
            above.axvline(place, color=COLOURS["muted"], linestyle=dashes, linewidth=0.9)
            grid, density = _slice(pair, at, place)
            below.plot(grid, density, color=shown["color"], linestyle=dashes, linewidth=1.2)
        below.set(ylim=(0, 1.15), xlabel="$u_2$")
        curve.plot(degrees, lost[name], **shown)
        curve.plot(at, lost[name][here], color=shown["color"], marker="o", clip_on=False)
    panels[0][0].set_ylabel("$u_2$ by $u_1$")
    panels[1][0].set_ylabel("density of $u_2$")
    curve.set(xlim=(0, 90), xticks=range(0, 91, 15), xlabel="angle in degrees", ylabel="nats lost")
    curve.set_ylim(0, 1.1 * max(max(row) for row in lost.values()))
    words = ", ".join(f"{name} {max(lost[name][here], 0.0):.3f}" for name in pairs)
    return Picture(
        figure,
        alt=f"Pairs of independent latents turned by {at:g} degrees: outlines of their densities, the density of the "
        f"second latent where the first is {_SLICES[0]:g} and where it is {_SLICES[1]:g}, and the nats lost: {words}.",
    )


def turned_pairs(
    pairs: Mapping[str, tuple[Density, Density]], degrees: Sequence[float], lost: Mapping[str, Sequence[float]]
) -> Callable[[float], Picture]:
    """A function of the angle in degrees that draws four pairs of independent latents, turned by it.

    `pairs` maps names to the densities of z_1 and z_2; `lost` maps them to the nats lost at each of `degrees`. Above
    stand outlines of the density, below them the density of u_2 on two lines of constant u_1: one curve for both
    lines, if u_1 and u_2 are independent. Raises ValueError for other than four pairs, or where `lost` does not fit.
    """
    if len(pairs) != len(_LOOKS):
        raise ValueError(f"The figure has room for {len(_LOOKS)} pairs, but there are {len(pairs)}.")
    if set(lost) != set(pairs) or any(len(row) != len(degrees) for row in lost.values()):
        raise ValueError("Each pair needs the nats that it loses at each of the angles, and no other has any.")
    return lambda at: _turned(pairs, degrees, lost, at)


def _turn(at: float) -> np.ndarray:
    c, s = np.cos(np.radians(at)), np.sin(np.radians(at))
    return np.array([[c, -s], [s, c]])


def _outlines(pair: tuple[Density, Density], at: float) -> list[np.ndarray]:
    """Lines of equal density, at shares of its maximum, after a turn: each (2, points)."""
    grid = torch.linspace(-_REACH - 1.5, _REACH + 1.5, 31)
    density = pair[0](grid) * pair[1](grid)[:, None]
    lines = contour_generator(grid.numpy(), grid.numpy(), density.numpy())
    return [_turn(at) @ np.asarray(line).T for level in _LEVELS for line in lines.lines(level * float(density.max()))]


def _slice(pair: tuple[Density, Density], at: float, place: float) -> tuple[Tensor, Tensor]:
    """The density of u_2 where u_1 is `place`, on a grid (points)."""
    grid = torch.linspace(-3 * _REACH, 3 * _REACH, 169)  # wider than what is shown, for the whole of its mass
    u = torch.stack([torch.full_like(grid, place), grid])
    z = torch.from_numpy(_turn(at).T).to(u) @ u
    joint = pair[0](z[0]) * pair[1](z[1])
    seen = grid.abs() <= _REACH
    return grid[seen], (joint / torch.trapezoid(joint, grid))[seen]
