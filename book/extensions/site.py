"""The address at which the book is published: link previews, notebooks and the PDF all ask here for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("config-inited", configure_open_graph)
    return metadata()


def site_url(config: Config) -> str:
    """The address of the site, with a slash at its end: `html: baseurl`, or else the repository's GitHub page.

    Raises ConfigError where `_config.yml` gives neither.
    """
    if config.html_baseurl:
        return f"{config.html_baseurl.rstrip('/')}/"
    repository = urlsplit((config.html_theme_options or {}).get("repository_url") or "")
    owner, _, name = repository.path.strip("/").removesuffix(".git").partition("/")
    if repository.netloc != "github.com" or not owner or not name or "/" in name:
        raise ConfigError("_config.yml: give `html: baseurl:`; links to the published pages need it.")
    return f"https://{owner}.github.io/{name}/"


def configure_open_graph(app: Sphinx, config: Config) -> None:
    """Tell sphinxext-opengraph, which writes the Open Graph tags of each page, where the pages will stand."""
    config.ogp_site_url = site_url(config)
    config.ogp_site_name = config.html_title
