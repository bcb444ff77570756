"""Live figures: one or two sliders over a function that draws.

`explore(draw, "β", [0.1, 0.2, 0.4])` as the last expression of a cell shows `draw(0.1)` above a slider, and a button
that plays it. `explore(draw, "β", [0.1, 0.2, 0.4], "k", [1, 2])` has a second slider and calls `draw(0.1, 1)`. With a
kernel the sliders are ipywidgets controls and each move calls `draw`. In the built book there is no kernel: the same
figure is plain HTML over frames drawn beforehand, and `book/_static/live.js` shows the one that the sliders name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import product

import ipywidgets

from gradelib import _svg
from gradelib.figures import Picture, frame, style

# Set by the book's build: a widget made there would weigh on the page and could not move.
STATIC = "GRADELIB_STATIC"
_VIEW = "application/vnd.jupyter.widget-view+json"
_PACE = 900  # milliseconds for which a frame stands while a figure plays


def explore(
    draw: Callable[..., Picture],
    name: str,
    values: Sequence[object],
    second: str | None = None,
    second_values: Sequence[object] | None = None,
    /,
    *,
    start: object = None,
    labels: Sequence[object] | None = None,
) -> LiveFigure:
    """A figure with a slider called `name` that runs through `values`; `draw(value)` returns the picture at each.

    With a `second` slider the picture at each pair is `draw(value, second_value)`, and a page carries every pair. It
    opens at `start`, the first value unless told. `labels` are what the reader sees for the values. With two sliders
    `start` and `labels` are pairs, with None for what needs no telling. All pictures must have one size.

    Raises ValueError for fewer than two values, repeated ones, a start that is none of them, or a second slider that
    lacks its name, its values or a name of its own.
    """
    if not callable(draw):
        raise ValueError(f"A live figure needs a function that draws, but got a {type(draw).__name__} in its place.")
    if second is None and second_values is None:
        return LiveFigure(draw, [_slider(name, values, start, labels)])
    if second is None or second_values is None:
        raise ValueError("A second slider needs a name and values, in this order, after the values of the first.")
    if second == name:
        raise ValueError(f"Both sliders are called {name!r}; a reader could not tell them apart.")
    settings = zip((name, second), (values, second_values), _pair("start", start), _pair("labels", labels), strict=True)
    return LiveFigure(draw, [_slider(*setting) for setting in settings])


@dataclass(frozen=True)
class Slider:
    """What one slider changes: the values, what the reader sees for each, and the number of the one it opens at."""

    name: str
    values: list[object]
    labels: list[str]
    start: int

    def at(self, step: int) -> str:
        return f"{self.name} = {self.labels[step]}"

    def __str__(self) -> str:
        return f"{self.name}, {len(self.labels)} steps from {self.labels[0]} to {self.labels[-1]}"


def _pair(option: str, given: object) -> Sequence[object]:
    if given is None:
        return (None, None)
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
        raise ValueError(f"With two sliders `{option}` is a pair, one for each slider, but got {given!r}.")
    return given


def _slider(name: str, values: Sequence[object], start: object, labels: object) -> Slider:
    values = list(values)
    if labels is not None and (isinstance(labels, str) or not isinstance(labels, Sequence)):
        raise ValueError(f"`labels` is a list of words, one for each value, but got {labels!r}.")
    words = list(map(_label, values if labels is None else labels))
    if not isinstance(name, str) or not name.strip():
        raise ValueError("A live figure needs the name of what its slider changes, for example 'β'.")
    if len(values) < 2:
        raise ValueError(f"A slider needs at least two values, but there are {len(values)}.")
    if len(words) != len(values):
        raise ValueError(f"Each value needs one label, but there are {len(values)} values and {len(words)} labels.")
    if len(set(words)) < len(words):
        raise ValueError("Two values of the slider read the same; drop the repeated one or give `labels`.")
    if start is not None and start not in values:
        raise ValueError(f"The slider cannot start at {start!r}, which is none of its values.")
    return Slider(name, values, words, 0 if start is None else values.index(start))


class LiveFigure:
    """What `explore` returns: shown as a widget where a kernel lives, as light HTML elsewhere.

    Its frames are numbered: with two sliders all values of the second come before the first moves on. `start` is the
    number of the frame at which it opens.
    """

    def __init__(self, draw: Callable[..., Picture], sliders: Sequence[Slider]) -> None:
        self.sliders = list(sliders)
        self.frames = list(product(*(range(len(slider.values)) for slider in sliders)))
        self.start = self.frames.index(tuple(slider.start for slider in sliders))
        self._draw = draw
        self._pictures: dict[int, Picture] = {}

    def picture(self, number: int) -> Picture:
        """The picture of frame `number`, drawn when it is first asked for."""
        if number not in self._pictures:
            steps = zip(self.sliders, self.frames[number], strict=True)
            with style():
                picture = self._draw(*(slider.values[step] for slider, step in steps))
            if not isinstance(picture, Picture):
                raise ValueError(
                    f"The drawing function must return a Picture, but at {self._at(number)} it returned a "
                    f"{type(picture).__name__}."
                )
            self._pictures[number] = picture
        return self._pictures[number]

    def html(self) -> str:
        """The figure for a page: its frames in one SVG, native sliders, and each frame in words."""
        pictures = [self.picture(number) for number in range(len(self.frames))]
        sizes = {_svg.size(picture.drawing) for picture in pictures}
        if len(sizes) > 1:
            raise ValueError(f"All frames of a live figure must have one size, but there are {len(sizes)} sizes.")
        drawing = frame(_svg.merge([picture.drawing for picture in pictures], self.start), pictures[self.start].alt)
        key = "live-" + hashlib.sha256(drawing.encode()).hexdigest()[:8]
        return _PAGE.format(
            key=key,
            drawing=drawing,
            pace=_PACE,
            sliders="".join(_control(slider, key, number) for number, slider in enumerate(self.sliders)),
            alt=escape(pictures[self.start].alt),
            frames="".join(_item(self._label(number), picture.alt) for number, picture in enumerate(pictures)),
        )

    @cached_property
    def widget(self) -> ipywidgets.Widget:
        """The figure as ipywidgets controls that call the drawing function at each move."""
        sliders = [_selection(slider) for slider in self.sliders]
        shown = ipywidgets.HTML()

        def show(_: object = None) -> None:
            shown.value = self.picture(self.frames.index(tuple(slider.value for slider in sliders))).svg()

        for slider in sliders:
            slider.observe(show, "value")
        show()
        play = ipywidgets.Play(value=sliders[0].value, max=len(self.sliders[0].values) - 1, interval=_PACE)
        # Linked in the browser, so that no frame waits for the kernel to move the slider.
        ipywidgets.jslink((play, "value"), (sliders[0], "index"))
        return ipywidgets.VBox([shown, ipywidgets.HBox([sliders[0], play]), *sliders[1:]])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        words: dict[str, object] = {"text/plain": repr(self), "text/html": self.html()}
        if os.environ.get(STATIC):
            return words
        # Written out, since ipywidgets 7, which Colab has, offers no bundle of its own.
        return words | {_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}}

    def __repr__(self) -> str:
        sliders = " and one for ".join(map(str, self.sliders))
        return f"A live figure with a slider for {sliders}. At {self._at(self.start)}: {self.picture(self.start).alt}"

    def _at(self, number: int) -> str:
        steps = zip(self.sliders, self.frames[number], strict=True)
        return ", ".join(slider.at(step) for slider, step in steps)

    def _label(self, number: int) -> str:
        """What the list of frames calls one: the name goes without saying where there is one slider."""
        return self._at(number) if self.sliders[1:] else self.sliders[0].labels[number]


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _selection(slider: Slider) -> ipywidgets.SelectionSlider:
    options = [(label, number) for number, label in enumerate(slider.labels)]
    return ipywidgets.SelectionSlider(options=options, value=slider.start, description=slider.name)


def _control(slider: Slider, key: str, number: int) -> str:
    return _SLIDER.format(
        key=f"{key}-{number}",
        words=key,
        name=escape(slider.name),
        last=len(slider.labels) - 1,
        start=slider.start,
        at=escape(slider.at(slider.start)),
        labels="&#10;".join(map(escape, slider.labels)),
        label=escape(slider.labels[slider.start]),
        room=max(map(len, slider.labels)),
    )


def _item(label: str, alt: str) -> str:
    return f'<li data-label="{escape(label)}">{escape(alt)}</li>'


# Sliders and button are of use only to a script, so the style sheet hides them where there is none. The list is where
# the script finds the words, and what a reader without eyes or scripts has of the other frames.
_PAGE = """\
<div class="gl-live">
<div class="gl-picture">{drawing}</div>
<div class="gl-slider"><button type="button" value="{pace}">Play</button>{sliders}</div>
<p class="gl-alt" id="{key}" aria-live="polite">{alt}</p>
<details class="gl-words"><summary>In words</summary><ol>{frames}</ol></details>
</div>"""
# The room for the value is that of the longest one, so that the slider keeps its length while it moves.
_SLIDER = """
<label for="{key}">{name}</label>
<input type="range" id="{key}" min="0" max="{last}" step="1" value="{start}" autocomplete="off" \
aria-valuetext="{at}" aria-describedby="{words}" data-labels="{labels}"/>
<output for="{key}" style="min-width:{room}ch">{label}</output>"""
