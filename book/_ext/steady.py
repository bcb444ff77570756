"""A page that shows early and then stands still: scripts that wait, and room for formulas before they are set."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# The lines of a script in the page itself run at once, and they set an option of this one.
AT_ONCE = "documentation_options.js"
SCRIPT = re.compile(r'<script (?![^>]*\bdefer\b)(?=[^>]*\bsrc=")(?![^>]*' + re.escape(AT_ONCE) + ")")

INLINE = re.compile(r'<span class="math notranslate nohighlight">\\\((.*?)\\\)', re.DOTALL)
# What takes no room of its own: names of fonts and fences.
SILENT = re.compile(r"\\(?:left|right|[bB]igg?[lr]?|operatorname|math\w+|text\w*|widehat|widetilde|hat|bar|tilde)\b")
SIGN = re.compile(r"\\[A-Za-z]+|\\.|[^\s{}_^&\\]")
# With the spaces around them these take more room than a letter.
WIDE = re.compile(r"[=<>+-]|\\(?:le|ge|approx|sim|to|in|times|neq|propto|mapsto|succeq)")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", set_formulas_in_steps)
    app.connect("html-page-context", reserve_room)
    app.connect("build-finished", let_scripts_wait)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def set_formulas_in_steps(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Where MathJax comes to a page, tell it before it starts to set a few formulas at a time."""
    if app.env.get_domain("math").has_equations(name):
        app.add_js_file("formulas.js", loading_method="defer", priority=400)


def width(tex: str) -> float:
    """About how wide a formula in the text will be, in em; right to a letter or two for those of this book."""
    signs = SIGN.findall(SILENT.sub("", tex))
    return round(0.53 * len(signs) + 0.9 * sum(WIDE.fullmatch(sign) is not None for sign in signs), 1)


def reserve_room(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Tell the style sheet how wide each formula in the text will be, so that no line breaks anew once it is set."""

    def with_room(formula: re.Match[str]) -> str:
        return formula[0].replace(">", f' style="--gl-room: {width(unescape(formula[1]))}em">', 1)

    if "body" in context:
        context["body"] = INLINE.sub(with_room, context["body"])


def let_scripts_wait(app: Sphinx, error: Exception | None) -> None:
    """Let the theme's scripts wait for the text; they keep their order."""
    if error is None:
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            if (waiting := SCRIPT.sub("<script defer ", text)) != text:
                page.write_text(waiting, encoding="utf-8")
