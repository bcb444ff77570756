"""Read the book as Sphinx reads it, without running a cell and without writing a page."""

import copy
import io
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import yaml
from jupyter_book.config import get_final_config
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.docutils import docutils_namespace, patch_docutils
from sphinx.util.logging import WarningLogRecordTranslator, WarningSuppressor

from book.extensions.notebooks.translator import ExportError, NotebookBuilder, Piece, pieces

MIME_TYPES = ("text/plain", "text/latex", "text/markdown")


@dataclass
class Chapter:
    """One source file: its cells as the page has them, and the outputs of its code cells."""

    docname: str  # for example "book/06-optimal-covariance"
    source: Path
    text: str
    cells: list[NotebookNode]
    lines: list[int]  # the line of the file where each cell begins
    outputs: dict[int, list[NotebookNode]] = field(default_factory=dict)

    @property
    def target(self) -> Path:
        return self.source.with_suffix(".ipynb")

    @property
    def code(self) -> dict[int, str]:
        """The source of each code cell, under the number of the cell."""
        return {i: cell.source for i, cell in enumerate(self.cells) if cell.cell_type == "code" and cell.source.strip()}


class Book:
    """The book's sources, read with the book's own configuration."""

    def __init__(self, root: Path, app: Sphinx) -> None:
        self.root = root
        self.app = app
        self.problems = _Problems(app)
        app.env.find_files(app.config, app.builder)
        names = sorted(name for name in app.env.found_docs if Path(name).name[0].isdigit())
        self.chapters = {Path(name).name: self._read_cells(name) for name in names}

    def choose(self, wanted: list[str]) -> list[Chapter]:
        """The chapters with these names or paths; all of them when none is named."""
        sources = wanted or [str(path) for path in sorted(self.root.glob("book/[0-9]*.md"))]
        for source in sources:
            if Path(source).stem not in self.chapters:
                known = ", ".join(self.chapters)
                raise ExportError(f"{source}: _toc.yml has no chapter of this name; it has {known}.")
        return [self.chapters[Path(source).stem] for source in sources]

    def pieces(self, chosen: list[Chapter]) -> list[list[Piece]]:
        """Markdown and places of code cells for each chosen chapter, numbered as on the page."""
        reader = (f"{__name__}.read_cells", {"config": self._myst, "chapters": list(self.chapters.values())}, False)
        self.app.env.mystnb_config = self.app.env.mystnb_config.copy(custom_formats={".md": reader})
        try:
            self.app.build()
        finally:
            self.problems.stop(chosen)  # what Sphinx warned of tells more than where it gave up
        trees = [self.app.env.get_and_resolve_doctree(chapter.docname, self.app.builder) for chapter in chosen]
        self.problems.stop(chosen)
        return [pieces(self.app.builder, c.docname, tree, c.code) for c, tree in zip(chosen, trees, strict=True)]

    @property
    def _myst(self) -> MdParserConfig:
        return self.app.env.myst_config

    def _read_cells(self, name: str) -> Chapter:
        source = Path(self.app.env.doc2path(name))
        text = source.read_text(encoding="utf8")
        if not is_myst_markdown_notebook(text):
            raise ExportError(f"{source}:1: a chapter begins with jupytext's front matter; this file does not.")
        notebook, lines = _parse(text, self._myst)
        return Chapter(name, source, text, notebook.cells, lines)


def _parse(text: str, config: MdParserConfig) -> tuple[NotebookNode, list[int]]:
    """The cells of a source, and the line where each begins; a code cell begins with its fence."""
    notebook = read_myst_markdown_notebook(text, config=config, add_source_map=True)
    rows = text.splitlines()
    lines = []
    for cell, row in zip(notebook.cells, notebook.metadata.source_map, strict=True):
        if cell.cell_type == "markdown":
            row = next(i for i in range(row, len(rows)) if rows[i]) + 1
        lines.append(row)
    return notebook, lines


def read_cells(text: str, *, config: MdParserConfig, chapters: list[Chapter]) -> NotebookNode:
    """What myst-nb calls to read a source: the cells, with the outputs that the exporter has for them."""
    notebook, lines = _parse(text, config)
    # myst-nb and myst-parser each count from one: without this every message would name the line after its own.
    notebook.metadata.source_map = [line - 2 for line in lines]
    chapter = next((chapter for chapter in chapters if chapter.text.strip() == text.strip()), None)
    for index, outputs in (chapter.outputs if chapter else {}).items():
        notebook.cells[index].outputs = copy.deepcopy(outputs)  # myst-nb moves glued values out of them
    return notebook


def read_config(root: Path) -> dict:
    """`_config.yml`, the only place with the address of the repository."""
    path = root / "_config.yml"
    if not path.exists():
        raise ExportError(f"{path}: this file is missing; the exporter reads the repository's address from it.")
    try:
        return yaml.safe_load(path.read_text(encoding="utf8")) or {}
    except yaml.MarkedYAMLError as error:
        raise ExportError(f"{path}:{error.problem_mark.line + 1}: {error.problem}.") from error


def page_url(config: dict) -> str:
    """Where the book is published: `html: baseurl:`, or the GitHub page of the repository."""
    if base := (config.get("html") or {}).get("baseurl"):
        return base.rstrip("/")
    repository = urlparse((config.get("repository") or {}).get("url", ""))
    if repository.netloc != "github.com" or repository.path.strip("/").count("/") != 1:
        raise ExportError("_config.yml: give `html: baseurl:`, links to other chapters need it.")
    owner, name = repository.path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}"


@contextmanager
def open_book(root: Path) -> Iterator[Book]:
    """The book, open as long as the `with` block; Sphinx keeps its files in a temporary folder."""
    config = read_config(root)
    with tempfile.TemporaryDirectory() as scratch, patch_docutils(str(root)), docutils_namespace():
        try:
            app = Sphinx(
                srcdir=root,
                confdir=None,
                outdir=Path(scratch, "out"),
                doctreedir=Path(scratch, "trees"),
                buildername=NotebookBuilder.name,
                confoverrides=_sphinx_settings(root),
                status=None,
                warning=io.StringIO(),
            )
            app.builder.base_url = page_url(config)
            yield Book(root, app)
        except SphinxError as error:
            raise ExportError(str(error)) from error


def _sphinx_settings(root: Path) -> dict:
    settings, _ = get_final_config(
        user_yaml=root / "_config.yml", sourcedir=root, cli_config={"latex_individualpages": False}
    )
    # sphinx-thebe writes its scripts into every page, even where it is off.
    settings["extensions"] = [name for name in settings["extensions"] if name != "sphinx_thebe"] + [__name__]
    settings["nb_execution_mode"] = "off"
    priorities = [[NotebookBuilder.name, mime, i] for i, mime in enumerate(MIME_TYPES)]
    settings["nb_mime_priority_overrides"] = [*settings.get("nb_mime_priority_overrides", []), *priorities]
    return settings


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_builder(NotebookBuilder)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class _Problems(logging.Handler):
    """Collects Sphinx's warnings with their places."""

    def __init__(self, app: Sphinx) -> None:
        super().__init__(logging.WARNING)
        self.found: list[tuple[str, str]] = []
        self.addFilter(WarningSuppressor(app))
        self.addFilter(WarningLogRecordTranslator(app))
        logging.getLogger("sphinx").addHandler(self)  # Sphinx drops it when the next book is opened

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((str(getattr(record, "location", None) or ""), record.getMessage()))

    def stop(self, chapters: list[Chapter]) -> None:
        """Raise what was found in these chapters or in no known place; other pages have their own export."""
        stems = tuple(str(chapter.source.with_suffix("")) for chapter in chapters)  # some places lack the suffix
        ours = []
        for place, text in self.found:
            if not place or place.startswith(stems):
                # Messages from docutils name their place themselves.
                ours.append(text if not place or text.startswith(place) else f"{place}: {text}")
        if ours:
            raise ExportError("\n".join(dict.fromkeys(ours)))
