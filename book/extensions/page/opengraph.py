"""The card that other sites show of a link to a page: its title, its opening paragraph, and the picture of the book."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from sphinx.application import Sphinx

PICTURE = Path("_static", "card.png")
TITLE = "On Implicit\nRegularization\nin β-VAEs"
SAID = "derived, run and checked"
SEEN = f"{' '.join(TITLE.split())}: {SAID}. Two ellipses around one point, one turned and one straight."
LONGEST = 200  # characters that are sure to be shown


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", describe)
    app.connect("build-finished", draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def address(repository: str) -> str:
    """Where GitHub Pages shows a book: that of github.com/owner/name stands at owner.github.io/name."""
    owner, name = urlsplit(repository).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/"


def opening(doctree: nodes.document) -> str:
    """The first paragraph of the text, formulas read as they are written, as long as a card may be."""
    paragraphs = (node for section in doctree.findall(nodes.section) for node in section.findall(nodes.paragraph))
    words = " ".join(next(paragraphs, nodes.paragraph()).astext().split())
    return words if len(words) <= LONGEST else words[:LONGEST].rpartition(" ")[0] + " …"


def describe(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Say in the head of a page what the page is; nobody's browser fetches anything for it."""
    if doctree is None:
        return
    site = address(app.config.html_theme_options["repository_url"])
    said = opening(doctree)
    properties = {
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:title": app.env.titles[name].astext(),
        "og:description": said,
        "og:url": site + app.builder.get_target_uri(name),
        "og:image": site + PICTURE.as_posix(),
        "og:image:alt": SEEN,
    }
    tags = [f'<meta property="{key}" content="{escape(value)}">' for key, value in properties.items()]
    names = {"description": said, "twitter:card": "summary_large_image"}
    tags += [f'<meta name="{key}" content="{escape(value)}">' for key, value in names.items()]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def draw(app: Sphinx, error: Exception | None) -> None:
    """Draw the sign of the book (`book/_static/logo.svg`) and its name, in the size that such cards have."""
    if error or app.builder.format != "html":
        return
    figure = Figure(figsize=(12, 6.3), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 120), ylim=(0, 63))
    axes.set_axis_off()
    axes.text(8, 34, TITLE, size=48, weight="bold", color="#1f2328", va="center", linespacing=1.25)
    axes.text(8, 8, SAID, size=24, color="#6e7781")
    for width, height, angle, colour in ((46, 19, 40, "#2258dc"), (24, 16, 0, "#ba8a13")):
        axes.add_patch(Ellipse((92, 33), width, height, angle=angle, fill=False, linewidth=7, color=colour))
    axes.add_patch(Ellipse((92, 33), 5.6, 5.6, color="#ce2363"))
    figure.savefig(Path(app.outdir, PICTURE))
