"""Formulas are MathML in the finished page, with their TeX for the clipboard; what cannot be read fails the build."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from math_core import LatexError
from small_book import FRONT, build, page, write_configuration

from benchmarks.browser import Browser
from benchmarks.page_audit import html_pages, parse, serve
from book.extensions.mathml import prepare, text_width, to_mathml

PAGE = r"""# A page

The code $h$ of $x<y$.

$$ a = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} $$

$$
f'' &= 1 \\
    &= 2
$$
"""
COPIED = """
const range = document.createRange();
range.selectNodeContents(document.querySelector("article p"));
getSelection().removeAllRanges();
getSelection().addRange(range);
const event = new ClipboardEvent("copy", {clipboardData: new DataTransfer(), bubbles: true, cancelable: true});
document.dispatchEvent(event);
return [event.defaultPrevented, event.clipboardData.getData("text/plain")];"""


def block(tex: str, **attributes: bool) -> nodes.math_block:
    return nodes.math_block("", tex, **attributes)


def test_a_formula_carries_its_tex():
    math = BeautifulSoup(to_mathml("x<y"), "html.parser").math
    assert math["data-tex"] == "x<y"
    assert [tag.get_text() for tag in math.select("mi")] == ["x", "y"]
    assert "data-tex" not in to_mathml("x<y", annotated=False)


@pytest.mark.parametrize(
    ("tex", "prepared"),
    [
        ("a = b", "a = b"),
        (r"a &= b \\ &= c", r"\begin{aligned}a &= b \\ &= c\end{aligned}"),
        ("a\n\nb", r"\begin{aligned}a \\ b\end{aligned}"),
        (r"\begin{pmatrix}1 \\ 2\end{pmatrix}", r"\begin{pmatrix}1 \\ 2\end{pmatrix}"),
        (r"\begin{cases}\begin{pmatrix}1 \\ 2\end{pmatrix} \\ 3\end{cases}",) * 2,
        (r"\begin{split}a \\ b\end{split}", r"\begin{aligned}a \\ b\end{aligned}"),
        (r"\begin{align*}a \\ b\end{align*}", r"\begin{aligned}a \\ b\end{aligned}"),
    ],
)
def test_rows_stand_in_one_environment(tex, prepared):
    assert prepare(block(tex)) == prepared
    to_mathml(prepared, display=True)


def test_an_unknown_command_is_an_error():
    with pytest.raises(LatexError, match="nonsense"):
        to_mathml(r"\nonsense")


def test_the_width_is_that_of_what_is_shown():
    assert text_width(r"\Sigma_{ij}") == 3
    assert text_width(r"\operatorname{tr} x") == 3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    write_configuration(folder, "format: jb-book\nroot: book/index\n")
    (folder / "book/index.md").write_text(PAGE)
    done = build(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_a_page_needs_no_script_for_its_formulas(root):
    text = page(root, "index")
    assert len(text.select("math")) == 4
    scripts = parse(root / "_build/html/book/index.html").select("script[src]")
    assert scripts != []
    assert [script["src"] for script in scripts if "mathjax" in script["src"].lower()] == []


def test_the_number_stands_after_the_formula(built_book):
    numbered = parse(built_book / "book/06-optimal-covariance.html").select("div.math:has(.eqno)")
    assert len(numbered) > 10
    for place in numbered:
        assert [" ".join(child["class"]) for child in place.find_all(recursive=False)] == ["gl-formula", "eqno"]


@pytest.mark.slow
def test_what_cannot_be_read_fails_the_build_with_its_place(root, tmp_path):
    write_configuration(tmp_path, "format: jb-book\nroot: book/index\n")
    (tmp_path / "book/index.md").write_text(FRONT + "# A page\n\nOne.\n\n$$ \\nonsense $$\n")
    done = build(tmp_path)
    assert done.returncode != 0
    assert "book/index.md:" in done.stderr
    assert "nonsense" in done.stderr


def test_tex_goes_to_the_clipboard(root, browser: Browser):
    browser.emulate()
    browser.open(root / "_build/html/book/index.html")
    prevented, text = browser.run(COPIED)
    assert prevented
    assert text.strip() == "The code $h$ of $x<y$."


def test_a_wide_formula_scrolls_within_reach_of_the_keyboard(root, browser: Browser):
    browser.emulate(width=375, height=700)
    browser.open(root / "_build/html/book/index.html")
    script = "const box = document.querySelector('.gl-formula'); box.style.width = '20px'; box.style.flex = 'none'"
    browser.run(script)
    waited = "const done = arguments[0]; requestAnimationFrame(() => setTimeout(() => done(STOPS), 50))"
    stops = "[...document.querySelectorAll('.gl-formula')].map((box) => box.tabIndex)"
    assert browser.run_async(waited.replace("STOPS", stops)) == [0, -1]


SEEN = "return document.querySelector('article').innerText.replaceAll('\\n', ' ')"
# Of each formula whether its parts are seen, and what stands before them.
FORMULAS = """return [...document.querySelectorAll("article math")].map((formula) => [
  [...formula.children].some((part) => part.checkVisibility()), getComputedStyle(formula, "::before").content])"""
# The condition of the rules for browsers without MathML, and the page as these rules make it.
LACKING = """
const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
const group = rules.find((rule) => rule.conditionText?.includes("math-style"));
const style = document.createElement("style");
style.textContent = [...group.cssRules].map((rule) => rule.cssText).join("");
document.head.append(style);
return group.conditionText;"""


def test_without_mathml_a_line_says_so_and_tex_is_shown(root, browser: Browser):
    """No browser of today lacks it: the condition is tried with a property that none has, and the rules without it."""
    browser.emulate()
    browser.driver.get_log("browser")
    with serve(root / "_build/html") as address:  # from a file, a page may not read its own style sheet
        browser.driver.get(f"{address}book/index.html")
        before, formulas = browser.run(SEEN), browser.run(FORMULAS)
        condition = browser.run(LACKING)
        after, as_tex = browser.run(SEEN), browser.run(FORMULAS)
    assert not browser.run("return CSS.supports(arguments[0])", condition)
    assert browser.run("return CSS.supports(arguments[0])", condition.replace("math-style", "no-such-property"))
    assert "no MathML" not in before
    assert formulas == [[True, "none"]] * len(as_tex) != []
    assert "This browser has no MathML, so formulas are shown as TeX." in after
    assert [parts for parts, _ in as_tex] == [False] * len(as_tex)
    assert [tex for _, tex in as_tex][:2] == ['"h"', '"x<y"']


def test_a_page_without_formulas_says_nothing_of_mathml(built_book):
    for path in html_pages(built_book):
        text = parse(path)
        assert len(text.select(".gl-no-mathml")) == bool(text.select("article math")), path.name


def test_formulas_are_printed_in_black_from_a_dark_page(root, browser: Browser):
    browser.emulate(dark=True)
    browser.open(root / "_build/html/book/index.html")
    colour = "return getComputedStyle(document.querySelector('math')).color"
    dark = browser.run(colour)
    browser.emulate(dark=True, paper=True)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    light = browser.run(colour)
    browser.run("dispatchEvent(new Event('afterprint'))")
    brightness = [sum(map(int, re.findall(r"\d+", shade)[:3])) / 3 for shade in (dark, light)]
    assert brightness[0] > 150
    assert brightness[1] < 60


# The formulas whose punctuation begins a line.
PARTED = r"""return [...document.querySelectorAll("article math")].filter((formula) => {
  const range = document.createRange(), text = formula.nextSibling ?? formula.parentElement.nextSibling;
  if (!text?.data || !/^[.,;:!?)]/.test(text.data)) return false;
  range.setStart(text, 0);
  range.setEnd(text, 1);
  const [mark, place] = [range, formula].map((part) => part.getBoundingClientRect());
  return mark.width && mark.left < place.left;
}).map((formula) => formula.dataset.tex)"""


@pytest.mark.slow
def test_no_line_begins_with_the_punctuation_after_a_formula(built_book, browser: Browser):
    for width in (375, 500, 1300):
        browser.emulate(width=width)
        browser.open(built_book / "book/04-taylor.html")
        assert browser.run(PARTED) == []
