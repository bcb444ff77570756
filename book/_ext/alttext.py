"""An image without words for those who cannot see it is a warning, and with that fails the build."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", warn_of_silent_images)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def warn_of_silent_images(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            LOGGER.warning(
                "no alt text for the image %s; a code cell returns a gradelib.figures.Picture, not a bare figure",
                image["uri"],
                location=docname,
            )
