"""The fonts: the letters of the pages are in them, and the browser sets the text and the formulas in them."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from fontTools.ttLib import TTFont

from benchmarks.page_audit import parse
from book.extensions.page import fonts

LIMIT = 100_000  # bytes of a face


@pytest.mark.parametrize("name", fonts.FACES)
def test_the_letters_of_the_pages_are_there(built_book, name):
    face = fonts.FACES[name]
    path = built_book / "_static/fonts" / f"{name}.woff2"
    article = parse(built_book / "book" / "06-optimal-covariance.html").article
    for annotation in article.select("annotation" if face.family == fonts.MATHS else "math"):
        annotation.decompose()
    text = "".join(tag.get_text() for tag in (article.select("math") if face.family == fonts.MATHS else [article]))
    with resources.as_file(resources.files(face.package) / face.path) as source:
        known = set(TTFont(source).getBestCmap())
    assert {ord(letter) for letter in text} & known <= set(TTFont(path).getBestCmap())
    assert path.stat().st_size < LIMIT


def test_mathematical_italics_are_there(built_book):
    """A browser turns single letters into them, so no page has them in its text."""
    letters = set(TTFont(built_book / "_static/fonts/maths.woff2").getBestCmap())
    assert set(map(ord, fonts.MATHS_ITALICS)) - letters <= {0x1D455}  # reserved; the letter is ℎ


def test_primes_have_the_form_for_scripts(built_book):
    """The usual form hangs as high as a raised one: raised once more it would be lost above the letter."""
    font = TTFont(built_book / "_static/fonts/maths.woff2")
    glyphs, names = font["glyf"], font.getBestCmap()
    assert glyphs[names[ord("′")]].yMin < 0.2 * font["head"].unitsPerEm


def test_the_licence_of_the_text_font_is_there(built_book):
    text = (built_book / "_static/fonts/SourceSerifPro-LICENSE.txt").read_text(encoding="utf8")
    assert "SIL OPEN FONT LICENSE" in text


def test_a_face_with_the_same_letters_is_not_made_again(tmp_path):
    fonts.write_fonts(tmp_path, "<p>ab <math><mi>x</mi></math></p>")
    file = tmp_path / "fonts/text.woff2"
    before = file.stat().st_mtime_ns
    fonts.write_fonts(tmp_path, "<p>ba <math><mi>y</mi></math></p>")
    assert file.stat().st_mtime_ns == before
    fonts.write_fonts(tmp_path, "<p>abq</p>")
    assert ord("q") in TTFont(file).getBestCmap()


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


def test_each_face_is_preloaded_and_used(built_book):
    """A file that is preloaded under another address than that of the style sheet would be fetched twice."""
    page = parse(built_book / "book" / "06-optimal-covariance.html")
    preloaded = {tag["href"].split("_static/")[1] for tag in page.select("link[rel=preload][as=font]")}
    sheet = (built_book / "_static" / fonts.FONT_SHEET).read_text(encoding="utf8")
    assert preloaded == set(re.findall(r'url\("([^"]+)"\)', sheet)) != set()
