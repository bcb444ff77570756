"""The exporter on small planted books: what it writes, and what makes it stop."""

import contextlib
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from book.extensions.notebooks import export
from book.extensions.notebooks import reader as export_book
from book.extensions.notebooks import translator as export_markdown
from book.extensions.notebooks.translator import ExportError, leaks

CONFIG = """\
title: A planted book
only_build_toc_files: true
exclude_patterns: ["**/*.ipynb"]
bibtex_bibfiles: [book/references.bib]
parse:
  myst_enable_extensions: [amsmath, colon_fence, deflist, dollarmath, substitution]
repository: {url: https://github.com/someone/planted, branch: main}
sphinx:
  recursive_update: true
  extra_extensions: [sphinx_exercise, sphinx_proof, sphinxcontrib.bibtex]
"""
TOC = """\
format: jb-book
root: book/index
options: {numbered: true}
chapters:
  - file: book/01-first
  - file: book/02-second
  - file: book/back
"""
FRONT = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
SECOND = "# Second\n\n(sec-there)=\n## There\n\n$$ a = b $$ (eq-there)\n"
BACK = """\
# Back

```{glossary}
latent
  A hidden variable.
```

```{bibliography}
```
"""
BIB = "@book{someone2020, author={Someone, Ann}, title={A book}, publisher={P}, year={2020}}\n"
PAGES = "https://someone.github.io/planted/book"

FIRST = r"""# First: $\beta$

See {ref}`sec-more`, {numref}`Part %s <sec-more>`, {eq}`eq-one`, {eq}`eq-there`, {doc}`02-second`,
{cite:p}`someone2020`, {term}`latent`, {numref}`fig-drawn`, {numref}`fig-file`, {numref}`tab-one`, {prf:ref}`thm-one`,
{ref}`ex-one` and a footnote[^one]. Plain: 2 * 3 * 4 <b_ \$5 a_b `c|d`.

$$
\Sigma &= a \\
&= b
$$ (eq-one)

\begin{align}
u &= v
\end{align}

```{code-cell} ipython3
from IPython.display import display

def glue(name, value):
    prefix = "application/papermill.record/"
    about = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    display({prefix + "text/plain": repr(value)}, raw=True, metadata=about)

glue("answer", 41.996)
```

The answer is {glue:text}`answer:.2f`.

```{code-cell} ipython3
:tags: [remove-cell]
hidden = 1
```

(sec-more)=
## More

````{note}
In a box {eq}`eq-box`:

$$
a \\
b
$$ (eq-box)

- in a list
  ```{tip}
  in a box {eq}`eq-one`
  ```
````

1. First

   ```{admonition} Titled $x$
   Indented {ref}`sec-more`.
   ```
2. Second

```{prf:theorem} Nice
:label: thm-one
It holds.
```

```{prf:proof}
By {prf:ref}`thm-one`.
```

```{figure} x.png
:name: fig-file
:alt: One grey pixel.

The caption.
```

```{list-table} Things
:name: tab-one
:header-rows: 1
* - A
  - B $|x|$
* - `a|b`
  - {eq}`eq-one`
```

Term
: Its meaning.

```{exercise-start} Do it
:label: ex-one
```
Write `f`.

```{code-cell} ipython3
f = ...
f
```

```{exercise-end}
```

```{solution-start} ex-one
:class: dropdown
```
It is one:

```{code-cell} ipython3
f = 1
f
```

as we said.

```{solution-end}
```

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  figure: {name: fig-drawn, caption: What was drawn.}
---
from html import escape
display({"image/png": "iVBORw0KGgo=", "text/html": "<p>", "text/plain": "A drawing."}, raw=True)
```

[^one]: The footnote.
"""


def plant(root: Path, **chapters: str) -> Path:
    """A small book; `first` and `second` replace the text of its chapters."""
    pages = {"01-first": FRONT + chapters.get("first", FIRST), "02-second": FRONT + chapters.get("second", SECOND)}
    files = {f"book/{name}.md": text for name, text in {**pages, "index": "# A book\n", "back": BACK}.items()}
    for name, text in {**files, "_config.yml": CONFIG, "_toc.yml": TOC, "book/references.bib": BIB}.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf8")
    (root / "book/x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


def sources(root: Path, *wanted: str) -> list[nbformat.NotebookNode]:
    """The notebooks without a run: what `--check` compares."""
    with export_book.open_book(root) as book:
        return [notebook for _, notebook, _ in export.notebooks(book, book.choose(list(wanted)))]


def refusal(root: Path, *wanted: str) -> str:
    with pytest.raises(ExportError) as caught:
        sources(root, *wanted)
    return str(caught.value).replace(f"{root}/", "")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = plant(tmp_path_factory.mktemp("planted"))
    assert export.main(["--root", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def notebook(root: Path) -> nbformat.NotebookNode:
    return nbformat.read(root / "book/01-first.ipynb", as_version=4)


@pytest.fixture(scope="module")
def text(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# --- what it writes


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


def test_the_numbers_are_those_of_the_page(root: Path, text: str, tmp_path: Path) -> None:
    book = shutil.copytree(root, tmp_path / "book", ignore=shutil.ignore_patterns("*.ipynb"))
    subprocess.run([Path(sys.executable).with_name("jupyter-book"), "build", book], check=True, capture_output=True)
    page = BeautifulSoup((book / "_build/html/book/01-first.html").read_text(encoding="utf8"), "html.parser").article
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


def test_two_equal_cells_have_two_ids_and_the_same_each_time(tmp_path: Path) -> None:
    cell = "```{code-cell} ipython3\n1\n```\n\n"
    root = plant(tmp_path, first="# One\n", second="# Two\n\n" + cell + cell)
    ids, again = ([cell.id for cell in sources(root, "02-second")[0].cells] for _ in range(2))
    assert len(set(ids)) == len(ids) == 4
    assert ids == again


@given(st.text(st.characters(codec="utf8", exclude_categories=["C"], include_characters="\n*_`$<>[]()\\#+-=~!&1.")))
@example("a_ b *c* `d` [e](f) [g]: h <i> j\n- k\n+ l\n# m\n> n\n1. o\n2) p\n===\n---\n\\* &amp; ~~q~~ __r__ ![s](t)")
def test_words_stay_words(words: str) -> None:
    """Whatever stands in a sentence, Markdown must read it as that sentence and nothing else."""
    words = "\n".join(line for line in (" ".join(line.split()) for line in words.splitlines()) if line)
    written = export_markdown.escape_paragraph(words)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(written)
    inline = [child for token in tokens for child in token.children or []]
    assert "".join("\n" if token.type == "softbreak" else token.content for token in inline) == words
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    assert {token.type for token in inline} <= {"text", "softbreak"}


# --- stale notebooks


def change(root: Path, old: str, new: str) -> None:
    path = root / "book/01-first.md"
    text = path.read_text(encoding="utf8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf8")


@pytest.fixture
def stale(root: Path) -> contextlib.AbstractContextManager:
    """Change the source, say what `--check` says, and put the source back."""
    path = root / "book/01-first.md"
    before = path.read_text(encoding="utf8")
    yield root
    path.write_text(before, encoding="utf8")


def check(root: Path, capsys: pytest.CaptureFixture) -> tuple[int, str]:
    status = export.main(["--root", str(root), "--check", "01-first"])
    return status, capsys.readouterr().err.strip()


def test_check_is_content_with_what_was_just_written(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert check(root, capsys) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "line", "cell"),
    [
        ("It is one:", "It is 1:", 106, "stale at cell 8"),
        ("glue(\"answer\", 41.996)", "glue(\"answer\", 41)", 20, "other code here"),
        ("hidden = 1", "hidden = 2", 33, "other code here"),
        ("tags: [hide-input]", "tags: [hide-output]", 118, "stale at cell 10"),
        ("The footnote.\n", "The footnote.\n\n```{code-cell} ipython3\n3\n```\n", 130, "other code here"),
    ],
)  # fmt: skip
def test_check_names_the_first_cell_that_differs(
    stale: Path, capsys: pytest.CaptureFixture, old: str, new: str, line: int, cell: str
) -> None:
    change(stale, old, new)
    status, message = check(stale, capsys)
    assert status == 1
    assert message.startswith(f"book/01-first.md:{line}: book/01-first.ipynb")
    assert cell in message


def test_new_words_are_written_around_the_stored_outputs(stale: Path, capsys: pytest.CaptureFixture) -> None:
    path = stale / "book/01-first.ipynb"
    before = path.read_text(encoding="utf8")
    try:
        change(stale, "It is one:", "It is 1:")
        assert export.main(["--root", str(stale), "--keep-outputs", "01-first"]) == 0
        assert path.read_text(encoding="utf8").count("It is 1:") == 1
        assert [cell.get("outputs") for cell in nbformat.read(path, 4).cells] == [
            cell.get("outputs") for cell in nbformat.reads(before, 4).cells
        ]
        assert check(stale, capsys)[0] == 0
        change(stale, "hidden = 1", "hidden = 2")
        assert export.main(["--root", str(stale), "--keep-outputs", "01-first"]) == 1
        assert "other code here" in capsys.readouterr().err
    finally:
        path.write_text(before, encoding="utf8")


def test_check_sees_a_changed_and_a_missing_cell_of_the_notebook(
    root: Path, notebook: nbformat.NotebookNode, capsys: pytest.CaptureFixture
) -> None:
    path = root / "book/01-first.ipynb"
    before = path.read_text(encoding="utf8")
    try:
        for cells, words in [(notebook.cells[:-1], "stale at cell 11"), ("no notebook", "this is no notebook")]:
            broken = {**notebook, "cells": cells} if isinstance(cells, list) else cells
            path.write_text(nbformat.writes(nbformat.from_dict(broken)) if isinstance(cells, list) else cells)
            status, message = check(root, capsys)
            assert status == 1
            assert words in message
        path.unlink()
        assert "book/01-first.ipynb: this notebook is missing" in check(root, capsys)[1]
    finally:
        path.write_text(before, encoding="utf8")


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


def test_unknown_directives_and_roles_are_named_with_their_lines(tmp_path: Path) -> None:
    message = refusal(plant(tmp_path, second=UNKNOWN), "02-second")
    for line, name in [(7, "nonsense"), (12, "listed"), (16, "nested"), (20, "bogus"), (24, "tabled"), (27, "proved")]:
        assert any(text.startswith(f"book/02-second.md:{line}: ") and name in text for text in message.splitlines()), (
            name
        )


def test_broken_references_are_named_with_their_lines(tmp_path: Path) -> None:
    second = "# Two\n\n{eq}`eq-no` {ref}`no-ref` {doc}`no-doc`\n\n{cite}`no-key`\n"
    message = refusal(plant(tmp_path, first="# One\n", second=second), "02-second")
    for line, name in [(7, "eq-no"), (7, "no-ref"), (7, "no-doc"), (9, "no-key")]:
        assert any(text.startswith(f"book/02-second.md:{line}: ") and name in text for text in message.splitlines()), (
            name
        )


@pytest.mark.parametrize(
    ("second", "line", "words"),
    [
        ("{glue:text}`nothing`", 7, "nothing"),
        ("- a\n\n  ```{code-cell} ipython3\n  1\n  ```", 9, "nested"),
        ("````{tab-set}\n```{tab-item} A\nB\n```\n````", 7, "tab-set"),
        ("```{figure} x.png\nNo alt text.\n```", 7, "alt"),
        ("\\begin{multline}\na\n\\end{multline}", 7, "environment"),
        ("```{list-table}\n* - - a\n```", 8, "table cell"),
        ("A role with a gap: {eq} `eq-there`.", 7, "a role"),
        ("(here)= is no target", 7, "a target"),
        ("```\n:::{tip} Unbalanced\n```", 7, "a directive"),
        ("Is it ?? or %s", 7, "an unresolved number"),
    ],
)  # fmt: skip
def test_what_has_no_plain_form_stops_the_export(tmp_path: Path, second: str, line: int, words: str) -> None:
    message = refusal(plant(tmp_path, first="# One\n", second=f"# Two\n\n{second}\n"), "02-second")
    assert message.splitlines()[0].startswith(f"book/02-second.md:{line}: ")
    assert words in message


def test_front_matter_configuration_and_names_are_checked(tmp_path: Path) -> None:
    root = plant(tmp_path, first="# One\n", second="# Two\n")
    assert "nowhere: _toc.yml has no chapter of this name" in refusal(root, "nowhere")
    (root / "book/02-second.md").write_text("# No front matter\n")
    assert refusal(root).startswith("book/02-second.md:1: a chapter begins with jupytext's front matter")
    plant(root, first="# One\n", second="# Two\n")
    (root / "book/03-lost.md").write_text(FRONT + "# Not in the table of contents\n")
    assert "03-lost.md: _toc.yml has no chapter" in refusal(root)
    (root / "_config.yml").write_text("title: [")
    assert refusal(root).startswith("_config.yml:1: ")
    (root / "_config.yml").unlink()
    assert refusal(root).startswith("_config.yml: this file is missing")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; print('careful', file=sys.stderr)", "writes to stderr: careful"),
    ],
)
def test_a_cell_that_fails_or_warns_stops_the_export(
    tmp_path: Path, capsys: pytest.CaptureFixture, code: str, words: str
) -> None:
    root = plant(tmp_path, first="# One\n", second=f"# Two\n\n```{{code-cell}} ipython3\n{code}\n```\n")
    assert export.main(["--root", str(root), "02-second"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("book/02-second.md:7: this cell")
    assert words in message
    assert not (root / "book/02-second.ipynb").exists()


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("See {eq}`eq-one`.", "a role: {eq}"),
        ("See {eq} `eq-one`.", "a role: {eq} "),
        ("::: note\nx", "a directive: :::"),
        ("Words\n:::{note}\nx", "a directive: :::"),
        ("```{note}\nx\n```", "a directive or a role in a block of code: ```{note}"),
        ("```\n{eq}`eq-one`\n```", "a directive or a role in a block of code: {eq}`eq-one`"),
        ("(sec-one)=", "a target: (sec-one)="),
        ("A line\n(sec-one)=\nand another", "a target: (sec-one)="),
        ("See {{ name }}.", "a substitution: {{"),
        ("See Fig. ??.", "an unresolved number: ??"),
        ("See Section %s.", "an unresolved number: %s"),
        ("See [](#sec).", "a link without words: #sec"),
        ("$x \\eqref{eq-one}$", "an unresolved number: x \\eqref{eq-one}"),
        ("$$x \\tag{}$$", "an unresolved number: x \\tag{}"),
        ("> - ::: note", "a directive: :::"),
    ],
)
def test_the_gate_sees_each_planted_leak(markdown: str, found: str) -> None:
    assert leaks("Before.\n\n" + markdown) == [found]


@pytest.mark.parametrize(
    "markdown", ["{a} and `b`", "$\\{a\\} `b`$", "$$\nx \\tag{1.2}\n$$", "`{eq}`", "```python\nf'{x}'\n```", "f (x)=1"]
)
def test_the_gate_lets_plain_text_pass(markdown: str) -> None:
    assert leaks(markdown) == []


# --- the set-up cell

REPOSITORY = {"repository": {"url": "https://github.com/someone/planted", "branch": "main"}}


def run_set_up(monkeypatch: pytest.MonkeyPatch, *, present: bool, status: int = 0) -> tuple[list[list[str]], str]:
    """Run the first cell where gradelib is present or not; the commands it gave and what it said."""
    commands, said = [], io.StringIO()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if present else None)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: commands.append(command) or SimpleNamespace(returncode=status)
    )
    with contextlib.redirect_stdout(said):
        exec(export.set_up_cell(REPOSITORY).source, {})
    return commands, said.getvalue()


def test_the_set_up_does_nothing_where_gradelib_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_set_up(monkeypatch, present=True) == ([], "")


def test_the_set_up_installs_gradelib_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    [command], said = run_set_up(monkeypatch, present=False)
    assert said == ""
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--no-deps" in command
    assert command[-1] == "https://github.com/someone/planted/archive/refs/heads/main.zip"


def test_the_set_up_says_one_sentence_when_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    _, said = run_set_up(monkeypatch, present=False, status=1)
    assert said.startswith("The set-up could not fetch https://github.com/someone/planted/")
    assert said.count("\n") == 1


def test_the_address_comes_from_the_configuration() -> None:
    with pytest.raises(ExportError, match="repository"):
        export.set_up_cell({})
    assert export_book.page_url({"html": {"baseurl": "https://example.org/b/"}}) == "https://example.org/b"
    assert export_book.page_url(REPOSITORY) == "https://someone.github.io/planted"
    with pytest.raises(ExportError, match="baseurl"):
        export_book.page_url({"repository": {"url": "https://example.org/x/y"}})


def test_headings_open_cells(notebook: nbformat.NotebookNode) -> None:
    for cell, after in pairwise(notebook.cells):
        assert "\n#" not in cell.source or cell.cell_type == "code"
        assert after.cell_type == "code" or cell.cell_type == "code" or after.source.startswith(("#", "<details>"))
