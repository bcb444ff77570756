"""The one look of all figures in the book, and what a chapter shows: a picture with its description in words.

A figure function draws under `style()` and returns a `Picture`::

    @figures.style()
    def parabola():
        figure, axes = figures.axes()
        axes.plot(x, x**2, **figures.look("formula"))
        return figures.Picture(figure, alt="A parabola with its lowest point at 0.")

On the page a picture is an inline SVG whose colours follow the light and the dark mode. The modules of this package
hold the figures that are too long for a chapter's cell, by subject.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree.ElementTree import Element

import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import ArrayLike

from gradelib import _svg
from gradelib._colours import PALETTE
from gradelib._names import one_of

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


@contextmanager
def style() -> Iterator[None]:
    """The book's matplotlib style, for `with figures.style():` or `@figures.style()`; the reader's own is untouched."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def axes(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 5.0,
    height: float = 3.3,
    places: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Figure, Any]:
    """A new figure of `width` × `height` inches and its axes (one, or an array); `options` go to `subplots`.

    Room for labels is found by drawing, which takes half of the time of a frame. A figure of many frames can say itself
    where its panels are: `places` are edges and gaps as matplotlib's GridSpec takes them, and its `gridspec_kw`.

    The page shows 96 pixels per inch and shrinks what is wider than the text: 7 inches on a laptop, 3.5 on a phone.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    if places is not None:
        figure.set_layout_engine("none")
    return figure, figure.subplots(rows, columns, gridspec_kw=places, **options)


def look(meaning: str, **more: Any) -> dict[str, Any]:
    """Colour, line style and marker of a family ("full", …), of "learned", of "formula" or of "other", for `plot`."""
    line, marker = _LOOKS[one_of("look", meaning, _LOOKS)]
    return {"color": COLOURS.get(meaning, COLOURS["ink"]), "linestyle": line, "marker": marker, **more}


def ellipse(
    axes: Axes, mean: ArrayLike, covariance: ArrayLike, meaning: str, *, deviations: float = 1.0, **more: Any
) -> Ellipse:
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
    patch = Ellipse((mean[0], mean[1]), width, height, angle=angle, **outline | more)
    axes.add_patch(patch)
    return patch


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

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.alt, "text/html": f'<div class="gl-picture">{self.svg()}</div>'}


def frame(drawing: Element, alt: str) -> str:
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
    """The SVG, by the canvas itself: `savefig` would draw once more before, for a layout that drawing makes anyway."""
    buffer = io.StringIO()
    dpi, facecolor, canvas = figure.dpi, figure.get_facecolor(), figure.canvas
    try:
        figure.set(dpi=_STYLE["savefig.dpi"], facecolor=_STYLE["savefig.facecolor"])
        with style():
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    finally:  # it is the reader's, who may go on with it
        figure.set(dpi=dpi, facecolor=facecolor, canvas=canvas)
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(figure)  # otherwise a notebook shows a figure made by pyplot a second time
    return buffer.getvalue()


def _variables() -> dict[str, str]:
    """What each palette colour becomes in the SVG: a variable of the page, with a fallback where there is no style."""
    fallbacks = COLOURS | {"ink": "currentColor", "paper": "var(--jp-layout-color0, #ffffff)"}
    variables = {COLOURS[name]: f"var(--gl-{name}, {fallback})" for name, fallback in fallbacks.items()}
    return variables | {"#000000": variables[COLOURS["ink"]]}


_VARIABLES = _variables()
