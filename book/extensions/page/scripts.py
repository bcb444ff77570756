"""A page loads the scripts that it has a use for, none of which it needs to be read.

Bootstrap is not among them: of it the theme uses the menus in the head of a page, which
`book/_templates/article-header-buttons.html` makes of what HTML has. The search loads its index on its own page alone.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata

# What the text of a page must hold for a script to have something to do; other scripts are on every page.
USES = {
    "clipboard.min.js": r'class="highlight',
    "copybutton.js": r'class="highlight',
    "togglebutton.js": r'class="[^"]*\b(?:toggle|dropdown)\b',
    "design-tabs.js": r'class="[^"]*\bsd-tab',
    "live.js": r'class="gl-live"',
    "playground-engine.js": r'id="gl-playground"',
    "playground.js": r'id="gl-playground"',
    "math.js": r"<math\b",
    "folds.js": r'<details\b|class="[^"]*\b(?:toggle|dropdown)\b',
    "tooltips.js": r'class="gl-term"',
    "previews.js": r'class="reference internal" href="[^"]*#',
}


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_js_file("menus.js", loading_method="defer")
    app.connect("html-page-context", leave_out_idle_scripts, priority=900)  # after all who add a script
    return metadata()


def leave_out_idle_scripts(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take the scripts out of a page that would find nothing on it."""
    body = context.get("body", "")
    context["script_files"] = [script for script in context["script_files"] if is_used(script.filename, body)]


def is_used(script: object, body: str) -> bool:
    """Whether a script, named by its path or None where it stands in the page, has something to do in a text."""
    sign = USES.get(str(script).rpartition("/")[2])
    return sign is None or re.search(sign, body) is not None
