"""The committed notebooks as HTML: formulas, links and folded solutions survive what Jupyter makes of the Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from benchmarks.browser import MISSING, Browser, chromium
from book.extensions.notebooks.export import read_settings
from book.extensions.site import site_url

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
MATHJAX = metadata.distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")
# A macro that MathJax does not know is to be an error, not a red word.
PAGE = """<!doctype html><meta charset="utf-8">
<script>MathJax = {{tex: {{inlineMath: [["$", "$"]], packages: {{"[-]": ["noundefined"]}}}}}}</script>
<script src="{script}"></script><main>{body}</main>"""

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
needs_browser = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


def body(notebook: NotebookNode) -> str:
    return HTMLExporter(template_name="basic").from_notebook_node(notebook)[0]


def markdown(text: str) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def expected(notebook: NotebookNode) -> dict[str, list[str]]:
    """Links, numbers of equations and titles of what is folded, in order, as the Markdown has them."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    tokens = [child for token in MarkdownIt().parse(text) for child in token.children or []]
    return {
        "links": [token.attrs["href"] for token in tokens if token.type == "link_open"],
        "numbers": re.findall(r"\\tag\{(.*?)\}", text),
        "folded": re.findall(r"<summary>(.*)</summary>", text),
    }


def found(page: BeautifulSoup) -> dict[str, list[str]]:
    """The same in the HTML, without the links that nbconvert puts beside headings."""
    return {
        "links": [tag["href"] for tag in page.select("a[href]:not(.anchor-link)")],
        "numbers": re.findall(r"\\tag\{(.*?)\}", page.get_text()),
        "folded": [tag.text for tag in page.select("details > summary")],
    }


def faults(notebook: NotebookNode) -> list[str]:
    """What is lost on the way to HTML, leads nowhere there, or is left over as Markdown."""
    page = BeautifulSoup(body(notebook), "html.parser")
    wanted, there = expected(notebook), found(page)
    lost = [f"{kind}: {wanted[kind]} became {there[kind]}" for kind in wanted if wanted[kind] != there[kind]]
    names = {tag["id"] for tag in page.find_all(id=True)}
    dead = [f"dead link: {link}" for link in there["links"] if link[0] == "#" and link[1:] not in names]
    for code in page.find_all(["pre", "code"]):
        code.decompose()
    return lost + dead + [f"left over: {mark}" for mark in ("```", "](", "**", "<a ", "<details") if mark in page.text]


@each_notebook
def test_links_numbers_and_solutions_survive(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert [kind for kind, things in expected(notebook).items() if len(things) < 3] == []
    assert faults(notebook) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[a](#gone)", "dead link: #gone"),
        ("<div>\n[a](https://example.org)\n</div>", "left over: ]("),
        ("<details>\n<summary>Solution</summary>\n**it**\n</details>", "left over: **"),
        ("`<details>`<summary>Solution</summary>", "folded: ['Solution'] became []"),
        ("- one\n<!-- $$ \\tag{1} $$ -->", "numbers: ['1'] became []"),
    ],
)
def test_a_fault_is_found(text: str, fault: str) -> None:
    assert fault in faults(markdown(text))


# --- links to the published book


def astray(notebook: NotebookNode, book: Path) -> list[str]:
    """Links to a page or an anchor that the built book does not have."""
    address = site_url(SimpleNamespace(**read_settings(ROOT)))
    links = [link.removeprefix(address) for link in expected(notebook)["links"] if link.startswith(address)]
    return [link for link in links if not there(book, *link.partition("#")[::2])]


def there(book: Path, page: str, anchor: str) -> bool:
    return (book / page).is_file() and (not anchor or f'id="{anchor}"' in (book / page).read_text(encoding="utf8"))


@each_notebook
def test_links_to_the_published_book_lead_somewhere(path: Path, built_book: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert len(expected(notebook)["links"]) > 5
    assert astray(notebook, built_book) == []


def test_a_link_astray_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"></p>')
    address = site_url(SimpleNamespace(**read_settings(ROOT)))
    text = " ".join(f"[x]({address}{link})" for link in ("a.html#here", "a.html", "a.html#gone", "b.html"))
    assert astray(markdown(text), tmp_path) == ["a.html#gone", "b.html"]


# --- in a browser

SEEN = """return {
  numbers: [...document.querySelectorAll("mjx-mlabeledtr > mjx-labels, mjx-labels mjx-mtd")].length,
  broken: [...document.querySelectorAll("mjx-merror")].map((error) => error.dataset.mjxError),
  raw: document.querySelector("main").innerText.includes("$$"),
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def seen(browser: Browser, folder: Path, notebook: NotebookNode) -> dict:
    """What MathJax makes of a notebook: how many numbered equations, which errors."""
    page = folder / "notebook.html"
    page.write_text(PAGE.format(script=(MATHJAX / "tex-chtml.js").as_uri(), body=body(notebook)), encoding="utf8")
    browser.open(page)
    return browser.run(SEEN)


@needs_browser
@each_notebook
def test_every_formula_is_typeset(browser: Browser, tmp_path: Path, path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    numbers = len(expected(notebook)["numbers"])
    assert seen(browser, tmp_path, notebook) == {"numbers": numbers, "broken": [], "raw": False}


@needs_browser
def test_a_broken_formula_is_noticed(browser: Browser, tmp_path: Path) -> None:
    notebook = markdown("$$\na\n\\tag{1}\n$$\n\n$\\nonsense$ and $\\frac$")
    found = seen(browser, tmp_path, notebook)
    assert found["numbers"] == 1
    assert len(found["broken"]) == 2
