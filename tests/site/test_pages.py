"""The built pages: files, links, ids, weight, scripts, buttons, search, print, and reading without scripts."""

from __future__ import annotations

import re
from collections import Counter
from copy import copy
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from screenshots import pixels
from selenium.webdriver.common.by import By
from table_of_contents import files, pages

from benchmarks.page_audit import (
    DESKTOP,
    PHONE,
    axe_violations,
    dead_links,
    horizontal_overflow,
    html_pages,
    images_without_alt,
    parse,
)

ROOT = Path(__file__).parents[2]


# --- the files


def test_every_page_of_the_table_of_contents_is_there(built_book):
    assert "book/index.html" in pages()
    assert {page.relative_to(built_book).as_posix() for page in html_pages(built_book)} == set(pages())


def test_the_index_redirects_to_the_book(built_book):
    page = parse(built_book / "index.html")
    assert page.html["lang"] == "en"
    assert page.title.text == "On Implicit Regularization in β-VAEs"
    assert page.find("meta", {"http-equiv": "refresh"})["content"] == "0; url=book/index.html"
    assert page.a["href"] == "book/index.html"
    assert page.find("link", rel="icon")["href"] == "_static/favicon.svg"  # otherwise a browser looks for one, in vain


def test_no_link_inside_the_book_is_dead(built_book):
    assert dead_links(built_book) == []


def test_a_dead_link_is_found(tmp_path):
    links = '<p id="here"><a href="#here">a</a><a href="#gone">b</a><img src="gone.png"><a href="b.html#no">c</a>'
    (tmp_path / "a.html").write_text(links)
    (tmp_path / "b.html").write_text("<p>")
    assert dead_links(tmp_path) == ["a.html → #gone", "a.html → gone.png", "a.html → b.html#no"]


def test_every_figure_has_alt_text(built_book):
    assert {page.name: silent for page in html_pages(built_book) if (silent := images_without_alt(parse(page)))} == {}


def test_a_figure_without_alt_text_is_found():
    silent = '<img src="a.png"><img src="b.png" alt=" "><svg aria-label="no role"></svg><svg role="img"></svg>'
    spoken = '<img src="c.png" alt="c"><svg role="img" aria-label="d"></svg>'
    assert len(images_without_alt(BeautifulSoup(f"<article>{silent}{spoken}</article>", "html.parser"))) == 4


# Raw source on a page: a dollar, the name of a TeX command, or marks of Markdown and MyST.
RAW = re.compile(r"\$|\\[A-Za-z]+|\*\*|\]\(|\{\w+\}`")


def raw_text(soup: BeautifulSoup) -> list[str]:
    """Raw source in the text of a page, outside of code and of formulas."""
    articles = [copy(article) for article in soup.select("article")]
    for article in articles:
        for formula in article.select("math, .math, pre, code, script, svg"):
            formula.decompose()
    return [piece for article in articles for piece in article.stripped_strings if RAW.search(piece)]


def test_no_raw_source_is_left(built_book):
    """A line of the source that begins with a minus makes a list in the middle of a formula, for one."""
    assert {page.name: raw for page in html_pages(built_book) if (raw := raw_text(parse(page)))} == {}


def test_raw_source_is_found():
    text = r"<article><p>$a</p><p>\beta</p><p>{ref}`a`</p><pre>$ a</pre><span class='math'>\(\beta\)</span></article>"
    assert raw_text(BeautifulSoup(text, "html.parser")) == ["$a", r"\beta", "{ref}`a`"]


def test_ids_are_unique(built_book):
    for page in html_pages(built_book):
        names = Counter(tag["id"] for tag in parse(page).find_all(id=True))
        assert [name for name, times in names.items() if times > 1] == [], page.name


def test_every_page_has_a_description(built_book):
    """Search engines show it; the page that leads on has none to show."""
    for page in html_pages(built_book):
        if page != built_book / "index.html":
            assert parse(page).find("meta", attrs={"name": "description"})["content"].strip(), page.name


def test_pages_keep_their_weight(built_book):
    """At most 200 kB of HTML, 295 kB where a figure is live, and 60 kB for that figure; 490 kB for all equations."""
    for page in html_pages(built_book):
        live = parse(page).select(".gl-live")
        allowed = 295_000 if live else 490_000 if page.name == "equations.html" else 200_000
        assert page.stat().st_size < allowed, page.name
        assert all(len(str(figure)) < 60_000 for figure in live), page.name


def test_pages_carry_no_widgets_and_no_script_from_elsewhere(built_book):
    for page in html_pages(built_book):
        sources = [tag["src"] for tag in parse(page).find_all("script", src=True)]
        assert all(urlsplit(source).scheme == "" for source in sources), page.name
        assert "application/vnd.jupyter.widget" not in page.read_text(), page.name


def test_scripts_are_deferred(built_book):
    """So that none holds back the first paint."""
    for page in html_pages(built_book):
        assert [tag["src"] for tag in parse(page).find_all("script", src=True) if not tag.has_attr("defer")] == []


def test_the_edit_button_leads_to_the_source(built_book):
    """On GitHub, where the page of a Markdown file can be edited at once."""
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    for file in files():
        links = [tag["href"] for tag in parse(built_book / f"{file}.html").select("a.btn-source-edit-button")]
        assert links == [f"{address}/edit/main/{file}.md"]
        assert (ROOT / f"{file}.md").exists()


def test_launch_and_download_buttons_lead_to_the_notebook(built_book):
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    organisation = address.removeprefix("https://github.com")
    for source in sorted((ROOT / "book").glob("*.ipynb")):
        links = [tag["href"] for tag in parse(built_book / "book" / f"{source.stem}.html").find_all("a", href=True)]
        for host in ("mybinder.org", "colab.research.google.com"):
            launch = [link for link in links if host in link]
            assert any(organisation in link and link.endswith(f"book/{source.name}") for link in launch), launch
        assert f"../_sources/book/{source.name}" in links
        assert (built_book / "_sources" / "book" / source.name).read_bytes() == source.read_bytes()


# --- the browser


def test_a_foreign_request_and_a_console_error_are_found(tmp_path, browser):
    browser.emulate()
    page = tmp_path / "page.html"
    page.write_text('<img src="https://example.invalid/a.png"><img src="gone.png"><script>console.error("oh")</script>')
    requests, errors = browser.open(page)
    assert requests == ["https://example.invalid/a.png"]
    assert any("gone.png" in error for error in errors)
    assert any("oh" in error for error in errors)


def test_horizontal_overflow_is_found(tmp_path, browser):
    browser.emulate(width=PHONE[0], height=PHONE[1])
    page = tmp_path / "page.html"
    phone = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page.write_text(phone + '<article><div style="overflow-x:auto"><p style="width:900px">fine</p></div></article>')
    browser.open(page)
    assert horizontal_overflow(browser) == (PHONE[0], [])
    page.write_text(phone + '<article><div style="overflow:hidden"><p style="width:900px">cut</p></div></article>')
    browser.open(page)
    assert horizontal_overflow(browser) == (PHONE[0], ['<p style="width:900px">cut</p>'])


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_edit_button_can_be_pressed(built_book, browser, size):
    """Its menu opens inside the window, and asks no other host before it is pressed."""
    width, height = size
    browser.emulate(width=width, height=height)
    requests, errors = browser.open(built_book / "book" / "index.html")
    browser.driver.find_element(By.CSS_SELECTOR, ".dropdown-source-buttons summary").click()
    link = browser.driver.find_element(By.CSS_SELECTOR, ".btn-source-edit-button")
    assert link.is_displayed()
    assert "Suggest edit" in link.text
    assert 0 <= link.rect["x"] < link.rect["x"] + link.rect["width"] <= width
    assert requests + errors + browser.errors() == []
    assert axe_violations(browser) == []


@pytest.mark.parametrize("dark", [False, True])
def test_icons_are_drawn_without_the_icon_script(built_book, browser, dark):
    browser.emulate(dark=dark)
    browser.open(built_book / "book" / "index.html")
    icons = """return [...document.querySelectorAll("i[class*=fa-]")].filter((icon) => icon.getClientRects().length)
      .map((icon) => getComputedStyle(icon, "::before").content)"""
    drawn = browser.run(icons)
    assert len(drawn) >= 3
    assert "none" not in drawn
    assert browser.run("return document.fonts.check(\"900 16px 'Font Awesome 6 Free'\")")


LISTED = """const done = arguments[0];
const wait = () => /finished/.test(document.querySelector(".search-summary")?.textContent)
  ? done([...document.querySelectorAll("ul.search li a")].map((link) => link.href)) : setTimeout(wait, 50);
wait();"""


def test_the_search_works_from_a_file(built_book, browser):
    """From file:// a page may fetch no other: the results come without excerpts and without console errors."""
    browser.emulate()
    _, errors = browser.open(built_book / "search.html", query="?q=amortisation")
    links = browser.run_async(LISTED)
    assert any("06-optimal-covariance.html" in link for link in links)
    assert errors + browser.errors() == []


def live_pages(book) -> list:
    return [page for page in html_pages(book) if b'class="gl-live"' in page.read_bytes()]


@pytest.mark.slow
def test_text_and_a_frame_are_there_without_scripts(built_book, browser):
    browser.emulate(scripts=False)
    for page in live_pages(built_book)[::4]:
        browser.driver.get(page.as_uri())
        spoken = browser.accessibility_tree()
        source = parse(page)
        heading = copy(source.select_one("article h1"))
        heading.find("a", class_="headerlink").decompose()
        assert ("heading", heading.get_text()) in spoken
        assert ("image", source.select_one(".gl-live svg")["aria-label"]) in spoken
        assert "slider" not in [role for role, _ in spoken]
        seen = pixels(browser.driver.find_element(By.CSS_SELECTOR, ".gl-live .gl-picture").screenshot_as_png)
        assert (np.abs(seen - seen[0, 0]).max(axis=2) > 100).mean() > 0.005


# The visible elements of a selector.
VISIBLE = """return [...document.querySelectorAll(arguments[0])]
  .filter((part) => part.checkVisibility({ visibilityProperty: true })).map((part) => part.outerHTML.slice(0, 90))"""
ONLY_ON_A_SCREEN = (
    ".gl-slider, .gl-words, .gl-badge, .bd-sidebar, .prev-next-area, .toggle-button, details.hide > summary"
)


@pytest.mark.slow
def test_print_shows_stills_and_solutions_and_no_controls(built_book, browser):
    for page in live_pages(built_book)[::4]:  # one style sheet serves all
        browser.emulate(dark=True)
        browser.open(page)
        browser.emulate(dark=True, paper=True)
        browser.run("dispatchEvent(new Event('beforeprint'))")
        assert browser.run(VISIBLE, ONLY_ON_A_SCREEN) == []
        assert len(browser.run(VISIBLE, ".gl-live svg")) == len(parse(page).select(".gl-live")), page.name
        solutions = [tag for tag in parse(page).select(".solution") if tag.select_one(".cell")]
        assert solutions
        assert len(browser.run(VISIBLE, ".solution:has(.cell) .cell_input")) >= len(solutions), page.name
        assert browser.run("return document.documentElement.dataset.theme") == "light"
        browser.run("dispatchEvent(new Event('afterprint'))")
        assert browser.run("return document.documentElement.dataset.theme") == "dark"
