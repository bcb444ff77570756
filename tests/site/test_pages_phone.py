"""Pages as wide as a phone, a sample or all, every other one dark: overflow, layout shift, axe, touch targets."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from corpora import some_of
from table_of_contents import chapters, pages
from test_pages_desktop import LONG, SHORTEN

from benchmarks.browser import Browser
from benchmarks.page_audit import MAX_LAYOUT_SHIFT, PHONE, axe_violations, horizontal_overflow, layout_shift

# Chapters are long and have the same colours, so those of one chapter in each mode will do.
WHOLE = "book/07-block-structure.html"
SIZES = "return [...document.querySelectorAll(arguments[0])].map((part) => part.getBoundingClientRect().toJSON())"


class Opened(NamedTuple):
    """The browser with a page in it, and how much of it jumped."""

    name: str
    browser: Browser
    shift: float


@pytest.fixture(scope="module", params=some_of(list(enumerate(pages())), 4), ids=lambda page: page[1])
def opened(request, built_book, browser) -> Opened:
    """Each page in turn: pytest runs all tests of one page before it opens the next."""
    number, name = request.param
    browser.emulate(width=PHONE[0], height=PHONE[1], dark=number % 2 == 1)
    browser.open(built_book / name)
    return Opened(name, browser, layout_shift(browser))


@pytest.mark.sampled
def test_nothing_overflows_sideways(opened):
    assert horizontal_overflow(opened.browser) == (PHONE[0], [])


@pytest.mark.sampled
def test_the_layout_does_not_shift(opened):
    assert opened.shift <= MAX_LAYOUT_SHIFT


@pytest.mark.sampled
@pytest.mark.parametrize(("selector", "least"), [(".gl-slider input, .gl-words summary", 43.9), (".gl-badge", 24)])
def test_touch_targets_are_large_enough(opened, selector, least):
    """Sliders and their words are as high as a finger tip, 44 pixels, and badges 24 at least."""
    for each in opened.browser.run(SIZES, selector):
        assert min(each["width"], each["height"]) >= least


@pytest.mark.sampled
def test_axe_finds_no_violation(opened):
    """Pages in dark mode; `test_pages_desktop.py` does those in light mode, and the long table with all its rows."""
    if pages().index(opened.name) % 2 == 1:
        if opened.name == LONG:
            opened.browser.run(SHORTEN)
        assert axe_violations(opened.browser, whole=opened.name == WHOLE or opened.name not in chapters()) == []


# Whether the last table is laid out, and whether the keyboard reaches it where it scrolls, before and after it is seen.
LAST_TABLE = """
const done = arguments[0];
const box = [...document.querySelectorAll(".pst-scrollable-table-container")].at(-1);
const told = () => [box.querySelector("td").checkVisibility({ contentVisibilityAuto: true }),
  box.scrollWidth > box.clientWidth, box.tabIndex];
const before = told();
box.scrollIntoView();
setTimeout(() => done([before, told()]), 500);
"""


def test_the_long_report_is_laid_out_where_it_is_seen(built_book, browser):
    browser.emulate(width=PHONE[0], height=PHONE[1])
    browser.open(built_book / LONG)
    assert browser.run_async(LAST_TABLE) == [[False, False, -1], [True, True, 0]]
