"""The book as files: a directive that lists the PDF and the notebooks, and puts them beside the pages.

`make pdf` makes the PDF, which takes LaTeX. Where it was not made, it is not listed.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from book.extensions import chapter_sources, metadata
from book.extensions.pdf.make import PDF
from gradelib._files import write_atomically

FOLDER = "_downloads"
PDF_NAME = "implicit-regularization.pdf"
NOTEBOOKS_NAME = "implicit-regularization-notebooks.zip"


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("downloads", DownloadList)
    app.connect("build-finished", write_downloads)
    return metadata()


class DownloadList(SphinxDirective):
    """A list of links to the files of the book that are there."""

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        # Sphinx reads the page again when the PDF is newer than the page, and each time while there is none.
        self.env.note_dependency(PDF)
        items = []
        if (root / PDF).exists():
            size = (root / PDF).stat().st_size / 1e6
            items.append(self._item("The whole book as one PDF", PDF_NAME, f" ({size:.1f} MB)."))
        if notebooks(root):
            items.append(self._item("All chapters as notebooks", NOTEBOOKS_NAME, " (zip)."))
        return [addnodes.only("", nodes.bullet_list("", *items), expr="html")] if items else []

    def _item(self, words: str, name: str, rest: str) -> nodes.list_item:
        address = "../" * self.env.docname.count("/") + f"{FOLDER}/{name}"
        link = nodes.reference("", words, refuri=address, internal=True)
        return nodes.list_item("", nodes.paragraph("", "", link, nodes.Text(rest)))


def notebooks(root: Path) -> list[Path]:
    """The committed notebooks of the chapters, in their order."""
    beside = (source.with_suffix(".ipynb") for source in chapter_sources(root))
    return [notebook for notebook in beside if notebook.exists()]


def write_downloads(app: Sphinx, error: Exception | None) -> None:
    """Put the files beside the pages; what is not there any more is taken away."""
    if error or app.builder.format != "html":
        return
    folder, made = Path(app.outdir, FOLDER), Path(app.srcdir, PDF)
    folder.mkdir(exist_ok=True)
    if made.exists():
        write_atomically(folder / PDF_NAME, made.read_bytes())
    else:
        (folder / PDF_NAME).unlink(missing_ok=True)
    if found := notebooks(Path(app.srcdir)):
        write_atomically(folder / NOTEBOOKS_NAME, archive(found))


def archive(files: list[Path]) -> bytes:
    """A zip of the files, which is the same, byte by byte, while the files are."""
    with ZipFile(buffer := BytesIO(), "w") as zipped:
        for file in files:
            entry = ZipInfo(file.name)  # with a date that is always the same
            entry.external_attr = 0o644 << 16
            zipped.writestr(entry, file.read_bytes(), ZIP_DEFLATED, 9)
    return buffer.getvalue()
