"""Every page as a reader on the bus has it: a phone's width, every other page in the dark."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from table_of_contents import chapters, pages

from benchmarks.browser import Browser
from benchmarks.pages import PHONE, STILL, axe_violations, cut_off, layout_shift

# Chapters are long and have the same colours, so those of one chapter in each mode will do.
WHOLE = "book/07-block-structure.html"
SIZES = "return [...document.querySelectorAll(arguments[0])].map((part) => part.getBoundingClientRect().toJSON())"


class Opened(NamedTuple):
    """The browser with a page in it, and how much of it jumped."""

    name: str
    browser: Browser
    shift: float


@pytest.fixture(scope="module", params=list(enumerate(pages())), ids=lambda page: page[1])
def opened(request, built_book, browser) -> Opened:
    """Each page in turn: pytest runs all tests of one page before it opens the next."""
    number, name = request.param
    browser.look(width=PHONE[0], height=PHONE[1], dark=number % 2 == 1)
    browser.open(built_book / name)
    return Opened(name, browser, layout_shift(browser))


def test_it_needs_no_sideways_scrolling(opened):
    assert cut_off(opened.browser) == (PHONE[0], [])


def test_it_stands_still_while_it_loads(opened):
    assert opened.shift <= STILL


def test_it_keeps_nobody_out(opened):
    """Pages in the dark; `test_pages_on_a_desk.py` does those in the light."""
    if pages().index(opened.name) % 2 == 1:
        assert axe_violations(opened.browser, whole=opened.name == WHOLE or opened.name not in chapters()) == []


@pytest.mark.parametrize(("selector", "least"), [(".gl-slider input, .gl-words summary", 43.9), (".gl-badge", 24)])
def test_a_finger_finds_what_it_can_press(opened, selector, least):
    """Sliders and their words are as high as a finger tip, 44 pixels, and badges 24 at least."""
    for each in opened.browser.run(SIZES, selector):
        assert min(each["width"], each["height"]) >= least
