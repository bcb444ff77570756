"""Drawings on a page are light and look as in a notebook: frames wait in a script, pixels and outlines stand once."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fontTools.pens.recordingPen import RecordingPen
from fontTools.svgLib.path import parse_path
from PIL import Image
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait
from test_pages_desktop import at_rest

from benchmarks.browser import Browser
from benchmarks.page_audit import html_pages
from book.extensions.page import drawings
from gradelib import figures
from gradelib.figures import Picture
from gradelib.figures.live import LiveFigure, explore

STATIC_FILES = Path(__file__).parents[2] / "book" / "_static"
PIXELS = np.random.default_rng(0).integers(0, 255, (40, 40))


def draw(beta: float) -> Picture:
    figure, (left, right) = figures.axes(1, 2, width=5, height=2.5)
    left.plot(np.linspace(0, 1, 200), np.sin(7 * beta * np.linspace(0, 1, 200)), marker="o", markevery=20)
    left.set_title(f"sine {beta:g}")
    right.imshow(PIXELS * beta % 255)
    return Picture(figure, f"A curve and pixels at {beta:g}.")


@pytest.fixture(scope="module")
def live() -> LiveFigure:
    return explore(draw, "β", [0.5, 1, 2], start=1)


@pytest.fixture(scope="module")
def still() -> Picture:
    with figures.style():
        return draw(1)


def stand(folder: Path, *pictures: str) -> str:
    """The pictures as they stand on a page `page.html` of a folder."""
    page = drawings.Page(folder / "_static", "_static")
    return "\n".join(drawings.PICTURE.sub(page.lightened, picture) for picture in pictures)


def shown_alone(picture: Picture) -> str:
    return picture._repr_mimebundle_()["text/html"]


def waiting(folder: Path) -> list[str]:
    (script,) = (folder / "_static/frames").glob("*.js")
    return json.loads(re.fullmatch(r"\(globalThis\.glFrames\?\?=\{\}\)\[\"\w+\"\]=(.*);\n", script.read_text())[1])


def names(pattern: str, text: str) -> list[str]:
    return re.findall(pattern, text)


def test_only_the_frame_that_opens_stands_on_the_page(tmp_path, live):
    html = stand(tmp_path, live.html())
    assert 'class="gl-live" data-frames="_static/frames/' in html
    assert len(html) < 0.5 * len(live.html())
    _, *contents = waiting(tmp_path)
    groups = [group for group in ElementTree.fromstring(html).iter("g") if group.get("display") == "none"]
    assert len(groups) == len(contents) > 0
    assert [list(group) for group in groups] == [[]] * len(groups)
    assert all(contents)


def test_definitions_of_a_page_stand_once_and_have_short_names_of_their_own(tmp_path, live, still):
    alone = stand(tmp_path / "alone", shown_alone(still))
    both = stand(tmp_path, live.html(), shown_alone(still))
    assert len(both.split("</details>")[1]) < 0.8 * len(alone)
    text = both + "".join(waiting(tmp_path))
    defined = names(r'\bid="(g\d+)"', text)
    assert len(set(defined)) == len(defined)
    assert set(names(r'(?:href="|url\()#([\w-]+)', text)) == set(defined)


def test_a_clip_path_is_not_taken_from_another_drawing(tmp_path, still):
    """It would cut nothing, or all, while that one is folded away."""
    html = stand(tmp_path, shown_alone(still), shown_alone(still))
    for drawing in html.split("<svg")[1:]:
        assert set(names(r"url\(#(\w+)\)", drawing)) == set(names(r'<clipPath id="(\w+)"', drawing)) != set()


def test_pixels_keep_their_values_and_large_ones_have_a_file(tmp_path, still):
    before = re.search(rf'{drawings.DATA}([^"]*)"', shown_alone(still))
    address = re.search(r'href="([^"#]*\.webp)"', stand(tmp_path, shown_alone(still)))
    images = Image.open(io.BytesIO(base64.b64decode(before[1]))), Image.open(tmp_path / address[1])
    assert np.array_equal(*(np.asarray(image.convert("RGBA")) for image in images))


def test_few_pixels_stay_on_the_page(tmp_path):
    figure, axes = figures.axes()
    axes.imshow([[0, 1], [2, 3]])
    html = stand(tmp_path, shown_alone(Picture(figure, "Four pixels.")))
    assert "data:image/" in html
    assert not (tmp_path / "_static/pixels").exists()


def points(path: str) -> np.ndarray:
    """The points of a path, each but once where the pen stands still."""
    pen = RecordingPen()
    parse_path(path, pen)
    found = [point for _, arguments in pen.value for point in arguments]
    return np.array([point for point, before in zip(found, [None, *found], strict=False) if point != before])


def test_paths_go_through_the_same_points(still):
    before, after = (
        [path.get("d", "") for path in ElementTree.fromstring(text).iter("path")]
        for text in (still.svg(), drawings.shorter(still.svg()))
    )
    assert len("".join(after)) < 0.85 * len("".join(before))
    for one, other in zip(before, after, strict=True):
        distances = np.abs(points(one)[:, None] - points(other)).max(axis=2) if one else np.zeros((1, 1))
        assert max(distances.min(axis=0).max(), distances.min(axis=1).max()) < 0.011


@pytest.mark.slow
def test_each_frame_looks_as_it_does_alone(tmp_path, live, still, browser: Browser):
    """Before and after the others are loaded."""
    script, look = (STATIC_FILES.joinpath(name).read_text(encoding="utf8") for name in ("live.js", "book.css"))
    head, foot = f'<!doctype html><meta charset="utf-8"><style>{look}</style>', f"<script>{script}</script>"
    browser.emulate()
    seen = []
    for number, body in enumerate((live.html(), stand(tmp_path, shown_alone(still), live.html()))):
        page = tmp_path / f"{number}.html"
        page.write_text(head + body.replace(shown_alone(still), "") + foot, encoding="utf8")
        assert browser.open(page) == ([], [])
        WebDriverWait(browser.driver, 5).until(are_loaded)
        seen.append([frame_at(browser, step) for step in (1, 0, 2, 1)])
    for alone, on_page in zip(*seen, strict=True):
        assert (np.abs(alone.astype(int) - on_page) > 40).mean() < 0.001
    assert (np.abs(seen[0][1].astype(int) - seen[0][2]) > 40).mean() > 0.01


def are_loaded(driver: WebDriver) -> bool:
    return driver.execute_script("return !document.querySelector('[data-frames]')")


def frame_at(browser: Browser, step: int) -> np.ndarray:
    browser.run(
        "const slider = document.querySelector('input'); slider.value = arguments[0]; "
        "slider.dispatchEvent(new Event('input'));",
        step,
    )
    return at_rest(browser.driver.find_element("css selector", ".gl-live .gl-picture"))


def test_no_reference_of_a_page_leads_nowhere(built_book):
    for page in html_pages(built_book):
        text = page.read_text(encoding="utf8")
        frames = [page.parent / address for address in names(r'data-frames="([^"]*)"', text)]
        text += "".join(path.read_text(encoding="utf8").replace('\\"', '"') for path in frames)
        used = names(r'<use href="#([\w-]+)', text) + names(r"url\(#(\w+)\)", text)
        assert set(used) <= set(names(r'\bid="([^"]+)"', text)), page.name
        assert all((page.parent / address).exists() for address in names(r'<image href="([^":]*)"', text)), page.name
