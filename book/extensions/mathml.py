"""Formulas as MathML Core, written when the book is built: a Sphinx math renderer on `math-core`.

A browser lays MathML out by itself, so a page needs no script to show a formula, and nothing moves once it is there.
Each formula carries its TeX in an attribute, for the clipboard and for whoever reads the source of a page. MathML's own
way, an annotation, weighs four times as much: a fifth of all formulas.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape, unescape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from book.extensions import metadata

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata
    from sphinx.writers.html5 import HTML5Translator

LOGGER = logging.getLogger(__name__)
# Environments that TeX allows outside of a formula only, or that MathML has no word for, and what says the same inside.
ENVIRONMENTS = {"split": "aligned", "align": "aligned", "gather": "gathered", "alignat": "alignedat"}
ENVIRONMENT = re.compile(r"\\(begin|end)\{(" + "|".join(ENVIRONMENTS) + r")\*?\}")

# A formula in a span of its own, and what may follow it.
IN_SPAN = re.compile(r'<span class="math">(<math\b(?:(?!</math>).)*</math>)</span>([.,;:!?)’”]*)', re.DOTALL)
# The style sheet hides it from a browser that knows MathML, and from the others all of a formula but its TeX.
NO_MATHML = '<div class="gl-no-mathml">This browser has no MathML, so formulas are shown as TeX.</div>\n'


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the renderer; `_config.yml` chooses it by `html_math_renderer: mathml`."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.add_js_file("math.js", loading_method="defer")
    app.connect("html-page-context", keep_punctuation)
    app.connect("html-page-context", say_where_mathml_lacks)
    return metadata()


def keep_punctuation(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let no line begin with the comma after a formula: a browser may break a line on either side of one.

    In the formula's span the style sheet breaks no line. Where nothing follows, the formula needs no span.
    """
    if "body" in context:
        context["body"] = IN_SPAN.sub(_with_punctuation, context["body"])


def _with_punctuation(match: re.Match[str]) -> str:
    formula, marks = match.groups()
    return f'<span class="math">{formula}{marks}</span>' if marks else formula


def say_where_mathml_lacks(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Begin a page that has formulas with a line that is seen where the browser shows their TeX instead of them."""
    if "<math" in (body := context.get("body", "")):
        context["body"] = NO_MATHML + body


CONVERTER = LatexToMathML(fancy_error=False)


@cache
def to_mathml(tex: str, *, display: bool = False, annotated: bool = True) -> str:
    """The `<math>` element of a formula, with its TeX as the attribute `data-tex` unless told otherwise.

    Raises math_core.LatexError for what it cannot read.
    """
    formula = CONVERTER.convert_with_local_state(tex, displaystyle=display)
    return formula.replace("<math", f'<math data-tex="{escape(tex)}"', 1) if annotated else formula


def text_width(tex: str) -> int:
    """About how many characters wide a formula is: each sign that it shows counts one."""
    shown = unescape(re.sub(r"<[^>]*>", "", to_mathml(tex, annotated=False)))
    return len(re.sub("[\u2061-\u2064]", "", shown))  # without the invisible operators


def prepare(node: nodes.math_block) -> str:
    """The TeX of a displayed formula in one environment; blank lines part rows, as Sphinx's own renderers have it."""
    rows = [part.strip() for part in node.astext().split("\n\n") if part.strip()]
    tex = rows[0] if len(rows) == 1 else r" \\ ".join(rows)
    named = ENVIRONMENT.sub(lambda match: rf"\{match[1]}{{{ENVIRONMENTS[match[2]]}}}", tex)
    alone = named == tex and not node.get("nowrap") and (len(rows) > 1 or _breaks_lines(tex))
    return rf"\begin{{aligned}}{named}\end{{aligned}}" if alone else named


def _breaks_lines(tex: str) -> bool:
    r"""Whether a `\\` stands outside of every environment."""
    while (outer := re.sub(r"\\begin\{(\w+\*?)\}(?:(?!\\begin\{).)*?\\end\{\1\}", "", tex, flags=re.DOTALL)) != tex:
        tex = outer
    return r"\\" in tex


def _converted(node: nodes.Node, tex: str, *, display: bool) -> str:
    try:
        return to_mathml(tex, display=display)
    except LatexError as error:  # a warning, and with that the end of a strict build
        LOGGER.warning("this formula has no MathML: %s; %s", error, tex, location=node, type="mathml")
        return f"<code>{escape(tex)}</code>"


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in the text."""
    self.body.append(self.starttag(node, "span", "", CLASS="math"))
    self.body.append(_converted(node, node.astext(), display=False) + "</span>")
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula, its number and the link to it."""
    self.body.append(self.starttag(node, "div", "", CLASS="math"))
    # A formula that is too wide scrolls in a box of its own, so that its number stays in sight.
    self.body.append(f'<div class="gl-formula">{_converted(node, prepare(node), display=True)}</div>')
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode
