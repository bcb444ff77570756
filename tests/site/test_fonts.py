"""The fonts: the letters of the pages are in them, and the browser sets the text and the formulas in them."""

from __future__ import annotations

import base64
import re
from copy import copy
from importlib import resources
from io import BytesIO

import pytest
from fontTools.ttLib import TTFont

from benchmarks.page_audit import parse
from book.extensions.page import fonts
from book.extensions.page.style_sheet import STYLE_SHEET

LIMIT = 40_000  # bytes of a face


def faces(sheet: str) -> dict[str, tuple[TTFont, int]]:
    """Each face in a style sheet, and its size in bytes."""
    data = map(base64.b64decode, re.findall(r"font/woff2;base64,([^)]+)", sheet))
    return {name: (TTFont(BytesIO(one)), len(one)) for name, one in zip(fonts.FACES, data, strict=True)}


@pytest.fixture(scope="module")
def built(built_book) -> dict[str, tuple[TTFont, int]]:
    return faces((built_book / "_static" / STYLE_SHEET).read_text(encoding="utf8"))


@pytest.mark.parametrize("name", fonts.FACES)
def test_the_letters_of_the_pages_are_there(built_book, built, name):
    face, (font, size) = fonts.FACES[name], built[name]
    article = copy(parse(built_book / "book" / "06-optimal-covariance.html").article)
    text = "".join(tag.get_text() for tag in article.select("math"))
    if face.family == fonts.TEXT:
        for formula in article.select("math"):
            formula.decompose()
        text = article.get_text()
    with resources.as_file(resources.files(face.package) / face.path) as source:
        known = set(TTFont(source).getBestCmap())
    assert {ord(letter) for letter in text} & known <= set(font.getBestCmap())
    assert size < LIMIT


def test_mathematical_italics_are_there(built):
    """A browser turns single letters into them, so no page has them in its text."""
    letters = set(built["maths"][0].getBestCmap())
    assert set(map(ord, fonts.MATHS_ITALICS)) - letters <= {0x1D455}  # reserved; the letter is ℎ


def test_a_root_has_its_sign_and_larger_ones(built):
    """No text of a page has the sign of an <msqrt>; the font keeps the larger ones in its table for mathematics."""
    font = built["maths"][0]
    sign = font.getBestCmap()[ord(fonts.RADICAL)]
    variants = font["MATH"].table.MathVariants
    construction = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(sign)]
    assert construction.VariantCount > 2


def test_primes_have_the_form_for_scripts(built):
    """The usual form hangs as high as a raised one: raised once more it would be lost above the letter."""
    font = built["maths"][0]
    assert font["glyf"][font.getBestCmap()[ord("′")]].yMin < 0.2 * font["head"].unitsPerEm


def test_the_licence_of_the_text_font_is_there(built_book):
    text = (built_book / "_static" / fonts.FONT_LICENCE).read_text(encoding="utf8")
    assert "SIL OPEN FONT LICENSE" in text


def test_the_fonts_are_made_again_only_for_other_letters(tmp_path):
    rules = fonts.font_faces(tmp_path, "<p>ab <math><mi>x</mi></math></p>")
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    assert fonts.font_faces(tmp_path, "<p>ba <math><mi>x</mi></math></p>") == rules
    assert kept.stat().st_mtime_ns == before
    other = fonts.font_faces(tmp_path, "<p>abq <math><mi>x</mi></math></p>")
    assert ord("q") in faces(other)["text"][0].getBestCmap()


# --- in the browser


@pytest.mark.parametrize(("tag", "style"), [("li", "normal 400"), ("em", "italic 400"), ("strong", "normal 700")])
def test_the_text_is_set_in_these_letters(built_book, browser, tag, style):
    browser.emulate()
    browser.open(built_book / "book" / "06-optimal-covariance.html")
    font = f"getComputedStyle(document.querySelector('article {tag}'))"
    family, *rest = browser.run(f"const s = {font}; return [s.fontFamily, s.fontStyle, s.fontWeight]")
    assert family.startswith('"Source Serif Pro"')
    assert " ".join(rest) == style
    loaded = browser.run("return [...document.fonts].map((f) => [f.status, f.family, f.style, f.weight].join(' '))")
    assert f"loaded Source Serif Pro {style}" in [font.replace('"', "") for font in loaded]


def test_formulas_are_set_in_the_maths_font(built_book, browser):
    browser.emulate()
    browser.open(built_book / "book" / "06-optimal-covariance.html")
    family = browser.run("return getComputedStyle(document.querySelector('math mi')).fontFamily")
    assert family.startswith('"STIX Two Math"')
    loaded = browser.run("return [...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)")
    assert any("STIX Two Math" in family for family in loaded)
