"""Live figures: every frame is there, what frames share is stored once, sliders and button move what they should."""

from __future__ import annotations

import copy
import math
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import ipywidgets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from gradelib import _svg, figures
from gradelib.figures import Picture
from gradelib.figures import live as live_figures
from gradelib.figures.live import explore

STATIC_FILES = Path(__file__).parents[2] / "book" / "_static"
WIDGET = "application/vnd.jupyter.widget-view+json"
VALUES = [0.1, 0.4, 1, 4]
ANGLES = {0: "flat", 45: "half", 90: "up"}


def draw(beta: float, width: float = 4.0) -> Picture:
    figure, axes = figures.axes(width=width, height=3)
    axes.contour([[math.hypot(i, j) for i in range(30)] for j in range(30)], colors=figures.COLOURS["faint"])
    figures.ellipse(axes, (15, 15), [[20 * beta / (1 + beta), 0], [0, 9]], "full")
    axes.set_title(rf"$\beta = {beta:g}$")
    return Picture(figure, f"A valley and one ellipse at β = {beta:g} < ∞.")


@pytest.fixture(scope="module")
def live() -> live_figures.LiveFigure:
    return explore(draw, "β", VALUES, start=1)


def turn(beta: float, angle: float) -> Picture:
    figure, axes = figures.axes(width=4, height=3)
    axes.set(xlim=(-2, 2), ylim=(-2, 2))
    axes.contour([[math.hypot(i, j) for i in range(30)] for j in range(30)], colors=figures.COLOURS["faint"])
    figures.ellipse(axes, (0, 0), [[beta, 0], [0, 1]], "full")
    axes.plot([0, math.cos(math.radians(angle))], [0, math.sin(math.radians(angle))], **figures.look("learned"))
    return Picture(figure, f"An ellipse for β = {beta:g} and a ray at {angle:g}°.")


@pytest.fixture(scope="module")
def pair() -> live_figures.LiveFigure:
    """A figure of two sliders."""
    return explore(turn, "β", VALUES, "angle", list(ANGLES), start=(0.4, 90), labels=(None, list(ANGLES.values())))


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


def text(element: ElementTree.Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")


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
    assert figures.COLOURS["faint"] in text(shared)


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


def test_the_frames_of_two_sliders_are_all_pairs(pair):
    assert [pair.picture(number).alt for number in range(12)] == [
        f"An ellipse for β = {beta:g} and a ray at {angle:g}°." for beta in VALUES for angle in ANGLES
    ]
    assert pair.picture(pair.start).alt == "An ellipse for β = 0.4 and a ray at 90°."


def test_what_depends_on_one_of_two_sliders_is_stored_once_for_the_other(pair):
    merged = _svg.merge([pair.picture(number).drawing for number in range(12)], pair.start)
    red = [group for group in merged.iter("g") if "data-frame" in group.attrib and text(group).count("gl-learned")]
    assert [group.get("data-frame") for group in red] == ["0 3 6 9", "1 4 7 10", "2 5 8 11"]


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


def test_two_sliders_are_told_apart(pair):
    page = ElementTree.fromstring(pair.html())
    sliders, labels, outputs = page.findall(".//input"), page.findall(".//label"), page.findall(".//output")
    assert [slider.get("id") for slider in sliders] == [label.get("for") for label in labels]
    assert [slider.get("id") for slider in sliders] == [output.get("for") for output in outputs]
    assert len({slider.get("id") for slider in sliders}) == 2
    assert [label.text for label in labels] == ["β", "angle"]
    assert [output.text for output in outputs] == ["0.4", "up"]
    assert [slider.get("aria-valuetext") for slider in sliders] == ["β = 0.4", "angle = up"]
    assert [(slider.get("max"), slider.get("value")) for slider in sliders] == [("3", "1"), ("2", "2")]
    assert [item.get("data-label") for item in page.findall(".//li")][:4] == [
        *("β = 0.1, angle = flat", "β = 0.1, angle = half", "β = 0.1, angle = up", "β = 0.4, angle = flat"),
    ]


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
    assert seen["input"][0]["data-labels"].split("\n") == ['"<i>one', "two & more"]


# --- the page in a browser

STATE = """return [...document.querySelectorAll("input, output, button")].map((part) => part.value)
  .concat(document.querySelector("svg").getAttribute("aria-label"), document.querySelector(".gl-alt").textContent)"""
SHOWN = """const belongs = (part) => part.dataset.frame.split(" ").includes(arguments[0]);
return [...document.querySelectorAll("[data-frame]")]
  .every((part) => belongs(part) === (getComputedStyle(part).display !== "none"))"""
# Time passes when the test says so.
CLOCK = """<script>
  let ticking; const setInterval = (step) => { ticking = step; return 1; }, clearInterval = () => { ticking = null; };
</script>"""


@pytest.fixture
def stage(browser, pair, tmp_path):
    """A page of its own with one figure of two sliders."""
    browser.emulate()
    script, look = (STATIC_FILES.joinpath(name).read_text(encoding="utf8") for name in ("live.js", "book.css"))
    body = f"<style>{look}</style>{pair.html()}{CLOCK}<script>{script}</script>"
    (tmp_path / "page.html").write_text(f'<!doctype html><meta charset="utf-8">{body}', encoding="utf8")
    browser.open(tmp_path / "page.html")
    return browser


def test_each_slider_moves_the_picture_by_keyboard(stage, pair):
    first, second = stage.driver.find_elements(By.TAG_NAME, "input")
    second.send_keys(Keys.HOME)
    first.send_keys(Keys.ARROW_RIGHT)
    alt = pair.picture(6).alt
    assert stage.run(STATE) == ["900", "2", "1", "0", "flat", alt, alt]
    assert stage.run(SHOWN, "6")
    assert [slider.get_attribute("aria-valuetext") for slider in (first, second)] == ["β = 1", "angle = flat"]


def test_the_button_plays_to_the_end_and_only_then_speaks(stage, pair):
    button = stage.driver.find_element(By.TAG_NAME, "button")
    opened = pair.picture(5).alt
    button.send_keys(Keys.ENTER)
    for number in (8, 11):
        assert button.text == "Pause"
        assert stage.run(STATE)[-1] == opened  # what is read out waits
        stage.run("ticking()")
        assert stage.run(STATE)[-2] == pair.picture(number).alt
    assert (button.text, stage.run(STATE)[-1]) == ("Play", pair.picture(11).alt)
    assert stage.run("return ticking") is None
    button.send_keys(Keys.SPACE)  # from the end it begins anew
    assert (button.text, stage.run(STATE)[1]) == ("Pause", "0")
    stage.driver.find_element(By.TAG_NAME, "input").send_keys(Keys.ARROW_RIGHT)
    assert (button.text, stage.run(STATE)[-1]) == ("Play", pair.picture(5).alt)  # a hand on the slider stops it


def test_the_button_is_not_there_for_whoever_wants_less_motion(stage):
    button = stage.driver.find_element(By.TAG_NAME, "button")
    assert button.is_displayed()
    less = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    stage.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", less)
    assert not button.is_displayed()


# --- the kernel


def test_beside_a_kernel_the_same_output_is_a_widget_that_draws(monkeypatch):
    monkeypatch.delenv(live_figures.STATIC, raising=False)
    drawn = []

    def watched(beta: float) -> Picture:
        drawn.append(beta)
        return draw(beta)

    live = explore(watched, "β", VALUES)
    shown, row = live.widget.children
    slider, _ = row.children
    assert drawn == [0.1]
    slider.value = 3
    assert drawn == [0.1, 4]
    assert live.picture(3).svg() == shown.value
    assert {WIDGET, "text/html", "text/plain"} <= set(live._repr_mimebundle_())


def test_beside_a_kernel_each_of_two_sliders_draws_and_a_button_plays_the_first(pair):
    shown, row, second = pair.widget.children
    first, play = row.children
    assert shown.value == pair.picture(pair.start).svg()
    second.value = 0
    assert shown.value == pair.picture(3).svg()
    first.index = 3  # what the link below does in the browser
    assert shown.value == pair.picture(9).svg()
    assert (play.min, play.max) == (0, 3)
    links = [
        widget for widget in ipywidgets.Widget.get_manager_state()["state"].values() if widget["state"].get("source")
    ]
    ends = [(link["state"]["source"], link["state"]["target"]) for link in links]
    assert ([f"IPY_MODEL_{play.model_id}", "value"], [f"IPY_MODEL_{first.model_id}", "index"]) in ends


def test_in_the_built_book_there_is_no_widget(monkeypatch):
    monkeypatch.setenv(live_figures.STATIC, "1")
    live = explore(draw, "β", VALUES)
    bundle = live._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "widget" not in vars(live)
    assert bundle["text/plain"] == (
        "A live figure with a slider for β, 4 steps from 0.1 to 4. At β = 0.1: A valley and one ellipse at β = 0.1 < ∞."
    )


def test_two_sliders_are_named_where_there_is_only_text(pair):
    assert repr(pair) == (
        "A live figure with a slider for β, 4 steps from 0.1 to 4 and one for angle, 3 steps from flat to up. "
        "At β = 0.4, angle = up: An ellipse for β = 0.4 and a ray at 90°."
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
        ([1, 2], {"labels": "ab"}, "a list of words, one for each value, but got 'ab'"),
        ([1, 2], {"name": " "}, "needs the name"),
    ],
)
def test_a_slider_that_makes_no_sense_is_refused(values, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        explore(draw, options.pop("name", "β"), values, **options)


@pytest.mark.parametrize(
    ("second", "options", "sentence"),
    [
        (("k",), {}, "needs a name and values"),
        ((None, [1, 2]), {}, "needs a name and values"),
        (("β", [1, 2]), {}, "Both sliders are called 'β'"),
        (("k", [1]), {}, "at least two values"),
        (("k", [1, 2]), {"start": 1}, "`start` is a pair, one for each slider, but got 1"),
        (("k", [1, 2]), {"start": (1, 2, 3)}, "`start` is a pair"),
        (("k", [1, 2]), {"start": (None, 7)}, "cannot start at 7"),
        (("k", [1, 2]), {"labels": "ab"}, "`labels` is a pair, one for each slider, but got 'ab'"),
        (("k", [1, 2]), {"labels": (None, ["one"])}, "2 values and 1 labels"),
    ],
)
def test_a_second_slider_that_makes_no_sense_is_refused(second, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        explore(turn, "β", [1, 2], *second, **options)


def test_what_cannot_draw_is_refused():
    with pytest.raises(ValueError, match="needs a function that draws, but got a str"):
        explore("β", draw, VALUES)


def test_a_drawing_function_that_returns_no_picture_is_refused():
    with pytest.raises(ValueError, match="at β = 1 it returned a NoneType"):
        explore(lambda beta: None, "β", [1, 2]).html()


def test_frames_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        explore(lambda width: draw(1, width), "width", [4, 5]).html()
