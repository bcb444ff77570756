"""Previews: a link to an equation, a theorem or a citation shows what it leads to.

`book/_static/previews.js` clones the target where it stands on the same page. From another page it has to come by a
script, since a page that was opened as a file may read no other one: for each page with targets there is one,
`_static/previews/PAGE.js`, which is loaded when a link to that page is first asked about.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata
from gradelib._files import write_atomically

FOLDER = "previews"  # in the folder of static files


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_js_file("previews.js", loading_method="defer")
    app.connect("html-page-context", write_targets)
    return metadata()


def write_targets(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the script with the targets of a page, or remove it where the page has none any more."""
    path = Path(app.outdir, "_static", FOLDER, f"{name}.js")
    found = {} if doctree is None else targets(app.builder, doctree)
    if not found:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    write_atomically(path, f"(window.glPreviews ??= {{}})[{json.dumps(name)}] = {content};\n")


def targets(builder: Builder, doctree: nodes.document) -> dict[str, str]:
    """What links can lead to on a page: each anchor with its HTML."""
    found: dict[str, str] = {}
    for node in doctree.findall(_is_target):
        translator = builder.create_translator(doctree, builder)
        node.walkabout(translator)
        found |= dict.fromkeys(node["ids"], "".join(translator.body).strip())
    return found


def _is_target(node: nodes.Node) -> bool:
    """Whether a node has an anchor and is an equation, an entry of the bibliography, or anything of sphinx-proof."""
    if not isinstance(node, nodes.Element) or not node["ids"]:
        return False
    return isinstance(node, nodes.math_block | nodes.citation) or "proof" in node["classes"]
