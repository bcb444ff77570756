"""Figures of chapter 11: pictures that nobody took, and how far from the real ones they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from gradelib import evaluation
from gradelib.evaluation import standard_error
from gradelib.figures import Picture, axes, look, style
from gradelib.networks import VAE

if TYPE_CHECKING:
    from gradelib.experiments import Recorded

Row = Mapping[str, Any]
Column = str | tuple[str, str]
PAIR = {"beta_vae": "β-VAE", "grae": "GRAE≈"}
COMPARED = {  # what `mnist-samples` compares with the β-VAE, and the look of its line
    "grae": ("GRAE≈", "full"),
    "no_charge": ("no charge", "block"),
    "noise": ("β-VAE, other noise", "diagonal"),
    "rae": ("RAE", "isotropic"),
    "plain": ("plain autoencoder", "other"),
    "seed": ("β-VAE, other start", "formula"),
}


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


def recorded_pictures(recorded: Recorded, count: int | None = None) -> dict[float, dict[str, Tensor]]:
    """The first `count` samples (or all) that an experiment holds, from 0 to 1, (count, n) by β and by objective."""
    found: dict[float, dict[str, Tensor]] = {}
    for key, row in recorded.rows.items():
        for kind, name in PAIR.items():
            if (pictures := recorded.arrays.get(f"{key} pictures_{kind}")) is not None:
                found.setdefault(row["job"]["beta"], {})[name] = torch.tensor(pictures[:count])
    return found


def recorded_row(
    pictures: Mapping[float, Mapping[str, Tensor]], betas: Sequence[float], image_shape: Sequence[int] = (28, 28)
) -> Picture | None:
    """The grids of those `betas` of which samples are recorded; None where there is none."""
    there = [beta for beta in betas if beta in pictures]
    if not there:
        return None
    return grids({name: {beta: pictures[beta][name] for beta in there} for name in PAIR.values()}, image_shape, 1.0)


def recorded_table(
    recorded: Recorded,
    columns: Mapping[str, Column],
    *,
    steps: Sequence[int] | None = None,
    betas: Sequence[float] | None = None,
    digits: int = 2,
) -> str:
    """A line for each β and length: the seeds, and of each column the mean over them with its standard error.

    `columns` maps a heading to the name of a number, or to two names: then it is the mean of the first less the second,
    seed by seed. Where the columns have different numbers of seeds, the line gives the fewest and the most. What is not
    recorded is a dash, and one seed has no error. Only these `steps` and `betas` are shown, or all.
    """
    values = recorded_values(recorded, columns, steps)
    found = {where: cells for where, cells in values.items() if betas is None or where[0] in betas}
    if not found:
        return "no row is recorded yet"
    told: dict[tuple[float, int], list[str]] = {}
    for where, cells in found.items():
        counts = sorted({len(values) for values in cells.values()})
        seeds = "–".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        told[where] = [seeds, *(_with_error(cells.get(heading, ()), digits) for heading in columns)]
    width = 2 + max(len(text) for texts in (columns, *told.values()) for text in texts)
    lines = ["    β  steps  seeds" + "".join(f"{heading:>{width}}" for heading in columns)]
    for (beta, length), (seeds, *numbers) in told.items():
        lines.append(f"{beta:5}  {length:5}  {seeds:>5}" + "".join(f"{number:>{width}}" for number in numbers))
    return "\n".join(lines)


def recorded_values(
    recorded: Recorded, columns: Mapping[str, Column], steps: Sequence[int] | None
) -> dict[tuple[float, int], dict[str, list[float]]]:
    """The numbers of `recorded_table`: lists over seeds, by (β, length) and heading; none where none is recorded."""
    found: dict[tuple[float, int], dict[str, list[float]]] = {}
    for row in sorted(_done(recorded), key=lambda row: (row["job"]["beta"], row["job"]["steps"], row["job"]["seed"])):
        where, numbers = (row["job"]["beta"], row["job"]["steps"]), row["numbers"]
        for heading, column in columns.items():
            first, *second = (column,) if isinstance(column, str) else column
            if all(name in numbers for name in (first, *second)) and (steps is None or where[1] in steps):
                value = numbers[first] - sum(numbers[name] for name in second)
                found.setdefault(where, {}).setdefault(heading, []).append(value)
    return found


def _done(recorded: Recorded) -> list[Row]:
    return [row for row in recorded.rows.values() if row["state"] == "done"]


def _with_error(values: Sequence[float], digits: int) -> str:
    if not values:
        return "–"
    error = standard_error(values)
    return f"{fmean(values):.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


@style()
def recorded_likeness(recorded: Recorded, steps: int) -> Picture | None:
    """How unlike the β-VAE the other models are, against β, with standard errors; None where no row is recorded."""
    columns = {name: f"unlike_{kind}" for kind, (name, _) in COMPARED.items()}
    found = recorded_values(recorded, columns, [steps])
    if not found:
        return None
    figure, panel = axes(width=6, height=3.4)
    words = []
    for name, meaning in COMPARED.values():
        if of_beta := {beta: cells[name] for (beta, _), cells in found.items() if name in cells}:
            betas, means = list(of_beta), [fmean(values) for values in of_beta.values()]
            errors = [standard_error(values) or 0.0 for values in of_beta.values()]
            panel.errorbar(betas, means, yerr=errors, label=name, **look(meaning))
            ends = dict.fromkeys((0, len(betas) - 1))
            words.append(f"{name} " + " and ".join(f"{means[end]:.2f} at β = {betas[end]:g}" for end in ends))
    panel.set(xlabel="β", ylabel="unlikeness to the β-VAE", xscale="log", ylim=(0, None))
    ticks = [beta for beta, _ in found]
    panel.set_xticks(ticks, [f"{beta:g}" for beta in ticks])
    panel.minorticks_off()
    panel.legend(ncols=2, fontsize="small")
    return Picture(
        figure, alt=f"Unlikeness to the β-VAE on MNIST against β, a line for each model: {'; '.join(words)}."
    )


def same_draws(
    models: Mapping[str, Mapping[float, VAE]],
    moments: Mapping[str, Mapping[float, tuple[Tensor, Tensor]]],
    noise: Tensor,
    image_shape: Sequence[int],
    scale: float,
) -> Callable[[float], Picture]:
    """A function of β that draws what each objective makes of the same `noise` (count, d), a row of panels for each.

    On the left z is the noise itself, a draw from the prior; on the right it has been given the mean (d) and covariance
    (d, d) that `moments` holds for each objective and β. The words compare the first objective with the others.
    """
    first, *others = models

    @style()
    @torch.no_grad()
    def draw(beta: float) -> Picture:
        figure, panels = axes(len(models), 2, width=5.6, height=0.4 + 2 * len(models))
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
        apart = {
            name: [evaluation.unlikeness(a, b) for a, b in zip(made[first], made[name], strict=True)] for name in others
        }
        spread = ", ".join(f"{float(moments[name][beta][1].diagonal().mean()):.2f} for {name}" for name in models)
        unlike = "; ".join(
            f"{name} {left:.2f} from the prior, {right:.2f} from its own" for name, (left, right) in apart.items()
        )
        return Picture(
            figure,
            alt=f"{len(noise)} draws at β = {beta:g}, a row each for {', '.join(models)}. Unlikeness to {first}: "
            f"{unlike} fitted Gaussian. The mean variance of the fitted Gaussians is {spread}.",
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
