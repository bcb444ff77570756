"""Figures of chapter 11: pictures that nobody took, and how far from the real ones they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from gradelib import evaluation
from gradelib.figures import COLOURS, Picture, axes, look, style
from gradelib.networks import VAE

Scores = Mapping[float, Sequence[float]]  # β to one number for each seed
_LOOKS = {"prior": "other", "fitted": "full"}


@style()
def grids(pictures: Mapping[str, Mapping[float, Tensor]], image_shape: Sequence[int], scale: float) -> Picture:
    """Samples of each objective below each other, of each β side by side, in panels of three lines.

    `pictures` maps the name of an objective and a β to samples (count, n), and `scale` is the value of white.
    """
    names, betas = list(pictures), list(next(iter(pictures.values())))
    figure, panels = axes(len(names), len(betas), width=7, height=0.3 + 1.42 * len(names), squeeze=False)
    for name, row in zip(names, panels, strict=True):
        for beta, panel in zip(betas, row, strict=True):
            _show(panel, mosaic(pictures[name][beta], image_shape, scale), scale)
        row[0].set_ylabel(name)
    for beta, panel in zip(betas, panels[0], strict=True):
        panel.set_title(f"β = {beta:g}")
    count = len(pictures[names[0]][betas[0]])
    listed = ", ".join(f"{beta:g}" for beta in betas)
    brightness = [float(torch.stack(list(pictures[name].values())).mean()) / scale for name in names]
    return Picture(
        figure,
        alt=f"{count} samples of each of {len(names)} objectives at β = {listed}, {' above '.join(names)}. The same "
        "place in two grids is the same draw of z. The mean brightness, as a share of white, is "
        + " and ".join(f"{value:.2f}" for value in brightness)
        + ".",
    )


@style()
def distances(scores: Mapping[str, Mapping[str, Scores]], floor: float) -> Picture:
    """The Fréchet distance against β, for samples from the prior and from the fitted Gaussian, a mark for each seed.

    `scores` maps "prior" or "fitted", then the name of an objective, then β to a number for each seed.
    """
    figure, panel = axes(width=6, height=3.6)
    words = []
    for kind, objectives in scores.items():
        for (name, of_beta), line, marker in zip(objectives.items(), ("-", "--"), ("o", "s"), strict=True):
            betas = sorted(of_beta)
            means = [sum(of_beta[beta]) / len(of_beta[beta]) for beta in betas]
            shown = look(_LOOKS[kind], linestyle=line, marker="", label=f"{name}, {kind}")
            panel.plot(betas, means, **shown)
            for beta in betas:
                marks = look(_LOOKS[kind], linestyle="", marker=marker, markersize=3.5)
                panel.plot([beta] * len(of_beta[beta]), of_beta[beta], **marks)
            words.append(
                f"{name} from the {kind}: {means[0]:.0f} at β = {betas[0]:g}, {means[-1]:.0f} at {betas[-1]:g}"
            )
    panel.axhline(floor, color=COLOURS["muted"], linewidth=1, linestyle=":", label="floor")
    panel.set(xlabel="β", ylabel="Fréchet distance", xscale="log", yscale="log")
    panel.set_xticks(betas, [f"{beta:g}" for beta in betas])
    panel.minorticks_off()
    panel.set_yticks([3, 10, 30, 100], ["3", "10", "30", "100"])
    panel.legend()
    return Picture(
        figure, alt=f"Fréchet distance against β. {'; '.join(words)}. The floor of real digits is {floor:.1f}."
    )


def same_draws(
    models: Mapping[str, Mapping[float, VAE]],
    moments: Mapping[str, Mapping[float, tuple[Tensor, Tensor]]],
    noise: Tensor,
    image_shape: Sequence[int],
    scale: float,
) -> Callable[[float], Picture]:
    """A function of β that draws what each objective makes of the same `noise` (count, d).

    On the left z is the noise itself, a draw from the prior; on the right it has been given the mean (d) and covariance
    (d, d) that `moments` holds for each objective and β.
    """
    first, second = models

    @style()
    @torch.no_grad()
    def draw(beta: float) -> Picture:
        figure, panels = axes(2, 2, width=5.6, height=4.4)
        made = {}
        for name, row in zip(models, panels, strict=True):
            mean, covariance = moments[name][beta]
            stretched = mean + noise @ torch.linalg.cholesky(covariance).mT
            made[name] = [models[name][beta].decoder(z) for z in (noise, stretched)]
            for pictures, panel in zip(made[name], row, strict=True):
                _show(panel, mosaic(pictures, image_shape, scale), scale)
            row[0].set_ylabel(name)
        panels[0, 0].set_title("from the prior")
        panels[0, 1].set_title("from the fitted Gaussian")
        apart = [evaluation.unlikeness(a, b) for a, b in zip(made[first], made[second], strict=True)]
        spread = [float(moments[name][beta][1].diagonal().mean()) for name in models]
        return Picture(
            figure,
            alt=f"{len(noise)} draws at β = {beta:g}, {first} above {second}. The squared distance of the two pictures "
            f"of a draw is {apart[0]:.2f} of that of pictures of different draws, and {apart[1]:.2f} with the fitted "
            f"Gaussian, whose mean variance is {spread[0]:.2f} for {first} and {spread[1]:.2f} for {second}.",
        )

    return draw


def mosaic(pictures: Tensor, image_shape: Sequence[int], scale: float, lines: int = 3) -> Tensor:
    """Pictures (count, n) as one sheet of `lines` lines with thin gaps between them; what does not fill a line is left.

    The sheet is (height, width), and (height, width, 3) from 0 to 1 where `image_shape` ends in colours.
    """
    columns = len(pictures) // lines
    coloured = len(image_shape) == 3
    shown = pictures[: lines * columns].reshape(lines, columns, *image_shape).clamp(0, scale)
    shown = shown / scale if coloured else shown.unsqueeze(-1)
    padded = torch.nn.functional.pad(shown, (0, 0, 0, 1, 0, 1), value=1.0 if coloured else torch.nan)
    sheet = padded.transpose(1, 2).flatten(2, 3).flatten(0, 1)[:-1, :-1]
    return sheet if coloured else sheet.squeeze(-1)


def _show(panel: Axes, sheet: Tensor, scale: float) -> None:
    panel.imshow(sheet.numpy(), vmin=0, vmax=scale)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)
