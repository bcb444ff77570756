"""Live figures: every frame is there, what frames share is stored once, and a widget exists only beside a kernel."""

from __future__ import annotations

import copy
import math
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradelib import _svg, figures, interactive
from gradelib.figures import Picture
from gradelib.interactive import explore

WIDGET = "application/vnd.jupyter.widget-view+json"
VALUES = [0.1, 0.4, 1, 4]


def draw(beta: float, width: float = 4.0) -> Picture:
    figure, axes = figures.axes(width=width, height=3)
    axes.contour([[math.hypot(i, j) for i in range(30)] for j in range(30)], colors=figures.COLOURS["faint"])
    figures.ellipse(axes, (15, 15), [[20 * beta / (1 + beta), 0], [0, 9]], "full")
    axes.set_title(rf"$\beta = {beta:g}$")
    return Picture(figure, f"A valley and one ellipse at β = {beta:g} < ∞.")


@pytest.fixture(scope="module")
def live() -> interactive.LiveFigure:
    return explore(draw, "β", VALUES, start=1)


@pytest.fixture(scope="module")
def page(live) -> ElementTree.Element:
    return ElementTree.fromstring(live.html())


def frame_of(root: ElementTree.Element, number: int) -> ElementTree.Element:
    """What a reader sees at frame `number`: the other frames dropped and the frame's own groups dissolved."""
    shown = copy.deepcopy(root)
    for parent in list(shown.iter()):
        children = []
        for child in parent:
            if "data-frame" not in child.attrib:
                children.append(child)
            elif str(number) in child.get("data-frame").split():
                children.extend(child)
        parent[:] = children
    return shown


def content(root: ElementTree.Element) -> tuple:
    """A drawing as nested tuples, with what its references point to in their place, so that names do not matter."""
    definitions = {item.get("id"): item for item in root.find("defs")}

    def expand(element: ElementTree.Element) -> tuple:
        attributes = {name: value for name, value in element.attrib.items() if name != "id"}
        for name in ("href", "clip-path"):
            target = attributes.get(name, "").removeprefix("url(").removeprefix("#").removesuffix(")")
            if target in definitions:
                attributes[name] = expand(definitions[target])
        return (element.tag, tuple(sorted(attributes.items())), tuple(map(expand, element)))

    return tuple(expand(child) for child in root if child.tag != "defs")


# --- frames


def test_every_frame_is_exactly_the_picture_drawn_for_it(live):
    merged = _svg.merge([live.picture(number).drawing for number in range(len(VALUES))], live.start)
    for number, value in enumerate(VALUES):
        with figures.style():
            alone = draw(value)
        assert content(frame_of(merged, number)) == content(alone.drawing)


def test_what_frames_share_is_stored_once(live):
    alone = sum(len(live.picture(number).svg()) for number in range(len(VALUES)))
    assert len(live.html()) < alone / 2
    # The contour lines are the same in all frames and so stand in none.
    merged = _svg.merge([live.picture(number).drawing for number in range(len(VALUES))], 0)
    shared = frame_of(merged, len(VALUES))
    assert figures.COLOURS["faint"] in ElementTree.tostring(shared, encoding="unicode")


def test_thirteen_frames_stay_far_below_the_budget():
    assert len(explore(draw, "β", [2.0**k for k in range(-6, 7)]).html()) < 100_000


def test_only_the_start_is_visible(page, live):
    for group in page.iter("g"):
        if "data-frame" in group.attrib:
            assert (str(live.start) in group.get("data-frame").split()) == (group.get("display") != "none")


def group(*children: ElementTree.Element) -> ElementTree.Element:
    element = ElementTree.Element("g")
    element.extend(children)
    return element


TREES = st.recursive(
    st.sampled_from("abc").map(lambda d: ElementTree.Element("path", d=d)),
    lambda children: st.lists(children, max_size=3).map(lambda items: group(*items)),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(TREES, max_size=3), min_size=1, max_size=4))
def test_any_drawings_can_be_taken_apart_again(families):
    roots = []
    for family in families:
        root = ElementTree.Element("svg", viewBox="0 0 1 1")
        root.extend([ElementTree.Element("defs"), *copy.deepcopy(family)])
        roots.append(root)
    expected = [content(root) for root in roots]
    merged = _svg.merge(roots, 0)
    assert [content(frame_of(merged, number)) for number in range(len(roots))] == expected


def test_the_same_figure_is_the_same_byte_for_byte(live):
    assert explore(draw, "β", VALUES, start=1).html() == live.html()


def test_names_in_the_drawing_are_used_and_unique(page):
    names = [element.get("id") for element in page.iter() if "id" in element.attrib]
    used = {element.get("href", "").removeprefix("#") for element in page.iter("use")}
    assert len(names) == len(set(names))
    assert used <= set(names)


# --- the page


def test_the_slider_is_labelled_and_says_value_and_words(page, live):
    slider, label, output = page.find(".//input"), page.find(".//label"), page.find(".//output")
    described = page.find(f".//p[@id='{slider.get('aria-describedby')}']")
    assert (slider.get("type"), slider.get("min"), slider.get("max"), slider.get("value")) == ("range", "0", "3", "2")
    assert slider.get("id") == label.get("for") == output.get("for")
    assert (label.text, output.text, slider.get("aria-valuetext")) == ("β", "1", "β = 1")
    assert described is not None
    assert described.get("aria-live") == "polite"
    assert page.find(".//svg").get("aria-label") == live.picture(live.start).alt


def test_every_frame_stands_there_in_words(page, live):
    items = page.findall(".//li")
    assert [item.get("data-label") for item in items] == ["0.1", "0.4", "1", "4"]
    assert [item.text for item in items] == [live.picture(number).alt for number in range(4)]


def test_names_and_labels_with_markup_stay_text():
    live = explore(draw, '<b>"β"</b>', [1, 2], labels=['"<i>one', "two & more"])
    seen = {}

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            seen.setdefault(tag, []).append(dict(attributes))

    Reader().feed(live.html())
    assert "b" not in seen
    assert "i" not in seen
    assert seen["input"][0]["aria-valuetext"] == '<b>"β"</b> = "<i>one'
    assert [item["data-label"] for item in seen["li"]] == ['"<i>one', "two & more"]


# --- the kernel


def test_beside_a_kernel_the_same_output_is_a_widget_that_draws(monkeypatch):
    monkeypatch.delenv(interactive.STATIC, raising=False)
    drawn = []

    def watched(beta: float) -> Picture:
        drawn.append(beta)
        return draw(beta)

    live = explore(watched, "β", VALUES)
    shown, slider = live.widget.children
    assert drawn == [0.1]
    slider.value = 3
    assert drawn == [0.1, 4]
    assert live.picture(3).svg() == shown.value
    assert {WIDGET, "text/html", "text/plain"} <= set(live._repr_mimebundle_())


def test_in_the_built_book_there_is_no_widget(monkeypatch):
    monkeypatch.setenv(interactive.STATIC, "1")
    live = explore(draw, "β", VALUES)
    bundle = live._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "widget" not in vars(live)
    assert bundle["text/plain"] == (
        "A live figure with a slider for β, 4 steps from 0.1 to 4. At β = 0.1: A valley and one ellipse at β = 0.1 < ∞."
    )


def test_drawing_happens_in_the_book_s_style():
    def sized(_: int) -> Picture:
        figure, axes = figures.axes()
        assert axes.title.get_color() == figures.COLOURS["ink"]
        return Picture(figure, "Nothing.")

    explore(sized, "n", [1, 2]).html()


# --- bad input


@pytest.mark.parametrize(
    ("values", "options", "sentence"),
    [
        ([], {}, "at least two values"),
        ([1], {}, "at least two values"),
        ([1, 2, 1], {}, "read the same"),
        ([1.0000001, 1.0000002], {}, "read the same"),
        ([1, 2], {"start": 3}, "cannot start at 3"),
        ([1, 2], {"labels": ["one"]}, "2 values and 1 labels"),
        ([1, 2], {"name": " "}, "needs the name"),
    ],
)
def test_a_slider_that_makes_no_sense_is_refused(values, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        explore(draw, options.pop("name", "β"), values, **options)


def test_a_drawing_function_that_returns_no_picture_is_refused():
    with pytest.raises(ValueError, match="at β = 1 it returned a NoneType"):
        explore(lambda beta: None, "β", [1, 2]).html()


def test_frames_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        explore(lambda width: draw(1, width), "width", [4, 5]).html()
