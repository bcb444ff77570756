"""One style sheet for all pages, so that a browser waits for one file before it paints, not for thirteen.

It holds the sheets of the theme and of every extension in the order in which a page would name them, without the rules
that nothing uses (`pruning.py`), and the fonts (`fonts.py`). A further sheet needs no more than what Sphinx always
asks for: `html_css_files` in `_config.yml`, or `app.add_css_file` in an extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, cast

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata

STYLE_SHEET = "style.css"
THEME_SHEETS = ("styles/theme.css", "styles/pydata-sphinx-theme.css")  # its template names these in the head itself
IMPORT = re.compile(r"""@import\s+(?:url\()?["']([^"']+)["']\)?\s*;""")
CHARSET = re.compile(r"@charset[^;]*;")
# What another sheet or an image is called, as opposed to data, a part of an SVG drawing, or another host.
LOCAL_URL = re.compile(r"""url\(\s*(["']?)(?![a-z]+:|[#/])([^"')]+)\1\s*\)""")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("html-page-context", name_one_sheet, priority=900)  # after all who add a sheet
    return metadata()


def name_one_sheet(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let the head of a page name this sheet alone; the theme's own links are left out by `webpack-macros.html`."""
    context["css_files"] = [f"_static/{STYLE_SHEET}"]


def registered_sheets(app: Sphinx) -> list[str]:
    """The sheets that a page would name, in their order, as paths in the folder of static files."""
    files = sorted(cast(StandaloneHTMLBuilder, app.builder).globalcontext["css_files"], key=lambda file: file.priority)
    return list(dict.fromkeys([*THEME_SHEETS, *(str(file.filename).removeprefix("_static/") for file in files)]))


def joined(static: Path, sheets: list[str]) -> str:
    """The text of the sheets, with what they import, and with paths as seen from the folder of static files."""
    return "\n".join(text for sheet in sheets for text in _texts(static, sheet))


def _texts(static: Path, sheet: str) -> Iterator[str]:
    text = CHARSET.sub("", (static / sheet).read_text(encoding="utf-8"))
    for imported in IMPORT.findall(text):
        yield from _texts(static, normpath(join(dirname(sheet), imported)))
    yield LOCAL_URL.sub(lambda url: f"url({normpath(join(dirname(sheet), url[2]))})", IMPORT.sub("", text))
