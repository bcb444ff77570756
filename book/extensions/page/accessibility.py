"""What a page owes to readers who hear it: words for every image, names that name one thing only, and true roles."""

from __future__ import annotations

import re
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
# What the tools say of their own HTML is here and there untrue: pattern, and what to write in its place.
MENDED = {
    # An empty cell heads nothing.
    r'<th class="head">(?:<p></p>)?</th>': "<td></td>",
    # The role of an entry was given up by its makers, and a list may hold nothing but entries.
    r' role="list"(?= class="citation-list">)|(?<=") role="doc-biblioentry"(?=>)': "",
    # The line says itself what it opens.
    r'<summary aria-label="Toggle hidden content">': "<summary>",
}
# The first page of the folder, which only leads on; the tool that makes it writes nothing but the order to do so.
WAY_IN = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta http-equiv="refresh" content="0; url={target}">
    <title>{title}</title>
    <link rel="icon" href="_static/favicon.svg">
  </head>
  <body><p><a href="{target}">{title}</a></p></body>
</html>
"""
SIDE_BAR = re.compile(r'<div id="pst-primary-sidebar"(?! role)')


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", warn_of_silent_images)
    app.connect("doctree-resolved", number_repeated_names)
    app.connect("html-page-context", mend_roles)
    app.connect("build-finished", name_the_side_bar)
    app.connect("build-finished", furnish_the_way_in, priority=900)  # after it was made
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
    if app.builder.format == "latex":
        return  # there all pages are one, and each name carries its page
    seen = Counter()
    for element in doctree.findall(nodes.Element):
        for place, name in enumerate(element.get("ids", [])):
            seen[name] += 1
            if seen[name] > 1:
                element["ids"][place] = f"{name}-{seen[name]}"


def mend_roles(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Let the text of a page say of its parts what is true."""
    for pattern, mended in MENDED.items():
        if "body" in context:
            context["body"] = re.sub(pattern, mended, context["body"])


def name_the_side_bar(app: Sphinx, error: Exception | None) -> None:
    """Make a landmark of the side bar, so that the sign and the name of the book stand in one."""
    if error is None:
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            named = SIDE_BAR.sub(r'\g<0> role="complementary" aria-label="The book"', text)
            if named != text:
                page.write_text(named, encoding="utf-8")


def furnish_the_way_in(app: Sphinx, error: Exception | None) -> None:
    """Give the page that only leads on a language, a title, an icon and a link."""
    target = app.builder.get_target_uri(app.config.root_doc)
    if error is None and app.builder.format == "html" and target != "index.html":
        way_in = WAY_IN.format(target=target, title=escape(app.config.html_title))
        Path(app.outdir, "index.html").write_text(way_in, encoding="utf-8")
