"""Accessibility of the pages: alt text for every image, unique ids, and ARIA roles and labels that are true.

What the theme's templates allow (landmarks, the language and title of the redirect) is done in `book/_templates`.
"""

from __future__ import annotations

from collections import Counter

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

from book.extensions import metadata

LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-resolved", warn_of_missing_alt_text)
    app.connect("doctree-resolved", make_ids_unique)
    # No template has a say in these: their HTML is written node by node.
    app.add_node(nodes.entry, override=True, html=(visit_entry, HTML5Translator.depart_entry))
    app.add_node(nodes.citation, override=True, html=(visit_citation, HTML5Translator.depart_citation))
    return metadata()


def warn_of_missing_alt_text(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """A missing alt text is a warning, and with that fails the build."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            LOGGER.warning(
                "no alt text for the image %s; a code cell returns a gradelib.figures.Picture, not a bare figure",
                image["uri"],
                location=docname,
            )


def make_ids_unique(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Number repeated ids from the second on: sphinx-exercise and sphinx-proof give all their nodes the same one."""
    if app.builder.format == "latex":
        return  # there all pages are one document, and each label carries its page
    seen: Counter[str] = Counter()
    for element in doctree.findall(nodes.Element):
        for position, name in enumerate(element.get("ids", [])):
            seen[name] += 1
            if seen[name] > 1:
                element["ids"][position] = f"{name}-{seen[name]}"


# --- visitors of the HTML translator


def visit_entry(self: HTML5Translator, node: nodes.entry) -> None:
    """A cell of a table; an empty one in the head is no header (axe: empty-table-header)."""
    type(self).visit_entry(self, node)
    if isinstance(node.parent.parent, nodes.thead) and not node.astext().strip():
        self.body[-1] = self.body[-1].replace("<th ", "<td ", 1)
        self.context[-1] = "</td>\n"


def visit_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """An entry of the bibliography without docutils' roles: doc-biblioentry is deprecated and no child of a list."""
    if not isinstance(node.previous_sibling(), nodes.citation):
        self.body.append('<div class="citation-list">\n')
    self.body.append(self.starttag(node, "div", classes=[node.tagname]))
