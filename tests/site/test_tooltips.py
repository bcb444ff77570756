"""Tooltips with definitions, and the line with the reading time, in a small book with a glossary."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import Tag
from corpora import some_of
from docutils import nodes
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from small_book import FRONT, NOTEBOOKS, build, page, write_configuration

from benchmarks.browser import Browser
from book.extensions.page import folds, reading_time, tooltips

ROOT = Path(__file__).parents[2]
FIRST = """\
(ch-first)=
# A latent title?

**A latent in bold**, `latent` in code, a link to [latent](02-second.md), {ref}`latent <ch-first>` and $latent$.

```{note}
A latent in a box.
```

| latent |
|---|
| latent |

## A latent heading

```{code-cell}
print("latent")
```

Hidden are *latents*, and a latent is hidden again.

- In a list: Posterior
  collapse comes before a posterior.
- GRAE≈ and its kin, but not non-GRAE, and not GRAE≈ again; the code's own GRAE.

Two variational families and Fischer's inequality. A VAE, or a variational autoencoder, is no β-VAE.

In symbols: **bold is $h$**, ${h}$ is another one, $h^2$ is more than one; $\\Sigma$ and $h$ are the first, and $h$ is
the second. Neither $a$ nor $x$ has a row of its own.
"""
SECOND = """\
# Second?

A latent on another page.
"""
GLOSSARY = """\
(glossary)=
# Glossary

```{glossary}
latent
  Hidden: `0 < z` & *"zyzzyva"*.

  {ref}`Chapter 1 <ch-first>`

posterior
  Later.

posterior collapse
  Too late.

code (of an example)
  A number.

GRAE
  Without noise.

GRAE≈
  Nearly without.

variational family
  A set.

Fischer's inequality
  At most.

variational autoencoder
VAE
  Two networks.

β-VAE
  With a price.
```

```{table}
:class: symbols

| symbol | code | meaning |
|---|---|---|
| $h$ | `h` | the *code* of $x<y$ |
| $\\Sigma$ | `S` | its spread |
| $a$, $b$ | | two at once |
```

| symbol | meaning |
|---|---|
| $x$ | in no table of symbols |
"""
TOC = """\
format: jb-book
root: book/index
options: {numbered: true}
chapters: [{file: book/01-first}, {file: book/02-second}, {file: book/glossary}]
"""


def built(root: Path) -> None:
    result = build(root)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built book, with the configuration, the extensions and the style of the real one."""
    root = tmp_path_factory.mktemp("book")
    write_configuration(root, TOC)
    index = "# A book\n\nA latent that nobody explains.\n"
    pages = {"index": index, "01-first": FRONT + FIRST, "02-second": FRONT + SECOND, "glossary": GLOSSARY}
    for name, text in pages.items():
        (root / "book" / f"{name}.md").write_text(text, encoding="utf8")
    built(root)
    return root


def test_the_first_use_in_running_text_is_marked(root):
    marked = page(root, "01-first").select("a.gl-term:not([aria-label])")
    assert [" ".join(mark.text.split()) for mark in marked] == [
        *(
            "latents",
            "Posterior collapse",
            "posterior",
            "GRAE≈",
            "GRAE",
            "variational families",
            "Fischer’s inequality",
        ),
        *("VAE", "β-VAE"),
    ]
    assert marked[0].parent.name == "em"
    assert [mark.text for mark in page(root, "02-second").select("a.gl-term")] == ["latent"]
    for other in ("index", "glossary"):
        assert page(root, other).select(".gl-term, .gl-definition") == []


def test_each_mark_leads_to_the_glossary_and_has_its_definition(root):
    glossary = page(root, "glossary")
    for mark in page(root, "01-first").select("a.gl-term"):
        address, anchor = mark["href"].split("#")
        assert address == "glossary.html"
        assert glossary.find(["dt", "tr"], id=anchor)
        definition = mark.find_next_sibling()
        assert definition["role"] == "tooltip"
        assert definition["id"] == mark["aria-describedby"]
        assert definition.has_attr("hidden")


def test_a_symbol_that_stands_alone_is_marked_where_it_comes_first(root):
    marked = page(root, "01-first").select("a.gl-term[aria-label]")
    assert [(tex(mark), mark["aria-label"]) for mark in marked] == [(r"\Sigma", "Sigma"), ("h", "h")]
    assert [mark.next_sibling.get_text() for mark in marked] == ["its spread", "the code of x<y"]
    assert marked[1].next_sibling.math is not None
    assert tex(marked[1].find_previous("math").find_previous("math")) == "h^2"
    row = page(root, "glossary").find("tr", id=marked[0]["href"].partition("#")[2])
    assert tex(row) == r"\Sigma"
    assert row.get_text(" ", strip=True).endswith("S its spread")


def tex(tag: Tag) -> str:
    """The TeX of the first formula in a part of a page."""
    formula = tag if tag.name == "math" else tag.math
    return formula["data-tex"]


def test_a_definition_is_plain_text(root):
    text = (root / "_build/html/book/01-first.html").read_text(encoding="utf8")
    assert "hidden>Hidden: 0 &lt; z &amp; “zyzzyva”.</span>" in text.replace("&quot;zyzzyva&quot;", "“zyzzyva”")
    assert 0 < weight(text) < 9 * 300


def weight(text: str) -> int:
    """The bytes that marks and definitions add to a page."""
    marks = re.findall(r'<a class="gl-term".*?</a><span class="gl-definition".*?</span>', text, re.DOTALL)
    return sum(len(mark.encode()) for mark in marks)


def test_definitions_weigh_little_in_the_book(built_book):
    weights = {p.stem: weight(p.read_text(encoding="utf8")) for p in (built_book / "book").glob("[0-9]*.html")}
    assert min(weights.values()) > 0
    assert {name: bytes_ for name, bytes_ in weights.items() if bytes_ >= 10_000} == {}


def test_the_search_finds_a_definition_in_the_glossary_alone(root):
    index = (root / "_build/html/searchindex.js").read_text(encoding="utf8")
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    assert found["docnames"][found["terms"]["zyzzyva"]] == "book/glossary"


def test_the_line_below_the_title_says_how_long_it_takes(root):
    first, second = page(root, "01-first"), page(root, "02-second")
    assert re.fullmatch(r"About 5 minutes to read · the code ran in \d*[05] s", first.h1.find_next_sibling().text)
    assert first.h1.find_next_sibling()["class"] == ["gl-effort"]
    assert "minutes" not in str(first.find_previous("meta", property="og:description"))  # that is the question
    assert second.h1.find_next_sibling().text == "About 5 minutes to read"  # it has no code
    assert [page(root, other).select(".gl-effort") for other in ("index", "glossary")] == [[], []]


def test_the_time_counts_words_formulas_and_code_but_no_output():
    document = nodes.section(
        "", nodes.paragraph("", "word " * 398, nodes.math("", "a b c")), nodes.title("", "Two words")
    )
    cell = nodes.container("", nodes.literal_block("", "a = 1\n\nb = 2\n" * 5), nb_element="cell_code_source")
    output = nodes.container("", nodes.literal_block("", "seen " * 999), nb_element="cell_code_output")
    document += [cell, output, *(nodes.math_block("", "x y z") for _ in range(3))]
    folded = folds.fold("", folds.fold_title("", "A title"), nodes.paragraph("", "word " * 99))
    folded += [nodes.math_block("", "x y z"), cell.deepcopy(), nodes.paragraph("", "", nodes.math("", "x"))]
    document += folded
    assert reading_time.reading_minutes(document) == pytest.approx(401 / 200 + 10 / 20 + 3 / 6)
    assert list(map(reading_time.round_up_to_five, (0.1, 5, 5.1, 33))) == [5, 5, 10, 35]


def test_notebooks_stay_as_they_are(root):
    built = build(root, *NOTEBOOKS)
    assert built.returncode == 0, built.stderr
    text = (root / "_build/notebooks/book/01-first.ipynb").read_text(encoding="utf8")
    assert "Hidden are *latents*, and a latent" in text
    assert not re.search(r"gl-|minutes to read|Hidden:|glossary", text)


def test_terms_of_other_processes_are_merged_and_those_of_a_page_cleared():
    ours, theirs = (tooltips.TermDomain(SimpleNamespace(domaindata={})) for _ in range(2))
    ours.terms["a"] = [tooltips.Term("latent", "a", "", ())]
    theirs.terms["b"] = [tooltips.Term("code", "b", "", ())]
    theirs.terms["a"] = []
    ours.merge_domaindata(["b"], theirs.data)
    assert [term.word for term in ours.all] == ["latent", "code"]
    ours.clear_doc("a")
    assert [term.word for term in ours.all] == ["code"]


# --- the browser

SHOWN = "const [word] = arguments, d = word.nextElementSibling, style = getComputedStyle(d);"
PLACE = f"""{SHOWN}
const box = d.getBoundingClientRect(), gap = box.top - word.getBoundingClientRect().bottom;
return [box.width > 0 && style.visibility === "visible", box.left, box.right, gap, document.body.scrollHeight]"""
COLOURS = f"{SHOWN} return [style.color, style.backgroundColor]"


def contrast(*colours: str) -> float:
    """The contrast of two opaque colours, from 1 to 21, as WCAG defines it."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted(map(light, colours))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.sampled
@pytest.mark.parametrize(("dark", "scripts"), some_of([(False, True), (True, True), (False, False)], 1))
def test_the_mouse_and_the_keyboard_show_a_definition(root, browser, dark, scripts):
    browser.emulate(width=800, dark=dark)
    browser.open(root / "_build/html/book/01-first.html")
    browser.emulate(width=800, dark=dark, scripts=scripts)
    word = browser.driver.find_element(By.CSS_SELECTOR, ".gl-term")
    mouse = ActionChains(browser.driver)
    for show in (lambda: mouse.move_to_element(word).perform(), lambda: focus(browser, word)):
        shown, *_, before = browser.run(PLACE, word)
        assert not shown
        show()
        WebDriverWait(browser.driver, 20).until(lambda _: browser.run(PLACE, word)[0])
        _, left, right, gap, after = browser.run(PLACE, word)
        assert 0 <= left < right <= 800
        assert -6 < gap < 10  # below the word, so that the mouse can go there
        assert after == before  # nothing moves
        WebDriverWait(browser.driver, 20).until(lambda _: contrast(*browser.run(COLOURS, word)) > 4.5)  # it fades in
        browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        assert browser.run(PLACE, word)[0] is not scripts  # with scripts Escape closes it
        mouse.move_by_offset(0, -150).perform()


def focus(browser: Browser, word: WebElement) -> None:
    browser.run("arguments[0].focus({focusVisible: true})", word)


def test_a_phone_and_paper_show_none(root, browser):
    browser.emulate(width=375, height=800)
    browser.open(root / "_build/html/book/01-first.html")
    word = browser.driver.find_element(By.CSS_SELECTOR, ".gl-term")
    focus(browser, word)
    assert browser.run(PLACE, word)[0] is False
    assert browser.run("return document.documentElement.scrollWidth") == 375
    assert ("link", "latents") in browser.accessibility_tree()
    browser.emulate(width=1000)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    time.sleep(0.6)  # a definition that is to appear takes its time
    assert browser.run(PLACE, word)[0] is False
    assert browser.run("return getComputedStyle(arguments[0]).textDecorationLine", word) == "none"
    assert browser.run("return getComputedStyle(document.querySelector('.gl-effort')).display") == "none"


# --- a change


def test_a_changed_glossary_reaches_the_chapters(root):
    path = root / "book/glossary.md"
    path.write_text(GLOSSARY.replace("Two networks.", "Three networks."), encoding="utf8")
    built(root)
    assert "Three networks." in page(root, "01-first").text
