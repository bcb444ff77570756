"""The Sphinx extensions of the book, one for each part of a page that Sphinx and its theme do not bring."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

PARTS = (
    "site",
    "mathml",
    "page.accessibility",
    "page.offline",
    "page.playground",
    "page.code_colours",
    "page.downloads",
    "page.drawings",
    "page.folds",
    "page.folded_code",
    "page.fonts",
    "page.scripts",
    "page.style_sheet",
    "page.pruning",
    "evidence",
    "exercises",
    "page.tooltips",
    "page.previews",
    "page.reading_time",
    "pdf.latex",
    "notebooks.builder",
    "notebooks.execution",
)


def metadata() -> ExtensionMetadata:
    """What each part's `setup` returns: all have the package's version and may run in several processes."""
    return {"version": version("gradelib"), "parallel_read_safe": True, "parallel_write_safe": True}


def is_chapter(docname: str) -> bool:
    """Whether a page is a chapter: the names of chapters begin with their number."""
    return PurePosixPath(docname).name[0].isdigit()


def chapter_sources(root: Path) -> list[Path]:
    """The source files of the chapters, in their order."""
    return sorted(path for path in root.glob("book/*.md") if is_chapter(path.stem))


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_config_value("comments_config", {}, "html")  # Jupyter Book sets it for an extension that is not loaded here
    for part in PARTS:
        app.setup_extension(f"{__name__}.{part}")
    return metadata()
