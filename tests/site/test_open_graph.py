"""Link previews (Open Graph): each page says its title, description, address and picture, at the site's address."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image
from sphinx.errors import ConfigError
from table_of_contents import files

from benchmarks.page_audit import parse
from book.extensions.site import site_url

ROOT = Path(__file__).parents[2]
CARD = ROOT / "book" / "_static" / "card.png"


def config(baseurl: str = "", repository: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(html_baseurl=baseurl, html_theme_options={"repository_url": repository})


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (config("https://example.org/b"), "https://example.org/b/"),
        (config("https://example.org/b/", "https://github.com/owner/name"), "https://example.org/b/"),
        (config(repository="https://github.com/owner/name"), "https://owner.github.io/name/"),
        (config(repository="https://github.com/owner/name.git"), "https://owner.github.io/name/"),
    ],
)
def test_the_address_is_the_base_url_or_the_page_of_the_repository(given, address):
    assert site_url(given) == address


@pytest.mark.parametrize("repository", [None, "", "https://example.org/owner/name", "https://github.com/owner"])
def test_without_an_address_the_build_says_what_to_give(repository):
    with pytest.raises(ConfigError, match=r"give `html: baseurl:`"):
        site_url(config(repository=repository))


def test_every_page_has_its_tags(built_book):
    owner, name = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"].split("/")[-2:]
    site = f"https://{owner}.github.io/{name}/"
    for file in files():
        page = parse(built_book / f"{file}.html")
        tags = {tag.get("property") or tag.get("name"): tag.get("content") for tag in page.find_all("meta")}
        assert tags["og:url"] == f"{site}{file}.html"
        assert tags["og:image"] == f"{site}_static/card.png"
        assert "β-VAEs" in tags["og:image:alt"]
        assert tags["og:site_name"] == "On Implicit Regularization in β-VAEs"
        assert tags["og:type"] == "article"
        assert tags["og:title"] in page.select_one("article h1").get_text()
        assert 20 < len(tags["og:description"]) <= 150
        assert tags["description"] == tags["og:description"]
        assert tags["twitter:card"] == "summary_large_image"


def test_the_picture_is_small_and_has_the_size_of_previews(built_book):
    assert Image.open(CARD).size == (1200, 630)
    assert CARD.stat().st_size < 100_000
    assert (built_book / "_static" / "card.png").read_bytes() == CARD.read_bytes()
