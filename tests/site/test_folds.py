"""Folds of a small book: what is put away on the page, and that links, print and paper open it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup, Tag
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from small_book import FRONT, NOTEBOOKS, build, page, write_configuration

from benchmarks.browser import Browser
from book.extensions.pdf import make

CHAPTER = """\
(ch-one)=
# What is $a$?

Links: {ref}`inner <sec-inner>`, {eq}`eq-hidden`, {ref}`rest <sec-rest>` and [here](#in-a-box).

```{optional} How $a < b$ is *proved*
It is proved {cite:p}`kumar2020implicit`.

$$ a = b $$ (eq-hidden)
```

```{code-cell} ipython3
:tags: [hide-input]
from gradelib.equations import identity
identity("eq-hidden", "beta/(beta + m)", "1/(1 + m/beta)", m="pos")
```

```{admonition} In a box
:class: tip dropdown
(in-a-box)=
A box.
```

(sec-rest)=
## The rest

This is open.

```{optional} Other cases
```

This is folded.

```{code-cell} ipython3
print("printed")
```

(sec-inner)=
### Inner part

This, too.

## Summary

This is open again.
"""
TOC = """\
format: jb-book
root: book/index
parts:
  - {caption: Part, numbered: 1, chapters: [{file: book/01-one}]}
  - {caption: Back matter, chapters: [{file: book/bibliography}]}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folds")
    write_configuration(root, TOC)
    for name, text in {
        "index": "# A book\n\nWords.\n",
        "01-one": FRONT + CHAPTER,
        "bibliography": "# Bibliography\n\n```{bibliography}\n```\n",
    }.items():
        (root / "book" / f"{name}.md").write_text(text, encoding="utf8")
    built = build(root)
    assert built.returncode == 0, built.stderr
    return root


@pytest.fixture(scope="module")
def chapter(root: Path) -> Tag:
    return page(root, "01-one")


def test_a_fold_holds_its_content(chapter):
    first, _ = chapter.select("details.gl-fold")
    assert first.summary.get_text().startswith("Optional: How ")
    assert first.summary.find("math")
    assert first.summary.find_all("em")[1].text == "proved"
    assert "It is proved" in first.text
    assert not first.has_attr("open")


def test_a_fold_without_content_holds_the_rest_of_its_section(chapter):
    _, second = chapter.select("details.gl-fold")
    assert second.summary.get_text() == "Optional: Other cases"
    assert [words in second.text for words in ("This is open.", "This is folded.", "printed", "This, too.")] == [
        *(False, True, True, True)
    ]
    assert second.find(id="inner-part").h3
    assert not second.find(id="summary")


def test_numbers_and_contents_are_those_of_an_open_page(root, chapter):
    assert "(1.1)" in chapter.text
    whole = BeautifulSoup((root / "_build/html/book/01-one.html").read_text(encoding="utf8"), "html.parser")
    assert whole.select(".page-toc a[href='#inner-part'], .bd-toc-nav a[href='#inner-part']")


def test_a_notebook_folds_words_and_leaves_code_open(root):
    built = build(root, *NOTEBOOKS)
    assert built.returncode == 0, built.stderr
    cells = nbformat.read(root / "_build/notebooks/book/01-one.ipynb", as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells)
    assert "<summary>Optional: How $a &lt; b$ is proved</summary>\n\nIt is proved" in text
    assert "***Optional*: Other cases**" in text
    places = [text.index(words) for words in ("Other cases", "This is folded.", "printed", "Inner part", "This, too.")]
    assert places == sorted(places)


@pytest.mark.slow
def test_on_paper_nothing_is_folded(root):
    make.write_latex(root)
    text = (root / "_build/latex/book.tex").read_text(encoding="utf8").replace("\\sphinxAtStartPar\n", "")
    assert "\\textbf{\\sphinxstyleemphasis{Optional}: Other cases}" in text
    assert "This is folded." in text
    assert "identity" in text.replace("\\PYG", "")


# --- in a browser

IS_SHOWN = (
    "return document.getElementById(arguments[0]).checkVisibility({ visibilityProperty: true, opacityProperty: true })"
)
FOLDED = "return document.querySelectorAll('article details:not([open]), article .toggle-hidden').length"


@pytest.mark.parametrize("target", ["sec-inner", "equation-eq-hidden", "in-a-box"])
def test_a_link_opens_the_fold_that_it_leads_into(root: Path, browser: Browser, target: str):
    address = (root / "_build/html/book/01-one.html").as_uri()
    browser.emulate()
    browser.driver.get(address)
    assert not browser.run(IS_SHOWN, target)
    link = browser.driver.find_element(By.CSS_SELECTOR, f"article p a[href$='#{target}']")
    for _ in range(2):  # and once more when it was closed again
        link.click()
        WebDriverWait(browser.driver, 5).until(lambda _: browser.run(IS_SHOWN, target))
        browser.run("for (const fold of document.querySelectorAll('article details')) fold.open = false")
        browser.run("document.querySelector('.toggle:not(.toggle-hidden) .toggle-button')?.click()")
    browser.driver.get("about:blank")
    browser.driver.get(f"{address}#{target}")
    WebDriverWait(browser.driver, 5).until(lambda _: browser.run(IS_SHOWN, target))


def test_print_opens_all_folds_and_leaves_them_as_they_were(root: Path, browser: Browser):
    browser.open(root / "_build/html/book/01-one.html")
    before = browser.run(FOLDED)
    assert before == 4
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(FOLDED) == 0
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(FOLDED) == before


def test_print_opens_all_folds_without_a_script(root: Path, browser: Browser):
    browser.emulate(scripts=False, paper=True)
    browser.driver.get((root / "_build/html/book/01-one.html").as_uri())
    for target in ("inner-part", "equation-eq-hidden", "in-a-box"):
        assert browser.driver.find_element(By.ID, target).rect["height"] > 0, target
    browser.emulate()
