"""The builder of notebooks on a planted book: what it writes, and what makes it stop."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from planted_book import PAGES, plant
from small_book import FRONT, NOTEBOOKS, build

from book.extensions.notebooks import export
from book.extensions.notebooks.notebook import new_notebook


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book as HTML, with which the notebooks share doctrees and outputs."""
    root = plant(tmp_path_factory.mktemp("planted"))
    built = build(root)
    assert built.returncode == 0, built.stderr
    return root


@pytest.fixture(scope="module")
def log(html: Path) -> str:
    """What jupyter-book says when it builds the notebooks."""
    built = build(html, *NOTEBOOKS)
    assert built.returncode == 0, built.stderr
    return built.stdout


@pytest.fixture(scope="module")
def notebook(html: Path, log: str) -> nbformat.NotebookNode:
    return nbformat.read(html / "_build/notebooks/book/01-first.ipynb", as_version=4)


@pytest.fixture(scope="module")
def text(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# --- what it writes


def test_nothing_is_read_or_run_again_after_the_html(html: Path, log: str) -> None:
    assert "0 added, 0 changed, 0 removed" in log
    written = sorted(path.name for path in (html / "_build/notebooks").rglob("*.ipynb"))
    assert written == ["01-first.ipynb", "02-second.ipynb"]


@pytest.mark.parametrize(
    "expected",
    [
        "# 1. First: $\\beta$",
        "## <a id=\"sec-more\"></a>1.1. More",
        "[More](#sec-more), [Part 1.1](#sec-more)",
        "[(1.1)](#equation-eq-one)",
        f"[(2.1)]({PAGES}/02-second.html#equation-eq-there)",
        f"[Second]({PAGES}/02-second.html)",
        f"[latent]({PAGES}/back.html#term-latent)",
        "[Fig. 1.2](#fig-drawn), [Fig. 1.1](#fig-file), [Table 1.1](#tab-one), [Theorem 1.1](#thm-one),\n",
        "\n[Exercise 1.1](#ex-one) and",
        "<sup>[1](#one)</sup>. Plain: 2 \\* 3 \\* 4 \\<b\\_ \\$5 a_b `c|d`.",
        "$$\n\\begin{split}\n\\Sigma &= a \\\\\n&= b\n\\end{split}\n\\tag{1.1}\n$$",
        "$$\n\\begin{aligned}\nu &= v\n\\end{aligned}\n\\tag{1.2}\n$$",
        "The answer is 42.00.",
        "> **Note**\n>\n> In a box [(1.3)](#equation-eq-box):",
        "> $$ \\begin{split} a \\\\ b \\end{split} \\tag{1.3} $$",
        "> - in a list\n>\n>   > **Tip**\n>   >\n>   > in a box [(1.1)](#equation-eq-one)",
        "1. First\n\n   > **Titled $x$**\n   >\n   > Indented [More](#sec-more).\n\n2. Second",
        "> **Theorem 1.1** (Nice)\n>\n> It holds.",
        "> Proof. By [Theorem 1.1](#thm-one).",
        "![One grey pixel.](https://someone.github.io/planted/_images/x.png)\n\n**Fig. 1.1** The caption.",
        "**Table 1.1** Things\n\n| A | B $\\vert x\\vert$ |\n| --- | --- |\n| `a\\|b` | [(1.1)](#equation-eq-one) |",
        "- **Term**: Its meaning.",
        "### <a id=\"ex-one\"></a>Exercise 1.1 (Do it)\n\nWrite `f`.",
        "<details>\n<summary>Solution to Exercise 1.1 (Do it)</summary>\n\nIt is one:\n\n```python\nf = 1\nf\n```\n\n"
        "as we said.\n\n</details>",
        "<a id=\"fig-drawn\"></a>\n\n**Fig. 1.2** What was drawn.",
        "<a id=\"one\"></a>\n\n<sup>1</sup> The footnote.",
    ],
)  # fmt: skip
def test_each_construct_has_its_plain_form(text: str, expected: str) -> None:
    assert expected in text


def test_every_link_inside_the_notebook_has_one_anchor(text: str) -> None:
    tokens = [child for token in MarkdownIt().parse(text) for child in token.children or []]
    links = {
        token.attrGet("href")[1:] for token in tokens if token.type == "link_open" and token.attrs["href"][0] == "#"
    }
    assert len(links) == 9
    assert [text.count(f'<a id="{link}"></a>') for link in links] == [1] * len(links)


def test_the_numbers_are_those_of_the_page(html: Path, text: str) -> None:
    page = BeautifulSoup((html / "_build/html/book/01-first.html").read_text(encoding="utf8"), "html.parser").article
    numbers = [re.search(r"[\d.]*\d", span.text)[0] for span in page.select(".eqno")]
    assert numbers == re.findall(r"\\tag{(.*)}", text) == ["1.1", "1.2", "1.3"]
    headings = [span.text.split()[0] for span in page.select(".section-number")]
    assert headings == re.findall(r"^#+ (?:<a.*></a>)?([\d.]+) ", text, re.MULTILINE) == ["1.", "1.1."]
    captions = {span.text.strip() for span in page.select(".caption-number")}
    assert captions == {"Theorem 1.1", "Fig. 1.1", "Table 1.1", "Exercise 1.1", "Fig. 1.2"}
    assert all(re.search(rf"^[>#* ]+(<a.*></a>)?{caption}\b", text, re.MULTILINE) for caption in captions)
    links = {a.text.strip() for a in page.select("a.reference.internal")}
    solution, footnote = "Exercise 1.1 (Do it)", "1"  # a link in the page's title of the solution; in the notebook only
    assert links - {solution} == set(re.findall(r"\[([^\[\]]*)\]\(", text)) - {"One grey pixel.", footnote}


def test_citations_lead_to_the_bibliography(text: str) -> None:
    assert f"[[Som20]({PAGES}/back.html#id" in text


def test_code_cells_stand_in_their_places_and_are_all_run(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    starts = [cell.source.splitlines()[0].split(":")[0] for cell in code]
    assert starts == [
        "# @title Set-up",
        "from IPython.display import display",
        "hidden = 1",
        "f = ...",
        "# @title Solution of exercise 1.1",
        "from html import escape",
    ]
    assert [cell.execution_count for cell in code] == list(range(1, 7))


def test_what_the_page_hides_is_folded(notebook: nbformat.NotebookNode) -> None:
    folded = [cell.metadata.get("jupyter", {}) for cell in notebook.cells if cell.cell_type == "code"]
    both = {"outputs_hidden": True, "source_hidden": True}
    assert folded == [{"source_hidden": True}, {}, both, {}, both, {"source_hidden": True}]


def test_outputs_are_text_alone(notebook: nbformat.NotebookNode) -> None:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = [set(output.get("data", {})) for output in outputs]
    assert kinds == [{"application/papermill.record/text/plain"}, {"text/plain"}, {"text/plain"}, {"text/plain"}]
    assert outputs[-1].data["text/plain"] == "A drawing."


def test_headings_open_cells(notebook: nbformat.NotebookNode) -> None:
    for cell, after in pairwise(notebook.cells):
        assert "\n#" not in cell.source or cell.cell_type == "code"
        assert after.cell_type == "code" or cell.cell_type == "code" or after.source.startswith(("#", "<details>"))


def test_two_equal_cells_have_two_ids() -> None:
    cells = [nbformat.v4.new_markdown_cell(source) for source in ("## Twice", "## Twice", "once")]
    ids = [cell.id for cell in new_notebook(cells, "a").cells]
    assert len(set(ids)) == 3
    assert ids == [cell.id for cell in new_notebook(cells, "a").cells]


# --- what makes it stop

UNKNOWN = """# Two

```{nonsense}
```

- a list

  ```{listed}
  ```

````{note}
```{nested}
```
````

A {bogus}`role`.

| a |
| --- |
| {tabled}`role` |

```{prf:proof}
By {proved}`this`.
```
"""


def refusal(root: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """What the build complains of, without colours and with paths from the root of the book."""
    with TemporaryDirectory() as folder:
        assert not export.build(root, Path(folder), "notebooks")
    return re.sub(r"\x1b\[[\d;]*m", "", capfd.readouterr().err).replace(f"{root}/", "")


def assert_named(message: str, places: list[tuple[int, str]]) -> None:
    for line, words in places:
        lines = [text for text in message.splitlines() if text.startswith(f"book/02-second.md:{line}: ")]
        assert any(words in text for text in lines), (line, words, message)


def test_unknown_directives_and_roles_are_named_with_their_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refusal(plant(tmp_path, first="# One\n", second=UNKNOWN, execute="off"), capfd)
    places = [(8, "nonsense"), (13, "listed"), (17, "nested"), (21, "bogus"), (25, "tabled"), (28, "proved")]
    assert_named(message, places)


def test_broken_references_are_named_with_their_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    second = "# Two\n\n{eq}`eq-no` {ref}`no-ref` {doc}`no-doc`\n\n{cite}`no-key`\n"
    message = refusal(plant(tmp_path, first="# One\n", second=second, execute="off"), capfd)
    assert_named(message, [(8, "eq-no"), (8, "no-ref"), (8, "no-doc"), (10, "no-key")])


# For each text the line of it, counted from zero, that the message names, and a word of the message.
NO_FORM = {
    "{glue:text}`nothing`": (0, "nothing"),
    "- a\n\n  ```{code-cell} ipython3\n  1\n  ```": (2, "nested"),
    "````{tab-set}\n```{tab-item} A\nB\n```\n````": (0, "tab-set"),
    "```{figure} x.png\nNo alt text.\n```": (0, ":alt:"),
    "\\begin{multline}\na\n\\end{multline}": (0, "environment"),
    "```{list-table}\n* - - a\n```": (1, "table cell"),
    "````{note}\n```{exercise} A\n:label: a\n\nb\n```\n````": (4, "another block"),
    "```{hlist}\n- a\n```": (0, "hlist"),
    "A role with a gap: {eq} `eq-there`.": (0, "a role"),
    "(here)= is no target": (0, "a target"),
    "```\n:::{tip} Unbalanced\n```": (0, "a directive"),
    "Is it ?? or %s": (0, "an unresolved number"),
}


def test_what_has_no_form_in_a_notebook_is_named_with_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "# Two\n\n" + "\n\n".join(NO_FORM)
    message = refusal(plant(tmp_path, first="# One\n", second=text, execute="off"), capfd)
    before = {part: f"{FRONT}{text}"[: f"{FRONT}{text}".index(part)].count("\n") for part in NO_FORM}
    assert_named(message, [(before[part] + 1 + line, words) for part, (line, words) in NO_FORM.items()])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; print('careful', file=sys.stderr)", "writes to stderr: careful"),
    ],
)
def test_a_cell_that_fails_or_writes_to_stderr_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], code: str, words: str
) -> None:
    root = plant(tmp_path, first="# One\n", second=f"# Two\n\n```{{code-cell}} ipython3\n{code}\n```\n")
    message = refusal(root, capfd)
    assert re.search(r"^(book/02-second\.md(:8)?): ", message, re.MULTILINE)
    assert words in message


def test_each_chapter_has_front_matter_and_a_place_in_the_book(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = plant(tmp_path, first="# One\n", second="# Two\n", execute="off")
    (root / "book/02-second.md").write_text("# No front matter\n")
    assert "book/02-second.md:1: a chapter begins with jupytext's front matter" in refusal(root, capfd)
    plant(root, first="# One\n", second="# Two\n", execute="off")
    (root / "book/03-lost.md").write_text(FRONT + "# Not in the table of contents\n")
    assert "book/03-lost.md:1: _toc.yml does not list this chapter" in refusal(root, capfd)
