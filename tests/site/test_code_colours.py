"""Code in fewer spans: every letter keeps its colour, in light and dark mode, but for operators, which have none."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup, NavigableString
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES, Token

from benchmarks.page_audit import html_pages, parse
from book.extensions.page import code_colours

SOURCE = """import a.b  # 3 < 4

@a.b
def f(x: int) -> str:
    return f"{x:.3f} {'y'}\\n" if x in (1, 2.5) else None
"""
TOKENS = {name: kind for kind, name in STANDARD_TYPES.items()}


def letters(code: str, mode: str) -> list[tuple[str, str]]:
    """Each letter of highlighted code with its look in a mode."""
    style = get_style_by_name(f"a11y-high-contrast-{mode}")
    found = []
    for text in BeautifulSoup(f"<pre>{code}</pre>", "html.parser").find_all(string=True):
        assert isinstance(text, NavigableString)
        name = (text.parent.get("class") or [""])[0] if text.parent.name == "span" else ""
        kind = Token.Text if name in ("", "o") else TOKENS[name]
        found += [(letter, str(style.style_for_token(kind))) for letter in text]
    return found


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_letter_keeps_its_colour(mode):
    code = highlight(SOURCE, PythonLexer(), HtmlFormatter(nowrap=True))
    fewer = code_colours.in_fewer_spans(code)
    assert letters(fewer, mode) == letters(code, mode)
    assert fewer.count("<span") < 0.4 * code.count("<span")


def test_the_theme_is_the_one_whose_colours_are_compared(built_book):
    styles = (built_book / "_static" / "style.css").read_text(encoding="utf8")
    for mode, style in zip(("light", "dark"), code_colours.STYLES, strict=True):
        colour = get_style_by_name(style).style_for_token(Token.Keyword)["color"]
        assert f'html[data-theme="{mode}"] .highlight .k{{color: #{colour.upper()}'.lower() in styles.lower()


@pytest.mark.slow
def test_pages_have_no_span_without_need(built_book):
    for page in html_pages(built_book):
        spans = parse(page).select("div.highlight pre > span")
        names = [" ".join(span.get("class", [])) for span in spans]
        assert not {"", "n", "p", "o", "w"} & set(names), page.name
        assert [
            name
            for span, name in zip(spans, names, strict=True)
            if (after := span.next_sibling) is not None and after.name == "span" and " ".join(after["class"]) == name
        ] == [], page.name
