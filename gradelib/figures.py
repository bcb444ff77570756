"""The one look of all figures in the book, and what a chapter shows: a picture with its description in words.

A figure function draws under `style()` and returns a `Picture`::

    @figures.style()
    def parabola():
        figure, axes = figures.axes()
        axes.plot(x, x**2, **figures.look("formula"))
        return figures.Picture(figure, alt="A parabola with its lowest point at 0.")

On the page a picture is an inline SVG whose colours follow the light and the dark mode.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from torch import Tensor

from gradelib import _svg, geometry
from gradelib._names import one_of
from gradelib.likelihoods import Likelihood
from gradelib.networks import VAE
from gradelib.posteriors import optimal_covariance

# Colour by meaning, on a light and on a dark page. Each differs from the others for colour-blind eyes too; the light
# ones can be read on black as well, so that a notebook without our style sheet shows them in either mode.
PALETTE = {
    "ink": ("#1f2328", "#d5dbe1"),
    "paper": ("#ffffff", "#14181e"),
    "muted": ("#6e7781", "#8b949e"),
    "faint": ("#c8ced5", "#3d4652"),
    "full": ("#2258dc", "#647cff"),
    "block": ("#25a29f", "#5ce8d4"),
    "diagonal": ("#ba8a13", "#f0e04a"),
    "isotropic": ("#8952ab", "#b387d0"),
    "learned": ("#ce2363", "#e9507a"),
    "other": ("#9f4a23", "#d99641"),
}
COLOURS = {meaning: light for meaning, (light, _) in PALETTE.items()}

# Never colour alone: each meaning has its line and its marker.
_LOOKS = {
    "full": ("-", "o"),
    "block": ("--", "s"),
    "diagonal": ("-.", "D"),
    "isotropic": (":", "^"),
    "learned": ("", "X"),
    "formula": ("-", ""),
    "other": ((0, (6, 1, 1, 1, 1, 1)), "v"),
}

_STYLE = {
    "figure.figsize": (5.0, 3.3),
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.dpi": 200,  # of what is rasterised inside the SVG
    "font.size": 9,
    "axes.titlesize": "large",
    "axes.labelsize": "large",
    "legend.fontsize": "medium",
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "mathtext.fontset": "cm",
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.titlecolor": COLOURS["ink"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.labelcolor": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "axes.edgecolor": COLOURS["muted"],
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=[COLOURS[name] for name in ("full", "learned", "block", "isotropic", "other")]),
    "axes.unicode_minus": True,
    "figure.constrained_layout.h_pad": 0.08,  # inches; the default cuts the tips off a formula in a title
    "figure.constrained_layout.w_pad": 0.06,
    "grid.color": COLOURS["faint"],
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.color": COLOURS["ink"],
    "image.cmap": "cividis",
    "image.interpolation": "none",  # the page scales the pixels, so an 8 × 8 digit stays 64 numbers
}


def style() -> AbstractContextManager[None]:
    """The book's matplotlib style, for `with figures.style():` or `@figures.style()`; the reader's own is untouched."""
    return matplotlib.style.context(["default", _STYLE])


def axes(rows: int = 1, columns: int = 1, *, width: float = 5.0, height: float = 3.3, **options: Any) -> tuple:
    """A new figure of `width` × `height` inches and its axes (one, or an array); `options` go to `subplots`.

    The page shows 96 pixels per inch and shrinks what is wider than the text: 7 inches on a laptop, 3.5 on a phone.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def look(meaning: str, **more: Any) -> dict[str, Any]:
    """Colour, line style and marker of a family ("full", …), of "learned", of "formula" or of "other", for `plot`."""
    line, marker = _LOOKS[one_of("look", meaning, _LOOKS)]
    return {"color": COLOURS.get(meaning, COLOURS["ink"]), "linestyle": line, "marker": marker, **more}


def ellipse(axes: Axes, mean: Any, covariance: Any, meaning: str, *, deviations: float = 1.0, **more: Any) -> Ellipse:
    """Draw the outline `deviations` standard deviations around a Gaussian, mean (2,) and covariance (2, 2)."""
    mean, covariance = np.asarray(mean, float), np.asarray(covariance, float)
    if mean.shape != (2,) or covariance.shape != (2, 2):
        raise ValueError(
            f"An ellipse needs a mean of shape (2,) and a covariance of shape (2, 2), but these have {mean.shape} "
            f"and {covariance.shape}."
        )
    if not np.isfinite(mean).all() or not np.allclose(covariance, covariance.T):
        raise ValueError("An ellipse needs a finite mean and a symmetric positive definite covariance.")
    variances, directions = np.linalg.eigh(covariance)
    if not variances[0] > 0:
        raise ValueError(f"The covariance must be positive definite, but it has the eigenvalue {variances[0]:.3g}.")
    width, height = 2 * deviations * np.sqrt(variances)
    angle = np.degrees(np.arctan2(directions[1, 0], directions[0, 0]))
    shown = look(meaning)
    outline = {"edgecolor": shown["color"], "linestyle": shown["linestyle"] or "-", "linewidth": 1.8, "fill": False}
    return axes.add_patch(Ellipse(tuple(mean), width, height, angle=angle, **outline | more))


class Picture:
    """A finished matplotlib figure together with `alt`, the words for whoever cannot see it.

    Raises ValueError where the words are missing.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        if not isinstance(figure, Figure):
            raise ValueError(f"A picture is made of a matplotlib figure, but this is a {type(figure).__name__}.")
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError("A picture needs alt text: one or two sentences that say what it shows.")
        self.alt = " ".join(alt.split())
        self.drawing = _svg.read(_render(figure), _VARIABLES)

    def __repr__(self) -> str:
        return self.alt

    def svg(self) -> str:
        """The inline SVG."""
        return frame(self.drawing, self.alt)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.alt, "text/html": f'<div class="gl-picture">{self.svg()}</div>'}


def frame(drawing: _svg.Element, alt: str) -> str:
    """The SVG of a drawing for a page: 96 pixels per inch, never wider than its column, read out as `alt`."""
    width, height = (round(points * 96 / 72) for points in _svg.size(drawing))
    return _svg.write(
        drawing,
        width=str(width),
        height=str(height),
        style="max-width:100%;height:auto;fill:" + _VARIABLES["#000000"],
        role="img",
        **{"aria-label": alt},
    )


def _render(figure: Figure) -> str:
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(figure)  # otherwise a notebook shows a figure made by pyplot a second time
    return buffer.getvalue()


def _variables() -> dict[str, str]:
    """What each palette colour becomes in the SVG: a variable of the page, with a fallback where there is no style."""
    fallbacks = COLOURS | {"ink": "currentColor", "paper": "var(--jp-layout-color0, #ffffff)"}
    variables = {COLOURS[name]: f"var(--gl-{name}, {fallback})" for name, fallback in fallbacks.items()}
    return variables | {"#000000": variables[COLOURS["ink"]]}


_VARIABLES = _variables()


@style()
def learned_against_formula(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> Picture:
    """Variances that an encoder learned against those of the formula, one panel for each family.

    `pairs` maps a family to its learned and its predicted covariances, both (examples, d, d).
    """
    figure, panels = axes(1, len(pairs), width=3.3 * len(pairs), height=3.4, sharex=True, sharey=True, squeeze=False)
    off = {}
    for panel, (family, covariances) in zip(panels[0], pairs.items(), strict=True):
        learned, formula = (S.detach().diagonal(dim1=-2, dim2=-1).flatten().cpu() for S in covariances)
        off[family] = float((learned / formula).log().abs().median().exp() - 1)
        panel.plot(formula, learned, **look(family, linestyle="", markersize=2, alpha=0.35, rasterized=True))
        panel.axline((1, 1), (2, 2), **look("formula", linewidth=1))
        panel.set(xscale="log", yscale="log", aspect="equal", title=f"{family} posterior")
        panel.set_xlabel(r"variance by the formula, $\Sigma^\star_{ii}$")
    panels[0][0].set_ylabel(r"learned variance, $\Sigma_{ii}$")
    words = " and ".join(f"by {share:.0%} for the {family} posterior" for family, share in off.items())
    return Picture(
        figure,
        alt="Learned variances against those of the formula, on logarithmic axes, one point for each latent of each "
        f"held-out image. The points follow the line of equality; the median point is off it {words}.",
    )


def posterior_slice(
    model: VAE, x: Tensor, likelihood: Likelihood, *, reach: float = 1.35
) -> Callable[[float], Picture]:
    """A function of β that draws the best covariances on a slice through two latents around the code of x (n).

    The two latents are those with the largest |(JᵀHJ)_ij|; the others stay where the encoder put them. The picture
    shows the full, the diagonal and the isotropic optimum at one standard deviation. Behind them stands what they
    approximate: contours of log p(x|z)/β + log p(z) less its tangent plane at the code, ½ and 2 nats below the code.
    """
    h, hessian = _hessian_at_code(model, x, likelihood)
    i, j = divmod(int(hessian.triu(1).abs().argmax()), len(h))
    steps = torch.linspace(-reach, reach, 91, dtype=x.dtype)
    z = h.repeat(len(steps), len(steps), 1)
    z[..., i] += steps
    z[..., j] += steps[:, None]
    log_likelihood = _less_tangent(lambda z: likelihood.log_prob(x, model.decoder(z)), h, z)
    log_prior = _less_tangent(lambda z: -0.5 * (z**2).sum(-1), h, z)
    pair = hessian[[i, j]][:, [i, j]]

    @style()
    def draw(beta: float) -> Picture:
        figure, panel = axes(width=4.6, height=4.9)
        exact = {"levels": [-2, -0.5], "colors": COLOURS["muted"], "linewidths": [0.7, 1.2]}
        panel.contour(steps, steps, log_likelihood / beta + log_prior, negative_linestyles="solid", **exact)
        ellipse(panel, (0, 0), torch.eye(2), "other", edgecolor=COLOURS["muted"], linestyle=":", linewidth=1)
        widths = {}
        for family in ("full", "diagonal", "isotropic"):
            covariance = optimal_covariance(pair, beta, family)
            ellipse(panel, (0, 0), covariance, family)
            panel.plot([], [], **look(family, marker="", label=family))
            widths[family] = torch.linalg.eigvalsh(covariance).sqrt()
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        panel.set(xlabel=f"$z_{i + 1} - h_{i + 1}$", ylabel=f"$z_{j + 1} - h_{j + 1}$")
        figure.legend(loc="outside upper center", ncols=3, title=f"β = {beta:g}")
        spread = "; ".join(f"{family} {low:.2f} by {high:.2f}" for family, (low, high) in widths.items())
        return Picture(figure, alt=f"Ellipses of one standard deviation around the code, with half axes: {spread}.")

    return draw


@torch.no_grad()
def _hessian_at_code(model: VAE, x: Tensor, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """The code h (d) of one example x (n), and JᵀHJ (d, d) there."""
    h = model.posterior(x).mean
    curvature = likelihood.curvature(x, model.decoder(h))
    return h, geometry.gauss_newton(geometry.jacobian(model.decoder, h), curvature)


def _less_tangent(f: Callable[[Tensor], Tensor], h: Tensor, z: Tensor) -> Tensor:
    """Values f(z) at z (…, d) less their tangent plane at h (d), which every q with mean h averages to f(h)."""
    at_h, slope = f(h), torch.func.grad(f)(h)
    return (f(z) - at_h - (z - h) @ slope).detach()
