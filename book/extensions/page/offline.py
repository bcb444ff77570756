"""Pages without a server or a network: no flash of the light theme, search from `file://`, notebooks to download."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata

# The theme knows its mode only after its last script; this runs in the head, so that a dark page never flashes light.
# On paper every page is light.
MODE = """{
  const page = document.documentElement.dataset;
  page.mode ||= "auto";
  page.theme ||= matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  let seen;
  addEventListener("beforeprint", () => { seen = page.theme; page.theme = "light"; });
  addEventListener("afterprint", () => { page.theme = seen; });
}"""

# A page that was opened as a file may read no other one: the search would stumble over every page that it lists.
NO_EXCERPTS = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_js_file(None, body=MODE, priority=100)
    app.connect("html-page-context", search_without_excerpts)
    app.connect("build-finished", copy_committed_notebooks)
    return metadata()


def search_without_excerpts(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let the search list what it finds without excerpts where there is no server."""
    if name == "search":
        app.add_js_file(None, body=NO_EXCERPTS)


def copy_committed_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Let the download button give the notebook that is committed beside the chapter; MyST-NB's own is in raw MyST."""
    sources = Path(app.outdir, "_sources")
    for download in sources.rglob("*.ipynb"):
        committed = Path(app.srcdir, download.relative_to(sources))
        if error is None and committed.exists():
            shutil.copyfile(committed, download)
