"""Colours stand in gradelib.figures.PALETTE; files that cannot read it repeat its values and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradelib.figures import PALETTE

ROOT = Path(__file__).parents[2]
COLOUR = re.compile(r"(?:#|\{HTML\}\{)([0-9a-f]{6})\b")
LIGHT, DARK = ({pair[mode].removeprefix("#") for pair in PALETTE.values()} for mode in (0, 1))
OTHERS = {
    "book/_static/book.css": {"93a4ff"},  # links in dark mode: `full` is too dark for text there
    "book/extensions/pdf/pdf.sty": {"f6f8fa"},  # the ground of boxes and code
}
FILES = ["book/_static/logo.svg", "book/_static/favicon.svg", "book/_static/card.svg", *OTHERS]


def foreign_colours(name: str, text: str) -> set[str]:
    """The colours of a text that are neither in the palette nor in OTHERS."""
    return set(COLOUR.findall(text)) - LIGHT - DARK - OTHERS.get(name, set())


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_colours_of_the_palette(name):
    text = (ROOT / name).read_text(encoding="utf8")
    assert len(COLOUR.findall(text)) >= 3
    assert foreign_colours(name, text) == set()


def test_another_colour_is_found():
    assert foreign_colours("logo.svg", 'stroke="#2258dd" fill="#2258dc"') == {"2258dd"}
    assert foreign_colours("pdf.sty", "TitleColor={HTML}{1f2329}") == {"1f2329"}


def test_logo_and_favicon_are_the_same_drawing():
    logo, favicon = (ROOT / "book" / "_static" / f"{name}.svg" for name in ("logo", "favicon"))
    assert logo.read_bytes() == favicon.read_bytes()
