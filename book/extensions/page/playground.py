"""The playground: a page on which small models are trained in the browser.

The page (`book/playground.md`) holds all that can be read. The scripts find their controls and pictures there, and no
other page loads them (`scripts.py`).
"""

from __future__ import annotations

from pathlib import Path

import minify
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata

SCRIPTS = ("scripts/playground-engine.js", "scripts/playground.js")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_css_file("playground.css")
    for script in SCRIPTS:
        app.add_js_file(script, loading_method="defer")
    app.connect("build-finished", minify_scripts)
    return metadata()


def minify_scripts(app: Sphinx, error: Exception | None) -> None:
    """Write the scripts without comments and spaces."""
    for script in SCRIPTS:
        path = Path(app.outdir, "_static", script)
        if error is None and app.builder.format == "html" and path.exists():
            path.write_text(minify.string("application/javascript", path.read_text(encoding="utf-8")), encoding="utf-8")
