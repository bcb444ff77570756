"""Formulas are MathML in the finished page, with their TeX for the clipboard; what cannot be read fails the build."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from math_core import LatexError
from small_book import FRONT, build, page, write_configuration

from benchmarks.browser import Browser
from benchmarks.page_audit import parse
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
    assert math.annotation.get_text() == "x<y"
    assert [tag.get_text() for tag in math.select("mi")] == ["x", "y"]
    assert "annotation" not in to_mathml("x<y", annotation=False)


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
