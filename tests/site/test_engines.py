"""Every page in three engines: formulas are laid out, sliders move, folds open, scripts have no errors."""

from __future__ import annotations

import unicodedata
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pytest
from corpora import some_of
from engines import Engine
from fontTools.ttLib import TTFont
from table_of_contents import files
from web_server import serve

from benchmarks.page_audit import parse
from book.extensions.page import fonts

FAULTS = Path(__file__).with_name("formula_faults.js").read_text(encoding="utf8")
# Opens all that is folded, from outside in: what lies in a closed fold cannot be pressed. Returns what did not open.
OPEN_FOLDS = """
const isShut = (button) => button.matches("summary")
  ? ![...button.parentElement.children].some((part) => part !== button && part.checkVisibility())
  : button.closest(".toggle-hidden") !== null;
const buttons = new Set(document.querySelectorAll("article button.toggle-button, article summary"));
const pressed = new Set();
for (let count = -1; count < pressed.size; ) {
  count = pressed.size;
  for (const button of buttons) {
    if (pressed.has(button) || !button.checkVisibility() || !isShut(button)) continue;
    button.click();
    pressed.add(button);
  }
  await new Promise((done) => setTimeout(done, 100));
}
return [...buttons].filter(isShut).map((button) => button.parentElement.textContent.slice(0, 60))"""
# What a live figure shows: its drawn parts, its values and its words.
SHOWN = """
const figure = document.querySelectorAll(".gl-live")[arguments[0]];
const drawn = [...figure.querySelectorAll("[data-frame]")].filter((part) => part.getBoundingClientRect().width > 0);
return [
  drawn.map((part) => part.dataset.frame),
  [...figure.querySelectorAll("output")].map((value) => value.textContent),
  figure.querySelector("svg").getAttribute("aria-label"),
]"""
FRAMES_ARE_THERE = """
const figure = document.querySelectorAll(".gl-live")[arguments[0]];
figure.scrollIntoView({ block: "center", behavior: "instant" });
while (figure.dataset.frames) await new Promise((done) => setTimeout(done, 20));"""
FOCUS = """
const slider = document.querySelectorAll(".gl-live")[arguments[0]].querySelectorAll("input")[arguments[1]];
slider.focus();
return [slider.value, slider.max]"""
HOME, RIGHT = "\ue011", "\ue014"  # as WebDriver writes these keys
# The width of each letter in the face, in thousandths of its size.
WIDTHS = """
const pen = document.createElement("canvas").getContext("2d");
pen.font = `1000px "${arguments[0]}"`;
return [...arguments[1]].map((letter) => pen.measureText(letter).width)"""


class Opened(NamedTuple):
    """An engine with a page in it."""

    name: str
    engine: Engine


@pytest.fixture(scope="module")
def address(built_book):
    with serve(built_book) as address:
        yield address


@pytest.fixture(scope="module", params=some_of([f"{name}.html" for name in files()], 3))
def opened(engine, address, request) -> Opened:
    """Each page in turn, with all its folds open: pytest runs all tests of one page before it opens the next."""
    engine.open(f"{address}/{request.param}")
    return Opened(request.param, engine)


@pytest.mark.sampled
def test_folds_open(opened):
    assert opened.engine.run(OPEN_FOLDS) == []


@pytest.mark.sampled
def test_every_formula_is_laid_out(opened, built_book):
    """After the folds are open. None has no size, none sticks out of its place, none covers what stands beside it."""
    number, faults = opened.engine.run(FAULTS)
    assert number == len(
        parse(built_book / opened.name).select("article math:not([hidden] *)")
    )  # not those of tooltips
    assert faults == []


@pytest.mark.sampled
def test_sliders_move(opened):
    for figure in range(opened.engine.run("return document.querySelectorAll('.gl-live').length")):
        opened.engine.run(FRAMES_ARE_THERE, figure)
        before = opened.engine.run(SHOWN, figure)
        for slider in range(len(before[1])):
            opened.engine.run(FOCUS, figure, slider)
            opened.engine.press(HOME)
            first = opened.engine.run(SHOWN, figure)
            opened.engine.press(RIGHT)
            second = opened.engine.run(SHOWN, figure)
            assert [one != other for one, other in zip(first, second, strict=True)] == [True, True, True]
            assert first[0] != []
            assert second[0] != []


@pytest.mark.sampled
def test_scripts_have_no_errors(opened):
    """Last, when all has been pressed."""
    assert opened.engine.run("return window.collectedErrors") == []


# --- the tests would find it


FAULTY = """<!doctype html><html><head><meta charset="utf-8"></head><body><article style="line-height: 1.5">
<p>Fine: <math><mi>a</mi><mo>+</mo><mi>b</mi></math> and <math><msqrt><mi>x</mi></msqrt></math>.</p>
<p><math id="flat"><mi style="font-size: 0">a</mi></math></p>
<p>A word <math id="over" style="margin-left: -20px"><mi>abc</mi></math></p>
<p><math id="inner"><mi>aaaa</mi><mi style="margin-left: -25px">bbbb</mi></math></p>
<p><math id="error"><merror><mtext>oh</mtext></merror></math></p>
</article><script src="gone.js"></script><script>nonsense()</script></body></html>"""


def test_faults_are_found(engine, tmp_path):
    (tmp_path / "faulty.html").write_text(FAULTY, encoding="utf8")
    with serve(tmp_path) as address:
        engine.open(f"{address}/faulty.html")
        _, faults = engine.run(FAULTS)
        errors = engine.run("return window.collectedErrors")
    assert {tex for tex, _ in faults} == {"a", "abc", "aaaabbbb", "oh"}
    assert len(errors) == 2


# --- the letters


def drawn_letters(page: Path) -> set[str]:
    """The letters of the formulas of a page as an engine draws them: single ones in an <mi> are italic."""
    letters = set()
    for token in parse(page).select("math :is(mi, mn, mo, mtext)"):
        text = token.get_text()
        letters |= set(text if token.name != "mi" or len(text) > 1 or token.get("mathvariant") else italic(text))
    return letters


def italic(letter: str) -> str:
    """The mathematical italic of a Latin letter; others stand for themselves."""
    if letter == "h":
        return "ℎ"
    if letter.isascii() and letter.isalpha():
        return chr(0x1D434 + ord(letter) - ord("A") if letter.isupper() else 0x1D44E + ord(letter) - ord("a"))
    return letter


@pytest.mark.slow
def test_no_letter_of_a_formula_is_missing(engine, address, built_book):
    """In the letters of the mathematical font each has the width that the font gives it, in others hardly all have."""
    face = fonts.FACES["maths"]
    with resources.as_file(resources.files(face.package) / face.path) as path:
        font = TTFont(path)
    glyphs, advances, scale = font.getBestCmap(), font["hmtx"], 1000 / font["head"].unitsPerEm
    used = set().union(*(drawn_letters(built_book / f"{name}.html") for name in files()))
    # Not those that are drawn by nobody, and primes, whose form for scripts the font of the pages has instead.
    used = {one for one in used if unicodedata.category(one) not in ("Cf", "Mn", "Zs")} - set(fonts.PRIMES)
    letters = "".join(sorted(used))
    assert len(letters) > 100
    assert [letter for letter in letters if ord(letter) not in glyphs] == []
    engine.open(f"{address}/book/06-optimal-covariance.html")
    drawn = engine.run(WIDTHS, fonts.MATHS, letters)
    expected = [advances[glyphs[ord(letter)]][0] * scale for letter in letters]
    differ = zip(letters, drawn, expected, strict=True)
    assert [letter for letter, one, other in differ if abs(one - other) > 2] == []
