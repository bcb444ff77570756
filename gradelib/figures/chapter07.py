"""Figures of chapter 7: which columns of a decoder's Jacobian are parallel, and what a step in the latents does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from gradelib.figures import COLOURS, Picture, axes, style
from gradelib.posteriors import same_block


def cosine_panels(matrices: Mapping[str, Sequence[Tensor]], block: int) -> Callable[[str], Picture]:
    """A function of a setting's name that draws its mean-cosine matrices side by side, their diagonal blocks outlined.

    `matrices` maps each setting to matrices (d, d) with entries between 0 and 1, one for each seed. Raises ValueError
    where the settings differ in their number of seeds, or where `block` does not divide d.
    """
    if len({len(seeds) for seeds in matrices.values()}) != 1:
        raise ValueError("Each setting needs as many matrices as the others.")
    for setting, seeds in matrices.items():
        if any(len(matrix) % block for matrix in seeds):
            raise ValueError(f"Blocks of {block} do not divide the latents of {setting!r}.")

    @style()
    def draw(setting: str) -> Picture:
        seeds = matrices[setting]
        figure, panels = axes(1, len(seeds), width=2.9 * len(seeds) + 0.7, height=3.3, squeeze=False)
        outside = []
        for seed, (panel, matrix) in enumerate(zip(panels[0], seeds, strict=True)):
            d = len(matrix)
            shown = panel.imshow(matrix.detach().cpu().numpy(), vmin=0, vmax=1)
            for start in range(0, d, block):
                corner = (start - 0.5, start - 0.5)
                panel.add_patch(Rectangle(corner, block, block, fill=False, edgecolor=COLOURS["learned"], linewidth=2))
            outside.append(float(matrix[~same_block(d, block, matrix.device)].mean()))
            ticks = range(0, d, 2)
            panel.set(title=f"seed {seed}", xticks=ticks, yticks=ticks)
            panel.set_xticklabels([str(tick + 1) for tick in ticks])
            panel.set_yticklabels([str(tick + 1) for tick in ticks])
            panel.set_xlabel("latent")
        figure.colorbar(shown, ax=panels[0].tolist(), shrink=0.75, ticks=[0, 0.5, 1])
        figure.suptitle(f"{setting}, {d} latents")
        means = " and ".join(f"{mean:.2f}" for mean in outside)
        return Picture(
            figure,
            alt=f"The mean cosines of the decoder's {d} columns as a matrix, for each of {len(seeds)} seeds. "
            f"Outside the blocks of {block} they are {means} on average.",
        )

    return draw


@style()
def traversals(rows: Mapping[str, Mapping[str, Tensor]], image_shape: Sequence[int]) -> Picture:
    """Decoded steps away from a code, one panel for each family and one row of pictures for each direction.

    `rows` maps a family to its directions, and each direction's name to its pictures (steps, n) from one end of the
    walk to the other. Pixels below 0 are shown as 0.
    """
    figure, panels = axes(len(rows), 1, width=6.4, height=2.75 * len(rows), squeeze=False)
    changes = []
    for panel, (family, directions) in zip(panels[:, 0], rows.items(), strict=True):
        height, width = image_shape
        strips = [torch.cat(list(walk.reshape(-1, height, width)), 1) for walk in directions.values()]
        gap = torch.full((1, strips[0].shape[-1]), torch.nan, dtype=strips[0].dtype)
        sheet = torch.cat([part for strip in strips for part in (strip, gap)][:-1])
        panel.imshow(sheet.detach().cpu().numpy(), cmap="gray_r", vmin=0)
        panel.set(title=f"{family} posterior", xticks=[])
        panel.set_yticks([(height + 1) * row + height / 2 - 0.5 for row in range(len(strips))], list(directions))
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        across = {name: float((walk[-1] - walk[0]).norm()) for name, walk in directions.items()}
        changes.append(f"{family}: " + ", ".join(f"{name} {change:.1f}" for name, change in across.items()))
    return Picture(
        figure,
        alt="Rows of decoded digits along directions in the latents. Distances in pixel space between the two ends of "
        f"each row: {'; '.join(changes)}.",
    )
