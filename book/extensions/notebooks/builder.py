"""Write each chapter as a notebook, with the outputs that the build has stored: `--custom-builder notebooks`.

`notebooks-check` writes nothing; it warns of every committed notebook that its source would not give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from myst_nb.sphinx_ import SphinxEnvType
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.osutil import ensuredir
from sphinx.util.typing import ExtensionMetadata

from book.extensions import chapter_sources, is_chapter, metadata
from book.extensions.cells import is_code_cell, is_mime_bundle
from book.extensions.notebooks.chapter import Chapter, NotebookError, read_chapter, with_outputs
from book.extensions.notebooks.notebook import (
    MIME_TYPES,
    code_cell,
    first_difference,
    new_notebook,
    read_notebook,
    serialize,
    set_up_cell,
)
from book.extensions.notebooks.translator import Cell, NotebookTranslator
from book.extensions.site import site_url
from gradelib._files import write_atomically

logger = logging.getLogger(__name__)


class NotebookBuilder(Builder):
    """Writes `book/NN-name.ipynb` for each chapter; other pages have no code to run."""

    name = "notebooks"
    format = "notebooks"
    epilog = "The notebooks are in %(outdir)s."
    allow_parallel = True
    supported_remote_images = True
    default_translator_class = NotebookTranslator

    current_docname: str
    current_chapter: Chapter
    fignumbers: dict[str, dict[str, tuple[int, ...]]]  # Sphinx's helper for equation numbers reads it here

    def init(self) -> None:
        self.site_url = site_url(self.config)

    def get_outdated_docs(self) -> Iterable[str]:
        """All chapters: a notebook depends on the numbers of other pages, and is written in a moment."""
        return filter(is_chapter, self.env.found_docs)

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        return f"{self.site_url}{docname}.html"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """A link inside one notebook stays inside; any other leads to the published page."""
        return "" if from_ == to else self.get_target_uri(to)

    def write(
        self,
        build_docnames: Iterable[str] | None,
        updated_docnames: Sequence[str],
        method: Literal["all", "specific", "update"] = "update",
    ) -> None:
        super().write(list(self.get_outdated_docs()), [], "specific")

    def prepare_writing(self, docnames: set[str]) -> None:
        self.cache = get_cache(cast(SphinxEnvType, self.env).mystnb_config.execution_cache_path)
        for source in chapter_sources(Path(self.srcdir)):
            if self.env.path2doc(source) not in self.env.found_docs:
                raise NotebookError(f"{source}:1: _toc.yml does not list this chapter.")

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        if is_chapter(docname):  # Sphinx adds the root of the book
            cells = self.translate(docname, doctree)
            notebook = new_notebook([self.set_up_cell(), *map(self.notebook_cell, cells)], docname)
            self.write_notebook(docname, notebook, [1, *(cell.line for cell in cells)])

    def write_notebook(self, docname: str, notebook: NotebookNode, lines: list[int]) -> None:
        """Do what the builder is for; `lines` says where in the source each cell begins."""
        target = Path(self.outdir, f"{docname}.ipynb")
        ensuredir(target.parent)
        write_atomically(target, serialize(notebook))

    def translate(self, docname: str, doctree: nodes.document) -> list[Cell]:
        chapter = read_chapter(Path(self.env.doc2path(docname)), cast(SphinxEnvType, self.env).myst_config)
        self.current_docname, self.current_chapter = docname, with_outputs(chapter, self.cache)
        self.fignumbers = self.env.toc_fignumbers.get(docname, {})
        translator = self.create_translator(doctree, self)
        doctree.walkabout(translator)
        return translator.cells

    def notebook_cell(self, cell: Cell) -> NotebookNode:
        if cell.code is None:
            return nbformat.v4.new_markdown_cell("\n\n".join(cell.blocks))
        source = self.current_chapter.cells[cell.code]
        for output in source.outputs:
            if output.get("name") == "stderr":
                place = self.current_docname, cell.line
                logger.warning("this cell writes to stderr: %s", output.text.strip(), location=place, type="notebooks")
        return code_cell(source, cell.solution)

    def set_up_cell(self) -> NotebookNode:
        options = self.config.html_theme_options
        return set_up_cell(options["repository_url"], options["repository_branch"])

    def finish(self) -> None:
        """Nothing is left to do."""


class NotebookCheckBuilder(NotebookBuilder):
    """Compares each chapter with the notebook beside its source; warns at the first cell that differs."""

    name = "notebooks-check"
    epilog = "The committed notebooks were compared with their sources."

    def write_notebook(self, docname: str, notebook: NotebookNode, lines: list[int]) -> None:
        committed = read_notebook(self.current_chapter.source.with_suffix(".ipynb"))
        number = first_difference(notebook, committed)
        if number is not None:
            stale, line = f"at cell {number}", lines[min(number, len(lines) - 1)]
        elif notebook.metadata != committed.metadata:
            stale, line = "in its metadata", 1
        else:
            return
        place = docname, line
        logger.warning("the notebook is stale %s; run `make words`", stale, location=place, type="notebooks")


class RemoveOutputs(SphinxPostTransform):
    """Takes the outputs of code cells out of the doctree before MyST-NB chooses a form of each.

    A notebook has them from the jupyter-cache; of an output that is a figure, its caption stays.
    """

    default_priority = 3  # before `myst_nb.sphinx_.SelectMimeType`
    formats = (NotebookBuilder.format,)

    def run(self, **kwargs: Any) -> None:
        for bundle in list(self._bundles()):
            bundle.parent.remove(bundle)

    def _bundles(self) -> Iterator[nodes.Node]:
        for cell in self.document.findall(is_code_cell):
            yield from cell.findall(is_mime_bundle)


def choose_text(app: Sphinx, config: Config) -> None:
    """Of a value that is glued into the text, take the form in words."""
    names = NotebookBuilder.name, NotebookCheckBuilder.name
    priorities = [[name, mime, place] for name in names for place, mime in enumerate(MIME_TYPES)]
    config.nb_mime_priority_overrides = [*config.nb_mime_priority_overrides, *priorities]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_builder(NotebookBuilder)
    app.add_builder(NotebookCheckBuilder)
    app.add_post_transform(RemoveOutputs)
    app.connect("config-inited", choose_text)
    return metadata()
