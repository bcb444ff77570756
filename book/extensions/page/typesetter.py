"""The size of formulas before a page is written, for layout_shift.py: MathJax computes it in a JavaScript engine.

MathJax sets its letters so large that their x-height is that of the text around them. Sizes are therefore given in that
x-height, which a style sheet calls `ex`, and hold for every font and every size of text.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from py_mini_racer import JSEvalException, MiniRacer

X_HEIGHT = 0.442  # of MathJax's letters, in em of their own size
MATHJAX = Path(
    str(metadata.distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax"))
)
# The components of `tex-chtml.js`, which the pages load, without menu and speech, and with the packages it would fetch.
COMPONENTS = ("startup", "core", "adaptors/liteDOM", "input/tex-full", "output/chtml", "output/chtml/fonts/tex")
CONFIGURATION = "var MathJax = { loader: { load: [] }, startup: { typeset: false, ready() {} } };"
MEASURE = """
MathJax.startup.defaultReady();

const size = (tex, display) => {
  const page = MathJax.startup.document;
  const { outputJax } = page;
  const formula = new page.options.MathItem(tex, page.inputJax[0], display);
  formula.setMetrics(16, 8, 1e6, 1e6, 1);
  formula.compile(page);
  outputJax.setDocument(page);
  outputJax.math = formula;
  outputJax.nodeMap = new Map();
  formula.root.setTeXclass(null);
  const { w, h, d } = outputJax.factory.wrap(formula.root).getOuterBBox();
  return JSON.stringify([w, h, d]);
};
0;
"""


class Size(NamedTuple):
    """Width, height above the line of the text and depth below it, in x-heights of the text."""

    width: float
    height: float
    depth: float


@cache
def _mathjax() -> MiniRacer:
    engine = MiniRacer()
    engine.eval(CONFIGURATION)
    for component in COMPONENTS:
        engine.eval((MATHJAX / f"{component}.js").read_text(encoding="utf-8") + "\n0")
    engine.eval(MEASURE)
    return engine


@cache
def size(tex: str, *, display: bool = False) -> Size | None:
    """How large MathJax will set a formula; None if MathJax cannot read it."""
    try:
        width, height, depth = json.loads(str(_mathjax().eval(f"size({json.dumps(tex)}, {json.dumps(display)})")))
    except JSEvalException:
        return None
    return Size(width / X_HEIGHT, height / X_HEIGHT, depth / X_HEIGHT)
