"""A page that shows early and then stands still: scripts that wait, and room for formulas before they are set."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from book.extensions.page import typesetter

# The lines of a script in the page itself run at once, and they set an option of this one.
AT_ONCE = "documentation_options.js"
SCRIPT = re.compile(r'<script (?![^>]*\bdefer\b)(?=[^>]*\bsrc=")(?![^>]*' + re.escape(AT_ONCE) + ")")

# Formulas stand in the text in round brackets, displayed ones in square ones, after their number if they have one.
FORMULA = re.compile(
    r'<(?:span|div) class="[^"]*\bmath notranslate[^>]*(?=>\s*(?:<span class="eqno">.*?</span>)?\\([(\[])(.*?)\\[)\]])',
    re.DOTALL,
)
# In x-heights: what of a formula in the text the line has room for anyway.
ABOVE, BELOW = 1.8, 0.57


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


def room(bracket: str, tex: str) -> str:
    """What the style sheet has to know of a formula, as properties; nothing where its own measures will do."""
    size = typesetter.size(tex, display=bracket == "[")
    if size is None:
        return ""
    tall = {"--gl-h": size.height + size.depth, "--gl-d": size.depth}
    if bracket == "[":
        room = {"--gl-h": tall["--gl-h"]}
    else:
        room = {"--gl-w": size.width} | (tall if size.height > ABOVE or size.depth > BELOW else {})
    return ";".join(f"{name}:{value:.2f}" for name, value in room.items())


def reserve_room(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Tell the style sheet how large each formula will be, so that nothing moves once it is set."""

    def with_room(formula: re.Match[str]) -> str:
        measures = room(formula[1], unescape(formula[2]))
        return f'{formula[0]} style="{measures}"' if measures else formula[0]

    if "body" in context:
        context["body"] = FORMULA.sub(with_room, context["body"])


def let_scripts_wait(app: Sphinx, error: Exception | None) -> None:
    """Let the theme's scripts wait for the text; they keep their order."""
    if error is None:
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            if (waiting := SCRIPT.sub("<script defer ", text)) != text:
                page.write_text(waiting, encoding="utf-8")
