"""Pages as wide as a desktop, a sample or all, every other one dark: requests, errors, layout shift, axe, figures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from corpora import some_of
from screenshots import count_differing, pixels
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from table_of_contents import chapters, pages

from benchmarks.browser import Browser
from benchmarks.page_audit import DESKTOP, MAX_LAYOUT_SHIFT, axe_violations, layout_shift

# Chapters are long and have the same colours, so those of one chapter in each mode will do.
WHOLE = "book/06-optimal-covariance.html"
LONG = "book/equations.html"  # a table with so many rows of one form that axe takes most of a minute
# Formulas that stand as raw TeX, that have no size, or that MathML could not express.
UNREAD = """
return [...document.querySelectorAll("article .math")].filter((formula) => {
  const math = formula.querySelector("math"), folded = !formula.checkVisibility();
  return !math || math.querySelector("merror") || (!folded && !math.getBoundingClientRect().width);
}).map((formula) => formula.textContent)"""


class Opened(NamedTuple):
    """The browser with a page in it, and what the page did while it was opened."""

    name: str
    browser: Browser
    requests: list[str]
    errors: list[str]
    shift: float


@pytest.fixture(scope="module", params=some_of(list(enumerate(pages())), 4), ids=lambda page: page[1])
def opened(request, built_book, browser) -> Opened:
    """Each page in turn: pytest runs all tests of one page before it opens the next."""
    number, name = request.param
    browser.emulate(width=DESKTOP[0], height=DESKTOP[1], dark=number % 2 == 1)
    requests, errors = browser.open(built_book / name)
    return Opened(name, browser, requests, errors, layout_shift(browser))


@pytest.mark.sampled
def test_it_asks_no_other_host_and_has_no_errors(opened):
    assert opened.requests == []
    assert opened.errors == []


@pytest.mark.sampled
def test_every_formula_is_set(opened):
    assert opened.browser.run(UNREAD) == []


@pytest.mark.sampled
def test_the_layout_does_not_shift(opened):
    assert opened.shift <= MAX_LAYOUT_SHIFT


@pytest.mark.sampled
def test_axe_finds_no_violation(opened):
    """Pages in light mode; `test_pages_phone.py` does those in dark mode, since axe takes seconds for each."""
    if pages().index(opened.name) % 2 == 0 and opened.name != LONG:
        assert axe_violations(opened.browser, whole=opened.name == WHOLE or opened.name not in chapters()) == []


# Leaves three rows of each table.
SHORTEN = """
for (const table of document.querySelectorAll("table"))
  for (const row of [...table.querySelectorAll("tbody tr")].slice(3)) row.remove();"""


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_axe_finds_no_violation_in_the_long_table(built_book, browser, whole):
    browser.emulate(width=DESKTOP[0], height=DESKTOP[1])
    browser.open(built_book / LONG)
    if not whole:
        browser.run(SHORTEN)
    assert axe_violations(browser) == []


@pytest.mark.sampled
def test_pictures_stand_out_from_the_page_in_both_modes(opened):
    set_mode = "document.documentElement.dataset.theme = arguments[0]"
    before = opened.browser.run("return document.documentElement.dataset.theme")
    for mode in ("light", "dark"):
        opened.browser.run(set_mode, mode)
        for picture in opened.browser.driver.find_elements(By.CSS_SELECTOR, ".gl-picture"):
            seen = pixels(picture.screenshot_as_png)
            paper = seen[0, 0]
            assert (paper.mean() < 60) == (mode == "dark"), "a light ground in the dark"
            assert (np.abs(seen - paper).max(axis=2) > 100).mean() > 0.005, "an empty picture"
    opened.browser.run(set_mode, before)


@pytest.mark.sampled
def test_the_keyboard_moves_the_slider_and_the_picture_follows(opened):
    for figure in opened.browser.driver.find_elements(By.CSS_SELECTOR, ".gl-live"):
        move_and_compare(figure)


# A screenshot must not bring the page to move, and nothing may lie under the page's own header.
CENTRE = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"


def move_and_compare(figure) -> None:
    """Press Home, then each step to the right: picture, value and words change each time, and nothing else moves."""
    picture, place = figure.find_element(By.CSS_SELECTOR, ".gl-picture"), figure.rect
    drawing = picture.find_element(By.TAG_NAME, "svg")
    words = [item.get_attribute("textContent") for item in figure.find_elements(By.CSS_SELECTOR, ".gl-words li")]
    for slider, value in zip(*(figure.find_elements(By.TAG_NAME, tag) for tag in ("input", "output")), strict=True):
        slider.send_keys(Keys.HOME)
        figure.parent.execute_script(CENTRE, figure)
        before = first = at_rest(picture)
        said = {drawing.get_attribute("aria-label")}
        for label in slider.get_attribute("data-labels").split("\n")[1:]:
            slider.send_keys(Keys.ARROW_RIGHT)
            after = pixels(picture.screenshot_as_png)
            assert count_differing(before, after) > 20
            assert value.text == label
            assert slider.get_attribute("aria-valuetext").endswith(f"= {label}")
            assert drawing.get_attribute("aria-label") in set(words) - said
            assert figure.rect == place
            before = after
            said.add(drawing.get_attribute("aria-label"))
        slider.send_keys(Keys.HOME)
        assert count_differing(first, at_rest(picture)) <= 20


def at_rest(picture) -> np.ndarray:
    """The pixels once they change no more: the browser decodes images inside of a drawing when it finds the time."""
    seen = pixels(picture.screenshot_as_png)
    for _ in range(20):
        before, seen = seen, pixels(picture.screenshot_as_png)
        if (before == seen).all():
            break
    return seen
