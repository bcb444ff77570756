"""What a page owes to readers who hear it: words for every image, and names that name one thing only."""

from __future__ import annotations

from collections import Counter

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", warn_of_silent_images)
    app.connect("doctree-resolved", number_repeated_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def warn_of_silent_images(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """A missing alt text is a warning, and with that fails the build."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            LOGGER.warning(
                "no alt text for the image %s; a code cell returns a gradelib.figures.Picture, not a bare figure",
                image["uri"],
                location=docname,
            )


def number_repeated_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Every exercise, solution and proof comes with the same id; from the second on it gets a number."""
    seen = Counter()
    for element in doctree.findall(nodes.Element):
        for place, name in enumerate(element.get("ids", [])):
            seen[name] += 1
            if seen[name] > 1:
                element["ids"][place] = f"{name}-{seen[name]}"
