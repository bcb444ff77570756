"""Live figures: a slider over a function that draws.

`explore(draw, "β", [0.1, 0.2, 0.4])` as the last expression of a cell shows `draw(0.1)` above a slider. With a kernel
the slider is an ipywidgets control and each move calls `draw`. In the built book there is no kernel: the same figure is
plain HTML over frames drawn beforehand, and `book/_static/live.js` shows the one that the slider names.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from html import escape
from typing import Any

import ipywidgets

from gradelib import _svg
from gradelib.figures import Picture, frame, style

# Set by the book's build: a widget made there would weigh on the page and could not move.
STATIC = "GRADELIB_STATIC"
_VIEW = "application/vnd.jupyter.widget-view+json"


def explore(
    draw: Callable[[Any], Picture],
    name: str,
    values: Sequence[Any],
    *,
    start: Any = None,
    labels: Sequence[str] | None = None,
) -> LiveFigure:
    """A figure with a slider called `name` that runs through `values`; `draw(value)` returns the picture at each.

    It opens at `start`, the first value unless told. `labels` are what the reader sees for the values. All pictures
    must have one size. Raises ValueError for fewer than two values, repeated ones, or a start that is none of them.
    """
    values = list(values)
    labels = [_label(value) for value in values] if labels is None else list(labels)
    if not isinstance(name, str) or not name.strip():
        raise ValueError("A live figure needs the name of what its slider changes, for example 'β'.")
    if len(values) < 2:
        raise ValueError(f"A slider needs at least two values, but there are {len(values)}.")
    if len(labels) != len(values):
        raise ValueError(f"Each value needs one label, but there are {len(values)} values and {len(labels)} labels.")
    if len(set(labels)) < len(labels):
        raise ValueError("Two values of the slider read the same; drop the repeated one or give `labels`.")
    if start is not None and start not in values:
        raise ValueError(f"The slider cannot start at {start!r}, which is none of its values.")
    return LiveFigure(draw, name, values, labels, 0 if start is None else values.index(start))


class LiveFigure:
    """What `explore` returns: shown as a widget where a kernel lives, as light HTML elsewhere."""

    def __init__(
        self, draw: Callable[[Any], Picture], name: str, values: list[Any], labels: list[str], start: int
    ) -> None:
        self.name, self.values, self.labels, self.start = name, values, labels, start
        self._draw = draw
        self._pictures: dict[int, Picture] = {}

    def picture(self, number: int) -> Picture:
        """The picture at value number `number`, drawn when it is first asked for."""
        if number not in self._pictures:
            with style():
                picture = self._draw(self.values[number])
            if not isinstance(picture, Picture):
                raise ValueError(
                    f"The drawing function must return a Picture, but at {self._at(number)} it returned a "
                    f"{type(picture).__name__}."
                )
            self._pictures[number] = picture
        return self._pictures[number]

    def html(self) -> str:
        """The figure for a page: its frames in one SVG, a native slider, and each frame in words."""
        pictures = [self.picture(number) for number in range(len(self.values))]
        sizes = {_svg.size(picture.drawing) for picture in pictures}
        if len(sizes) > 1:
            raise ValueError(f"All frames of a live figure must have one size, but there are {len(sizes)} sizes.")
        words = [picture.alt for picture in pictures]
        drawing = frame(_svg.merge([picture.drawing for picture in pictures], self.start), words[self.start])
        return _PAGE.format(
            key="live-" + hashlib.sha256(drawing.encode()).hexdigest()[:8],
            drawing=drawing,
            name=escape(self.name),
            last=len(words) - 1,
            start=self.start,
            label=escape(self.labels[self.start]),
            at=escape(self._at(self.start)),
            alt=escape(words[self.start]),
            frames="".join(_item(label, alt) for label, alt in zip(self.labels, words, strict=True)),
        )

    @cached_property
    def widget(self) -> ipywidgets.Widget:
        """The figure as an ipywidgets control that calls the drawing function at each move."""
        options = [(label, number) for number, label in enumerate(self.labels)]
        slider = ipywidgets.SelectionSlider(options=options, value=self.start, description=self.name)
        shown = ipywidgets.HTML()

        def show(change: dict[str, Any]) -> None:
            shown.value = self.picture(change["new"]).svg()

        slider.observe(show, "value")
        show({"new": self.start})
        return ipywidgets.VBox([shown, slider])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        words = {"text/plain": repr(self), "text/html": self.html()}
        if os.environ.get(STATIC):
            return words
        # Written out, since ipywidgets 7, which Colab has, offers no bundle of its own.
        return words | {_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}}

    def __repr__(self) -> str:
        first, last = self.labels[0], self.labels[-1]
        return (
            f"A live figure with a slider for {self.name}, {len(self.labels)} steps from {first} to {last}. "
            f"At {self._at(self.start)}: {self.picture(self.start).alt}"
        )

    def _at(self, number: int) -> str:
        return f"{self.name} = {self.labels[number]}"


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _item(label: str, alt: str) -> str:
    return f'<li data-label="{escape(label)}">{escape(alt)}</li>'


# The slider is of use only to a script, so the style sheet hides it where there is none. The list is where the script
# finds labels and words, and what a reader without eyes or scripts has of the other frames.
_PAGE = """\
<div class="gl-live">
<div class="gl-picture">{drawing}</div>
<div class="gl-slider"><label for="{key}">{name}</label>
<input type="range" id="{key}" min="0" max="{last}" step="1" value="{start}" autocomplete="off" \
aria-valuetext="{at}" aria-describedby="{key}-alt"/>
<output for="{key}">{label}</output></div>
<p class="gl-alt" id="{key}-alt" aria-live="polite">{alt}</p>
<details class="gl-words"><summary>In words</summary><ol>{frames}</ol></details>
</div>"""
