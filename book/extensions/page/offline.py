"""What a page needs to live without a network and without a kernel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

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

# Every kernel that the build starts inherits this: live figures as plain HTML without widgets, no progress bars, and
# one thread, since for small matrices a second one only waits for the first.
KERNEL = {"GRADELIB_STATIC": "1", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


def setup(app: Sphinx) -> dict[str, bool]:
    os.environ.update(KERNEL)
    app.add_js_file(None, body=MODE, priority=100)
    app.connect("html-page-context", search_in_files)
    app.connect("build-finished", offer_clean_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def search_in_files(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let the search list what it finds without excerpts where there is no server."""
    if name == "search":
        app.add_js_file(None, body=NO_EXCERPTS)


def offer_clean_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Let the download button give the notebook that stands beside the chapter; the build's own is in raw MyST."""
    sources = Path(app.outdir, "_sources")
    for offered in sources.rglob("*.ipynb"):
        clean = Path(app.srcdir, offered.relative_to(sources))
        if error is None and clean.exists():
            shutil.copyfile(clean, offered)
