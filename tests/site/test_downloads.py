"""The PDF and the notebooks are linked where they are there, and stand beside the pages; elsewhere no link is dead."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from small_book import build, page, write_configuration

from benchmarks.page_audit import dead_links
from book.extensions.page.downloads import FOLDER, NOTEBOOKS_NAME, PDF_NAME, archive
from book.extensions.pdf.make import PDF

pytestmark = pytest.mark.slow  # three builds; `test_pages.py` looks for dead links

TOC = "format: jb-book\nroot: book/index\nchapters:\n  - file: book/01-one\n"


def links(root: Path) -> dict[str, str]:
    """The words and the addresses of the links on the first page."""
    return {link.text: link["href"] for link in page(root, "index").select("li a")}


def rebuild(root: Path) -> None:
    done = build(root)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small book with one chapter, of which a notebook is committed, and no PDF."""
    root = tmp_path_factory.mktemp("book")
    write_configuration(root, TOC)
    (root / "book/index.md").write_text("# A book\n\n```{downloads}\n```\n", encoding="utf8")
    (root / "book/01-one.md").write_text("# One\n\nOne.\n", encoding="utf8")
    (root / "book/01-one.ipynb").write_text("{}", encoding="utf8")
    rebuild(root)
    return root


def test_the_first_page_follows_the_pdf(root: Path) -> None:
    pages = root / "_build/html"
    notebooks = {"All chapters as notebooks": f"../{FOLDER}/{NOTEBOOKS_NAME}"}
    assert links(root) == notebooks
    assert dead_links(pages) == []
    (root / PDF).parent.mkdir()
    (root / PDF).write_bytes(b"%PDF" + bytes(2_000_000))
    rebuild(root)
    assert links(root) == {"The whole book as one PDF": f"../{FOLDER}/{PDF_NAME}", **notebooks}
    assert "(2.0 MB)" in page(root, "index").text
    assert (pages / FOLDER / PDF_NAME).read_bytes() == (root / PDF).read_bytes()
    assert dead_links(pages) == []
    rebuild(root)  # with nothing to do
    assert dead_links(pages) == []
    (root / PDF).unlink()
    rebuild(root)
    assert links(root) == notebooks
    assert not (pages / FOLDER / PDF_NAME).exists()


def test_the_archive_holds_the_notebooks(root: Path) -> None:
    with ZipFile(root / "_build/html" / FOLDER / NOTEBOOKS_NAME) as zipped:
        assert zipped.namelist() == ["01-one.ipynb"]
        assert zipped.read("01-one.ipynb") == b"{}"


def test_the_archive_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{}")
    first = archive([tmp_path / "a.ipynb"])
    (tmp_path / "a.ipynb").touch()
    assert archive([tmp_path / "a.ipynb"]) == first
    assert ZipFile(BytesIO(first)).infolist()[0].external_attr >> 16 == 0o644


def test_the_book_offers_all_its_chapters(built_book: Path) -> None:
    offered = [link["href"] for link in page(built_book.parents[1], "index").select(f"a[href*='{FOLDER}']")]
    assert f"../{FOLDER}/{NOTEBOOKS_NAME}" in offered
    with ZipFile(built_book / FOLDER / NOTEBOOKS_NAME) as zipped:
        assert len(zipped.namelist()) == 12
