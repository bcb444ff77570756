"""No layout shift: the size that MathJax computes in the build is the one that it gives formulas in the browser."""

from __future__ import annotations

import json

import pytest

from benchmarks.browser import Browser
from book.extensions.page import layout_shift, typesetter

FORMULAS = [
    "h",
    r"q(z\mid x) = \mathcal N(h, \Sigma)",
    r"\tfrac12\left(\operatorname{tr}\Sigma + \lVert h\rVert^2\right)",
    r"\sum_{i\le k}\sqrt{\lambda_i/\beta}",
    r"\boldsymbol J",  # of a package that a page loads when it is first used
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}",
]
CHTML = typesetter.MATHJAX / "tex-chtml.js"
PAGE = """<!doctype html><meta charset="utf-8"><style>body {{ font: {size}px {font} }}</style>
<script>var MathJax = {{ chtml: {{ adaptiveCSS: false }} }}</script><script src="{script}"></script>
<span style="display: inline-block; height: 1ex"></span><p>\\(a\\)</p>"""
# Width, height and depth in pixels, and the x-height of the text.
MEASURE = r"""
const done = arguments[0], place = document.querySelector("p"), line = document.createElement("span");
place.textContent = TEX;
MathJax.typesetPromise([place]).then(() => {
  const formula = place.querySelector("mjx-math");
  line.style = "display: inline-block";
  formula.append(line);
  const box = formula.getBoundingClientRect(), baseline = line.getBoundingClientRect().bottom;
  const { height } = document.querySelector("span").getBoundingClientRect();
  done([box.width, baseline - box.top, box.bottom - baseline, height]);
});"""


@pytest.fixture(scope="module", params=[("serif", 17), ("monospace", 30)], ids=str)
def page(request, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    font, size = request.param
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(PAGE.format(size=size, font=font, script=CHTML.as_uri()), encoding="utf8")
    browser.emulate()
    browser.open(file)
    return browser


@pytest.mark.parametrize("display", [False, True])
@pytest.mark.parametrize("tex", FORMULAS)
def test_the_size_is_that_of_the_browser(page: Browser, tex: str, display: bool) -> None:
    text = rf"\[{tex}\]" if display else rf"\({tex}\)"
    width, height, depth, x_height = page.run_async(MEASURE.replace("TEX", json.dumps(text)))
    size = typesetter.size(tex, display=display)
    pixel = 0 if display else 1  # in the text MathJax adds one above and one below
    assert size.height * x_height + pixel == pytest.approx(height, abs=0.5)
    assert size.depth * x_height + pixel == pytest.approx(depth, abs=0.5)
    if not display:  # a displayed formula has the width of the page
        assert size.width * x_height == pytest.approx(width, abs=0.5, rel=0.003)


def test_what_cannot_be_read_has_no_size() -> None:
    assert typesetter.size(r"\frac") is None


def reserved(body: str) -> str:
    context = {"body": body}
    layout_shift.reserve_formula_sizes(None, "", "", context, None)
    return context["body"]


def test_a_formula_that_fits_the_line_tells_its_width_alone() -> None:
    width = typesetter.size("a<b").width
    marked = reserved(r'<span class="math notranslate nohighlight">\(a&lt;b\)</span>')
    assert marked == rf'<span class="math notranslate nohighlight" style="--gl-w:{width:.2f}">\(a&lt;b\)</span>'


def test_a_tall_formula_tells_its_height_and_its_depth() -> None:
    size = typesetter.size(r"\frac{a^2}{b}")
    marked = reserved(r'<span class="math notranslate nohighlight">\(\frac{a^2}{b}\)</span>')
    assert f"--gl-w:{size.width:.2f};--gl-h:{size.height + size.depth:.2f};--gl-d:{size.depth:.2f}" in marked


def test_a_displayed_formula_tells_its_height_whether_it_has_a_number_or_not() -> None:
    tex = "\n\\sum_{i=1}^n a_i\n"  # displayed it is taller
    size = typesetter.size(tex, display=True)
    number = '<span class="eqno">(1.1)<a class="headerlink" href="#e">#</a></span>'
    for before in ("", number):
        marked = reserved(f'<div class="math notranslate nohighlight" id="e">\n{before}\\[{tex}\\]</div>')
        assert f'id="e" style="--gl-h:{size.height + size.depth:.2f}">' in marked


def test_each_formula_has_its_own_room() -> None:
    spans = [rf'<span class="math notranslate nohighlight">\({tex}\)</span>' for tex in ("a", "a+a+a", r"\frac")]
    marked = reserved(" and ".join(spans))
    assert marked.count("--gl-w:") == 2
    assert f"--gl-w:{typesetter.size('a+a+a').width:.2f}" in marked
    assert spans[2] in marked
