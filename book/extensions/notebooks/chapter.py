"""A chapter's source as MyST-NB and the jupyter-cache see it: its cells, their lines, and their outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jupyter_cache.base import JupyterCacheAbstract
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode
from sphinx.errors import SphinxError


class NotebookError(SphinxError):
    """The book cannot become a notebook as it stands; the message is one sentence with file and line."""

    category = "Notebook error"


@dataclass(frozen=True)
class Chapter:
    """The cells of one source file, and the line of the file where each of them begins."""

    source: Path
    notebook: NotebookNode
    lines: list[int]

    @property
    def cells(self) -> list[NotebookNode]:
        return self.notebook.cells

    @property
    def code(self) -> dict[int, NotebookNode]:
        """The code cells that are not empty, by their place among all cells."""
        return {i: cell for i, cell in enumerate(self.cells) if cell.cell_type == "code" and cell.source.strip()}


def read_chapter(source: Path, config: MdParserConfig) -> Chapter:
    """Read a source file; raises NotebookError where it does not begin with the front matter of jupytext."""
    text = source.read_text(encoding="utf8")
    if not is_myst_markdown_notebook(text):
        raise NotebookError(f"{source}:1: a chapter begins with jupytext's front matter; this file does not.")
    notebook = read_myst_markdown_notebook(text, config=config, add_source_map=True)
    rows = text.splitlines()
    # MyST-NB counts from zero, and the blank lines before a Markdown cell with it; a code cell begins with its fence.
    lines = [
        row if cell.cell_type == "code" else next(i for i in range(row, len(rows)) if rows[i]) + 1
        for cell, row in zip(notebook.cells, notebook.metadata.source_map, strict=True)
    ]
    return Chapter(source, notebook, lines)


def with_outputs(chapter: Chapter, cache: JupyterCacheAbstract) -> Chapter:
    """The chapter with the outputs that the build has stored for its code; raises NotebookError where it has none."""
    if not chapter.code:
        return chapter
    try:
        _, notebook = cache.merge_match_into_notebook(chapter.notebook)
    except KeyError as error:
        raise NotebookError(f"{chapter.source}:1: the jupyter-cache has no run of this chapter.") from error
    return Chapter(chapter.source, notebook, chapter.lines)
