"""No layout shift (CLS) when MathJax sets the formulas: the style sheet reserves the room that each will take."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata
from book.extensions.page import typesetter

# In the HTML, round brackets hold inline formulas, square ones displayed formulas, after their number if they have one.
FORMULA = re.compile(
    r'<(?:span|div) class="[^"]*\bmath notranslate[^>]*(?=>\s*(?:<span class="eqno">.*?</span>)?\\([(\[])(.*?)\\[)\]])',
    re.DOTALL,
)
# Height and depth, in x-heights, for which a line of text has room anyway.
LINE_HEIGHT, LINE_DEPTH = 1.8, 0.57


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("html-page-context", add_mathjax_scheduler)
    app.connect("html-page-context", reserve_formula_sizes)
    return metadata()


def add_mathjax_scheduler(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """On pages with MathJax, load the script that makes it typeset a few formulas at a time."""
    if app.env.get_domain("math").has_equations(name):  # type: ignore[attr-defined]
        app.add_js_file("mathjax-scheduler.js", loading_method="defer", priority=400)


def size_properties(bracket: str, tex: str) -> str:
    """The CSS properties with the size of a formula; empty where the defaults of the style sheet will do."""
    size = typesetter.size(tex, display=bracket == "[")
    if size is None:
        return ""
    tall = {"--gl-h": size.height + size.depth, "--gl-d": size.depth}
    if bracket == "[":
        properties = {"--gl-h": tall["--gl-h"]}
    else:
        fits_line = size.height <= LINE_HEIGHT and size.depth <= LINE_DEPTH
        properties = {"--gl-w": size.width} | ({} if fits_line else tall)
    return ";".join(f"{name}:{value:.2f}" for name, value in properties.items())


def reserve_formula_sizes(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the size of each formula into its tag, for the style sheet to reserve until the formula is set."""

    def with_size(formula: re.Match[str]) -> str:
        properties = size_properties(formula[1], unescape(formula[2]))
        return f'{formula[0]} style="{properties}"' if properties else formula[0]

    if "body" in context:
        context["body"] = FORMULA.sub(with_size, context["body"])
