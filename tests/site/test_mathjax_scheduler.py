"""mathjax-scheduler.js typesets a few formulas at a time, those on the screen first; MathJax itself is a stub."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from benchmarks.browser import Browser

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "mathjax-scheduler.js"
FORMULAS = 30
# The formulas stand 200 pixels apart, and two of them are folded away. What is set, and when, is written down.
PAGE = """<!doctype html><style>.math {{ display: block; height: 200px }}</style>
<details>{folded}</details>{formulas}
<script>
const steps = [];
let go;
const typeset = (formulas) => steps.push(formulas.map((formula) => Number(formula.textContent)));
const typesetPromise = (formulas) => {{ typeset(formulas); return new Promise((finish) => (go = finish)); }};
var MathJax = {{ typeset, typesetPromise }};
</script><script>{script}</script>"""


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Browser:
    """A page that is scrolled to formula 10 before MathJax begins; it stops after each step."""
    spans = [f'<span class="math">{number}</span>' for number in range(FORMULAS)]
    text = PAGE.format(folded="".join(spans[:2]), formulas="".join(spans[2:]), script=SCRIPT.read_text(encoding="utf8"))
    (tmp_path / "page.html").write_text(text, encoding="utf8")
    browser.emulate(height=600)
    browser.open(tmp_path / "page.html")
    browser.run("scrollTo(0, document.querySelectorAll('.math')[10].offsetTop); MathJax.startup.pageReady()")
    return browser


def step(page: Browser) -> list[list[int]]:
    """Let MathJax finish one step. Returns what has been set so far."""
    return page.run_async("const done = arguments[0]; go(); setTimeout(() => done(steps), 20)")


def test_what_is_on_the_screen_comes_first_and_what_is_folded_last(page):
    [first] = page.run("return steps")
    assert set(first[:3]) <= {9, 10, 11, 12, 13}
    assert len(first) < FORMULAS / 2
    for _ in range(3):
        steps = step(page)
    order = list(chain(*steps))
    assert sorted(order) == list(range(FORMULAS))
    assert order[-2:] == [0, 1]


def test_paper_waits_for_no_step(page):
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert sorted(chain(*page.run("return steps"))) == list(range(FORMULAS))
    assert len(step(page)) == 2
