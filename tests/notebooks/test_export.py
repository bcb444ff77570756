"""Notebooks around their stored outputs: what is rewritten, what is run, and what `--check` finds stale."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from corpora import some_of
from planted_book import SECOND, plant
from small_book import FRONT

from book.extensions.notebooks import export
from book.extensions.notebooks.chapter import NotebookError

# Another output in every run.
UNIQUE = "```{code-cell}\nimport uuid\nprint(uuid.uuid4())\n```\n"
CELLS = "\n\n# One\n\n```{code-cell}\n1\n```\nwords\n\n```{code-cell}\n```\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book whose two chapters have been run."""
    root = plant(tmp_path_factory.mktemp("planted"), second=f"{SECOND}\n{UNIQUE}")
    assert main(root, "01-first", "02-second") == 0
    return root


@pytest.fixture
def kept(root: Path) -> Iterator[Path]:
    """The same book, put back when a test has changed it."""
    files = {path: path.read_text(encoding="utf8") for path in [root / "_config.yml", *root.glob("book/0*")]}
    yield root
    for path, text in files.items():
        path.write_text(text, encoding="utf8")


def main(root: Path, *options: str) -> int:
    return export.main(["--root", str(root), *options])


def complaint(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What a command complains of that fails, with paths from the root of the book."""
    assert main(root, *options) == 1
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().err).replace(f"{root}/", "")


def change(root: Path, old: str, new: str) -> None:
    path = root / "book/01-first.md"
    text = path.read_text(encoding="utf8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf8")


def outputs(path: Path) -> list[list[nbformat.NotebookNode] | None]:
    return [cell.get("outputs") for cell in nbformat.read(path, 4).cells]


# --- writing


def test_new_words_are_written_around_the_stored_outputs(kept: Path) -> None:
    notebooks = kept / "book/01-first.ipynb", kept / "book/02-second.ipynb"
    before = list(map(outputs, notebooks))
    change(kept, "It is one:", "It is 1:")
    assert main(kept, "--keep-outputs") == 0
    assert notebooks[0].read_text(encoding="utf8").count("It is 1:") == 1
    assert list(map(outputs, notebooks)) == before  # nothing was run: a second run prints another number
    assert main(kept, "--check") == 0


def test_new_code_is_not_written_around_old_outputs(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (kept / "book/01-first.ipynb").read_text(encoding="utf8")
    change(kept, "hidden = 1", "hidden = 2")
    message = complaint(kept, capsys, "--keep-outputs")
    assert message.startswith("book/01-first.md:35: book/01-first.ipynb has other code here; run `make notebooks`")
    assert (kept / "book/01-first.ipynb").read_text(encoding="utf8") == before


def test_only_the_named_chapters_are_run(kept: Path) -> None:
    first, second = kept / "book/01-first.ipynb", kept / "book/02-second.ipynb"
    before = outputs(second)
    change(kept, "41.996", "40.996")
    assert main(kept, "01-first") == 0
    assert "The answer is 41.00." in first.read_text(encoding="utf8")
    assert outputs(second) == before


def test_a_chapter_without_its_notebook_is_run_as_well(kept: Path) -> None:
    (kept / "book/01-first.ipynb").unlink()
    assert main(kept, "02-second") == 0
    assert not (kept / "book/01-first.ipynb").exists()  # it was not asked for


# --- checking


def test_check_is_content_with_what_was_just_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(root, "--check") == 0
    assert capsys.readouterr().err == ""


CHANGES = [
    ("It is one:", "It is 1:", 108, "stale at cell 8"),
    ("glue(\"answer\", 41.996)", "glue(\"answer\", 41)", 21, "other code here"),
    ("tags: [hide-input]", "tags: [hide-output]", 120, "stale at cell 10"),
    ("The footnote.\n", "The footnote.\n\n```{code-cell} ipython3\n3\n```\n", 132, "other code here"),
]  # fmt: skip


@pytest.mark.sampled
@pytest.mark.parametrize(("old", "new", "line", "words"), some_of(CHANGES, 2))
def test_check_names_the_first_cell_that_differs(
    kept: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, words: str
) -> None:
    change(kept, old, new)
    message = complaint(kept, capsys, "--check")
    assert message.startswith(f"book/01-first.md:{line}: ")
    assert words in message


def test_check_sees_what_was_changed_in_the_notebook(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = kept / "book/01-first.ipynb"
    notebook = nbformat.read(path, 4)
    for broken, words in [
        ({**notebook, "cells": notebook.cells[:-1]}, "stale at cell 11"),
        ({**notebook, "metadata": {**notebook.metadata, "widgets": {}}}, "stale in its metadata"),
    ]:
        path.write_text(nbformat.writes(nbformat.from_dict(broken)), encoding="utf8")
        assert words in complaint(kept, capsys, "--check")
    path.write_text("no notebook", encoding="utf8")
    assert "book/01-first.ipynb: this is no notebook" in complaint(kept, capsys, "--check")
    path.unlink()
    assert "book/01-first.ipynb: this notebook is missing" in complaint(kept, capsys, "--check")


# --- the command


def test_names_and_configuration_are_checked(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = "01-first, 02-second"
    assert complaint(kept, capsys, "nowhere") == f"nowhere: there is no chapter of this name; there are {known}.\n"
    (kept / "book/03-lost.md").write_text("# No front matter\n", encoding="utf8")
    assert "book/03-lost.md:1: a chapter begins with jupytext's front matter" in complaint(kept, capsys, "--check")
    (kept / "book/03-lost.md").unlink()
    (kept / "_config.yml").write_text("title: [", encoding="utf8")
    assert complaint(kept, capsys, "--check").startswith("_config.yml: ")


def test_a_chapter_is_read_with_the_lines_of_its_cells(tmp_path: Path) -> None:
    root = plant(tmp_path, first=CELLS, second="# Two\n")
    [first, _] = export.read_chapters(root)
    assert [(cell.cell_type, line) for cell, line in zip(first.cells, first.lines, strict=True)] == [
        ("markdown", FRONT.count("\n") + 3),
        ("code", FRONT.count("\n") + 5),
        ("markdown", FRONT.count("\n") + 8),
        ("code", FRONT.count("\n") + 10),
    ]
    assert list(first.code) == [1]  # an empty cell is left out
    with pytest.raises(NotebookError, match="no chapter of this name"):
        export.choose([first], ["02-second"])
