"""Figures of chapter 1: what a nat buys, as a curve of rate against distortion and as redrawn digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.distributions import Normal

from gradelib.figures import COLOURS, Picture, axes, look, style
from gradelib.networks import VAE

Point = tuple[float, float]  # rate and distortion, both in nats


@style()
def posterior_of(draws: Tensor, posterior: Normal) -> Picture:
    """A histogram of `draws` (count) of z below a Gaussian posterior's density and that of the prior N(0, 1)."""
    figure, panel = axes(width=5, height=2.8)
    z = torch.linspace(-3, 3, 90)
    panel.hist(draws.numpy(), bins=25, density=True, color=COLOURS["faint"])
    panel.plot(z, Normal(0.0, 1.0).log_prob(z).exp(), **look("other", marker="", label="$p(z)$"))
    panel.plot(z, posterior.log_prob(z).exp(), **look("formula", label="$p(z|x=3)$"))
    panel.set(xlabel="z", ylabel="density")
    panel.legend()
    return Picture(
        figure,
        alt=f"A histogram of {len(draws)} draws of z with mean {draws.mean():.2f} follows the posterior, a bell around "
        f"{float(posterior.mean):.1f} whose standard deviation is {float(posterior.stddev):.2f} of that of the prior, "
        "a bell around 0.",
    )


@style()
def rate_distortion(trained: Mapping[float, Sequence[Point]], linear: Mapping[float, Point]) -> Picture:
    """Rate against distortion: a cross for each trained model, a line for the best linear one.

    `trained` maps β to the points of its seeds, `linear` maps (usually more) β to one point.
    """
    figure, panel = axes(width=4.6, height=3.3)
    rates, distortions = zip(*linear.values(), strict=True)
    panel.plot(rates, distortions, **look("formula", label="best linear model"))
    points = [point for seeds in trained.values() for point in seeds]
    panel.plot(*zip(*points, strict=True), **look("learned", markersize=6, label="trained, each β and seed"))
    tangents = [beta for beta in trained if 0.1 <= beta <= 2]
    for beta in tangents:
        _tangent(panel, trained[beta][0], beta)
    panel.plot([], [], color=COLOURS["muted"], linewidth=1, label="slope −β")
    panel.set(xlabel="rate, nats", ylabel="distortion, nats", ylim=(0, None))
    panel.legend()
    ends = [
        [sum(part) / len(part) for part in zip(*trained[beta], strict=True)] for beta in (min(trained), max(trained))
    ]
    return Picture(
        figure,
        alt="Distortion against rate on held-out digits. Both curves fall steeply at first and then flatten. The "
        f"trained models go from {ends[1][0]:.1f} nats of rate and a distortion of {ends[1][1]:.1f} at β = "
        f"{max(trained):g} to {ends[0][0]:.1f} nats and {ends[0][1]:.1f} at β = {min(trained):g}. Short lines of slope "
        f"minus β touch the curve at {len(tangents)} of the prices.",
    )


def reconstruction(
    models: Mapping[float, VAE], x: Tensor, image_shape: tuple[int, int], points: Mapping[float, Point]
) -> Callable[[float], Picture]:
    """A function of β that draws what survives of the examples x (count, n), above the place of β on the curve.

    The rows show x, the decoder's picture of the code h, and its picture of one draw from q, with the same noise at
    every β. `points` maps each β to its rate and distortion.
    """
    top = float(x.max())
    generator = torch.Generator().manual_seed(0)
    rates, distortions = zip(*(points[beta] for beta in sorted(points)), strict=True)

    @style()
    @torch.no_grad()
    def draw(beta: float) -> Picture:
        q, model = models[beta].posterior(x), models[beta]
        noise = torch.randn(q.mean.shape, generator=generator.manual_seed(0), dtype=x.dtype)
        rows = torch.stack([x, model.decoder(q.mean), model.decoder(q.sample(noise))])
        figure, (pictures, curve) = axes(2, 1, width=4.6, height=4.8, height_ratios=(1.3, 1))
        pictures.imshow(_sheet(rows.unflatten(-1, image_shape)).numpy(), vmin=0, vmax=top)
        height = image_shape[0] + 1
        pictures.set_yticks([(height - 1) / 2 + height * row - 0.5 for row in range(3)], ["digit", "code", "draw"])
        pictures.tick_params(length=0)
        pictures.set_xticks([])
        pictures.spines[:].set_visible(False)
        rate, distortion = points[beta]
        pictures.set_title(f"β = {beta:g}: rate {rate:.1f}, distortion {distortion:.1f} nats")
        curve.plot(rates, distortions, color=COLOURS["muted"], linewidth=1, marker=".")
        curve.plot([rate], [distortion], **look("learned", markersize=9))
        curve.set(xlabel="rate, nats", ylabel="distortion, nats", ylim=(0, None))
        redrawn, drawn = (float((row - x).square().sum(-1).mean()) / 2 for row in rows[1:])
        return Picture(
            figure,
            alt=f"{len(x)} held-out digits, redrawn from their codes and from draws around them. Half the squared "
            f"error of those shown is {redrawn:.1f} from the code and {drawn:.1f} from a draw. Over all held-out "
            f"digits the rate is {rate:.1f} and the distortion {distortion:.1f} nats.",
        )

    return draw


def _tangent(panel: Axes, point: Point, beta: float, half_width: float = 2.2) -> None:
    """A short line of slope −β through a point of the curve, shorter where it is steep."""
    run = half_width / (1 + beta)
    (rate, distortion) = point
    panel.plot(
        [rate - run, rate + run],
        [distortion + beta * run, distortion - beta * run],
        color=COLOURS["muted"],
        linewidth=1,
        zorder=3,
    )


def _sheet(pictures: Tensor) -> Tensor:
    """Pictures (rows, columns, height, width) side by side on one sheet, with a gap that stays transparent."""
    padded = torch.nn.functional.pad(pictures, (0, 1, 0, 1), value=torch.nan)
    return padded.transpose(1, 2).flatten(2).flatten(0, 1)[:-1, :-1]
