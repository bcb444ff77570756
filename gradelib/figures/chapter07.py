"""Figures of chapter 7: E_x JᵀJ and the cosines of a decoder's columns, and what it owes beside its baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from gradelib.figures import COLOURS, Picture, axes, look, style

Matrix = NDArray[np.floating[Any]]

_PANELS = {"left": 0.02, "right": 0.89, "bottom": 0.03, "top": 0.9, "wspace": 0.08}


def matrix_panels(metrics: Mapping[Any, Matrix], cosines: Mapping[Any, Matrix], block: int) -> Callable[..., Picture]:
    """A function of a key, given in pieces, that draws its E_x JᵀJ beside its E_x cos(J_i, J_j), both with their signs.

    The matrices are (d, d), and their diagonal blocks are outlined; E_x JᵀJ is shown in units of its largest entry.
    Raises ValueError where the two have other keys, or where `block` does not divide d.
    """
    if metrics.keys() != cosines.keys():
        raise ValueError("Each JᵀJ needs its cosines, and no other.")
    for key, metric in metrics.items():
        if len(metric) % block:
            raise ValueError(f"Blocks of {block} do not divide the {len(metric)} latents of {key!r}.")

    @style()
    def draw(*pieces: Any) -> Picture:
        key = pieces if len(pieces) > 1 else pieces[0]
        metric, cosine = np.asarray(metrics[key], float), np.asarray(cosines[key], float)
        largest = float(np.abs(metric).max())
        figure, (left, right) = axes(1, 2, width=6.6, height=3.3, places=_PANELS)
        _matrix(left, metric / largest, block)
        shown = _matrix(right, cosine, block)
        left.set_title(f"$E_x\\,J^\\top J$, in units of {largest:.3g}")
        right.set_title("$E_x\\,\\cos(J_i, J_j)$")
        bar = figure.colorbar(shown, cax=figure.add_axes((0.92, 0.17, 0.02, 0.65)), ticks=[-1, 0, 1])
        bar.outline.set_visible(False)
        return Picture(figure, alt=_words(metric, cosine, block))

    return draw


def _matrix(panel: Axes, matrix: Matrix, block: int) -> Any:
    d = len(matrix)
    shown = panel.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
    # One path for all blocks, and no ticks: so frames with other numbers of latents share their elements.
    squares = [Path.unit_rectangle().transformed(_square(start, block)) for start in range(0, d, block)]
    outline = Path.make_compound_path(*squares)
    panel.add_patch(PathPatch(outline, fill=False, edgecolor=COLOURS["learned"], linewidth=2, clip_on=False))
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
    return shown


def _square(start: int, block: int) -> Affine2D:
    return Affine2D().scale(block).translate(start - 0.5, start - 0.5)


def _words(metric: Matrix, cosine: Matrix, block: int) -> str:
    index = np.arange(len(metric)) // block
    same = index[:, None] == index
    inside = same & ~np.eye(len(metric), dtype=bool)
    lengths = np.sqrt(np.clip(np.diag(metric), 0, None))
    return (
        f"The mean of JᵀJ over images, and the mean cosines of the decoder's {len(metric)} columns, as two matrices. "
        f"The size of the mean cosine is {np.abs(cosine[inside]).mean():.2f} inside blocks of {block} and "
        f"{np.abs(cosine[~same]).mean():.2f} between them, on average over the pairs. The columns have root mean "
        f"square lengths from {lengths.min():.2g} to {lengths.max():.2g}."
    )


_MARKS = {
    "directions_nats_between_blocks": ("directions of the data's covariance", "isotropic"),
    "best_rotation_nats_between_blocks": ("after the best single rotation", "full"),
    "nats_between_blocks": ("as trained", "learned"),
}


@style()
def owed(table: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Picture:
    """What decoders owe between blocks, in nats, beside their baselines: panels are settings, and lines are models.

    `table` is that of the experiment mnist-blocks, and `names` maps its models to what the reader sees, in their order.
    Bars are two standard deviations over random rotations of the latents, on either side. Raises ValueError for an
    empty table.
    """
    settings = sorted({(line["beta"], line["latents"], line["block"]) for line in table})
    if not settings:
        raise ValueError("There is nothing to draw: the table has no rows.")
    rows = len(settings)  # one below the other, so that the letters stay large on a phone
    figure, panels = axes(rows, 1, width=4.6, height=0.9 + 1.3 * rows, squeeze=False, sharex=True)
    told = []
    for panel, setting in zip(panels.flat, settings, strict=False):
        lines = {line["model"]: line for line in table if (line["beta"], line["latents"], line["block"]) == setting}
        for place, model in enumerate(names):
            if model in lines:
                _line(panel, place, lines[model])
        panel.set(title="β = {:g}, d = {}, b = {}".format(*setting), yticks=range(len(names)))
        panel.set_yticklabels(list(names.values()))
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.tick_params(length=0)
        panel.grid(axis="x")
        told.append("β = {:g}, d = {}: ".format(*setting[:2]) + ", ".join(_told(names, lines)))
    panels[0, 0].set_xlim(left=0)
    panels[-1, 0].set_xlabel("nats between blocks")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1)
    return Picture(
        figure,
        alt="Nats that decoders owe between blocks, as trained, with their latents turned at random, and after the "
        f"best single rotation. {'; '.join(told)}.",
    )


def _line(panel: Axes, place: int, line: Mapping[str, Any]) -> None:
    first = place == 0
    mean, deviation = line["rotated_nats_between_blocks"], line["rotated_nats_between_blocks_deviation"]
    bar = look("other", linestyle="", elinewidth=5, label="latents turned at random" if first else None)
    panel.errorbar(mean, place, xerr=2 * deviation, alpha=0.7, **bar)
    for number, (label, meaning) in _MARKS.items():
        panel.plot(line[number], place, **look(meaning, linestyle="", markersize=6, label=label if first else None))


def _told(names: Mapping[str, str], lines: Mapping[str, Mapping[str, Any]]) -> list[str]:
    numbers = ("nats_between_blocks", "rotated_nats_between_blocks", "best_rotation_nats_between_blocks")
    return [
        f"{name} {' / '.join(f'{lines[model][number]:.2f}' for number in numbers)}"
        for model, name in names.items()
        if model in lines
    ]
