"""The one style sheet: it holds what is registered, in the order of the head, and pages ask for nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.page_audit import html_pages, parse
from book.extensions.page import style_sheet


def write(static, **sheets):
    for name, text in sheets.items():
        path = static / f"{name.replace('__', '/')}.css"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_sheets_follow_in_their_order_with_what_they_import(tmp_path):
    write(tmp_path, base="a{}", styles__one='@charset "UTF-8";@import "../base.css";b{}', two="c{}")
    assert style_sheet.joined(tmp_path, ["two.css", "styles/one.css"]).split() == ["c{}", "a{}", "b{}"]


@pytest.mark.parametrize(
    ("url", "after"),
    [
        ("url(../icons/a.svg)", "url(icons/a.svg)"),
        ("url( 'a.svg' )", "url(styles/a.svg)"),
        ('url("data:image/svg+xml,%3Csvg")',) * 2,
        ("url(#mark)",) * 2,
        ("url(https://example.org/a.svg)",) * 2,
    ],
)
def test_paths_lead_to_the_same_files(tmp_path, url, after):
    write(tmp_path, styles__one=f"a{{b:{url}}}")
    assert style_sheet.joined(tmp_path, ["styles/one.css"]) == f"a{{b:{after}}}"


def test_a_sheet_needs_only_to_be_registered():
    files = [
        SimpleNamespace(filename=f"_static/{name}.css", priority=level) for name, level in (("b", 500), ("a", 200))
    ]
    app = SimpleNamespace(builder=SimpleNamespace(globalcontext={"css_files": files}))
    assert style_sheet.registered_sheets(app) == [*style_sheet.THEME_SHEETS, "a.css", "b.css"]


def test_a_page_waits_for_one_file(built_book):
    """Only a style sheet in the head, or a script that is not deferred, holds back the first paint."""
    for page in html_pages(built_book):
        if page.parent != built_book or page.name != "index.html":  # this one leads on and shows nothing
            sheets = parse(page).select('link[rel="stylesheet"]')
            assert [sheet["href"].rpartition("/")[2] for sheet in sheets] == [style_sheet.STYLE_SHEET], page.name


def test_the_sheet_holds_the_book_and_its_extensions(built_book):
    text = (built_book / "_static" / style_sheet.STYLE_SHEET).read_text(encoding="utf8")
    for name in (".bd-article", ".highlight", "button.copybtn", ".toggle-button", ".gl-live", "@font-face"):
        assert name in text
    assert [path.name for path in (built_book / "_static").rglob("*.css")] == [style_sheet.STYLE_SHEET]
