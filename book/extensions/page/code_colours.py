"""Code in fewer parts: Pygments puts each name, bracket and space in a span of its own, most of which look alike.

Sphinx lets nobody choose Pygments' formatter, so this takes the spans out of the finished text: those with the colour
of plain code, and those with the colour of the one before. Operators count as plain: the theme gives them the colour of
strings, and they are half of all spans.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from docutils import nodes
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES, Token
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata

STYLES = ("a11y-high-contrast-light", "a11y-high-contrast-dark")  # the theme's, in either mode
PLAIN = {"", "o"}  # what has no class, and operators
SPAN = re.compile(r'<span(?: class="(\w+)")?>([^<]*)</span>')
SAME_TWICE = re.compile(r'<span class="(\w+)">([^<]*)</span><span class="\1">([^<]*)</span>')
BLOCK = re.compile(r'(<div class="highlight"><pre>)(.*?)(</pre>)', re.DOTALL)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("html-page-context", join_spans)
    return metadata()


def join_spans(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Let a page mark in its code only where the colour changes."""
    if "body" in context:
        context["body"] = BLOCK.sub(lambda block: block[1] + in_fewer_spans(block[2]) + block[3], context["body"])


def in_fewer_spans(code: str) -> str:
    """Highlighted code with the same letters in the same colours, operators aside."""
    coloured = SPAN.sub(_coloured, code)
    while (joined := SAME_TWICE.sub(r'<span class="\1">\2\3</span>', coloured)) != coloured:
        coloured = joined
    return coloured


def _coloured(span: re.Match[str]) -> str:
    name = representatives().get(span[1] or "", span[1])
    return span[2] if name in PLAIN else f'<span class="{name}">{span[2]}</span>'


@cache
def representatives() -> dict[str, str]:
    """For the class of each kind of token the first one that has the same colours in both styles; "" for plain code."""
    styles = [get_style_by_name(name) for name in STYLES]
    first: dict[str, str] = {str([style.style_for_token(Token.Name) for style in styles]): ""}
    looks = {name: str([style.style_for_token(kind) for style in styles]) for kind, name in STANDARD_TYPES.items()}
    return {name: "o" if name == "o" else first.setdefault(look, name) for name, look in looks.items()}
