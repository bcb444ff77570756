"""The committed notebooks as HTML: formulas, links and folded solutions survive what Jupyter makes of the Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from corpora import some_of
from markdown_it import MarkdownIt
from math_core import LatexError, LatexToMathML
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from book.extensions.notebooks.export import read_settings
from book.extensions.site import site_url

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", some_of(NOTEBOOKS, 4), ids=lambda path: path.stem)


def body(notebook: NotebookNode) -> str:
    """Its words as HTML, without code and outputs."""
    words = nbformat.v4.new_notebook(cells=[cell for cell in notebook.cells if cell.cell_type == "markdown"])
    return HTMLExporter(template_name="basic").from_notebook_node(words)[0]


def markdown(text: str) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def expected(notebook: NotebookNode) -> dict[str, list[str]]:
    """Links, numbers of equations and titles of what is folded, in order, as the Markdown has them."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    tokens = [child for token in MarkdownIt().parse(text) for child in token.children or []]
    return {
        "links": [token.attrs["href"] for token in tokens if token.type == "link_open"],
        "numbers": re.findall(r"\\tag\{(.*?)\}", text),
        "folded": [html.unescape(title) for title in re.findall(r"<summary>(.*)</summary>", text)],
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


@pytest.mark.sampled
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


@pytest.mark.sampled
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


# --- formulas

FORMULAS = re.compile(r"\$\$(.+?)\$\$|\$([^$\s](?:[^$]*[^$\s])?)\$", re.DOTALL)


def formulas(notebook: NotebookNode) -> Iterator[tuple[str, bool]]:
    """Each formula that Jupyter's HTML shows, and whether it is displayed."""
    page = BeautifulSoup(body(notebook), "html.parser")
    for code in page.find_all(["pre", "code"]):
        code.decompose()
    for match in FORMULAS.finditer(page.get_text()):
        yield re.sub(r"\\tag\{.*?\}", "", match[1] or match[2]), bool(match[1])


def broken(notebook: NotebookNode) -> list[str]:
    """The formulas that cannot be read as LaTeX."""
    converter, errors = LatexToMathML(fancy_error=False), []
    for tex, display in formulas(notebook):
        try:
            converter.convert_with_local_state(tex.replace("{split}", "{aligned}"), displaystyle=display)
        except LatexError as error:
            errors.append(f"{error}: {tex}")
    return errors


@pytest.mark.sampled
@each_notebook
def test_every_formula_can_be_read(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert len(list(formulas(notebook))) > 50
    assert broken(notebook) == []


def test_a_broken_formula_is_noticed() -> None:
    notebook = markdown("$$\na\n\\tag{1}\n$$\n\n$\\nonsense$ and $\\frac$")
    assert list(formulas(notebook)) == [("\na\n\n", True), ("\\nonsense", False), ("\\frac", False)]
    assert len(broken(notebook)) == 2
