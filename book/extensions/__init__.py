"""The Sphinx extensions of the book, one for each part of a page that Sphinx and its theme do not bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PARTS = (
    "page.accessibility",
    "page.layout_shift",
    "page.opengraph",
    "page.offline",
    "page.pruning",
    "evidence",
    "page.tooltips",
    "page.reading_time",
    "pdf.latex",
    "notebooks.execution",
)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("comments_config", {}, "html")  # Jupyter Book sets it for an extension that is not loaded here
    for part in PARTS:
        app.setup_extension(f"{__name__}.{part}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
