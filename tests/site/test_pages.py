"""The built book as its reader has it: files opened in a browser, without a network."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import small_book
import yaml
from bs4 import BeautifulSoup
from pictures import pixels
from PIL import Image
from selenium.webdriver.common.by import By
from table_of_contents import files, pages

from benchmarks.pages import PHONE, cut_off, dead_links, pages_of, parse, silent_images

ROOT = Path(__file__).parents[2]


# --- the files


def test_every_page_of_the_table_of_contents_is_there(built_book):
    assert "book/index.html" in pages()
    assert {page.relative_to(built_book).as_posix() for page in pages_of(built_book)} == set(pages())


def test_the_first_page_of_the_folder_leads_to_the_book(built_book):
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


def test_every_figure_can_be_read_out(built_book):
    assert {page.name: silent for page in pages_of(built_book) if (silent := silent_images(parse(page)))} == {}


def test_a_silent_figure_is_found():
    silent = '<img src="a.png"><img src="b.png" alt=" "><svg aria-label="no role"></svg><svg role="img"></svg>'
    spoken = '<img src="c.png" alt="c"><svg role="img" aria-label="d"></svg>'
    assert len(silent_images(BeautifulSoup(f"<article>{silent}{spoken}</article>", "html.parser"))) == 4


# A dollar, the name of a command, or the marks of Markdown and MyST, which no reader should see.
RAW = re.compile(r"\$|\\[A-Za-z]+|\*\*|\]\(|\{\w+\}`")


def raw_text(soup: BeautifulSoup) -> list[str]:
    """What stands on a page as the author typed it, where it is neither code nor a formula that MathJax will set."""
    for formula in soup.select(".math, pre, code, script, svg"):
        formula.decompose()
    return [piece for article in soup.select("article") for piece in article.stripped_strings if RAW.search(piece)]


def test_no_formula_and_no_mark_is_left_as_it_was_typed(built_book):
    """A line of the source that begins with a minus makes a list in the middle of a formula, for one."""
    assert {page.name: raw for page in pages_of(built_book) if (raw := raw_text(parse(page)))} == {}


def test_what_was_left_as_it_was_typed_is_found():
    text = r"<article><p>$a</p><p>\beta</p><p>{ref}`a`</p><pre>$ a</pre><span class='math'>\(\beta\)</span></article>"
    assert raw_text(BeautifulSoup(text, "html.parser")) == ["$a", r"\beta", "{ref}`a`"]


def test_a_name_on_a_page_names_one_thing(built_book):
    for page in pages_of(built_book):
        names = Counter(tag["id"] for tag in parse(page).find_all(id=True))
        assert [name for name, times in names.items() if times > 1] == [], page.name


def test_pages_keep_their_weight(built_book):
    """DESIGN.md: 200 kB of HTML, 400 kB where a figure is live, at most 250 kB for that figure."""
    for page in pages_of(built_book):
        live = parse(page).select(".gl-live")
        assert page.stat().st_size < (400_000 if live else 200_000), page.name
        assert all(len(str(figure)) < 250_000 for figure in live), page.name


def test_pages_carry_no_widgets_and_no_script_from_elsewhere(built_book):
    for page in pages_of(built_book):
        sources = [tag["src"] for tag in parse(page).find_all("script", src=True)]
        assert all(urlsplit(source).scheme == "" for source in sources), page.name
        assert "application/vnd.jupyter.widget" not in page.read_text(), page.name


def test_scripts_wait_for_the_text(built_book):
    """All but one of a few lines, whose options the page sets at once."""
    for page in pages_of(built_book):
        at_once = [tag["src"] for tag in parse(page).find_all("script", src=True) if not tag.has_attr("defer")]
        assert all("documentation_options" in source for source in at_once), (page.name, at_once)


def test_a_link_to_a_page_has_a_card(built_book):
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    owner, name = repository.removeprefix("https://github.com/").split("/")
    site = f"https://{owner}.github.io/{name}/"
    assert Image.open(built_book / "_static" / "card.png").size == (1200, 630)
    for file in files():
        page = parse(built_book / f"{file}.html")
        said = {tag.get("property") or tag.get("name"): tag.get("content") for tag in page.find_all("meta")}
        assert said["og:url"] == f"{site}{file}.html"
        assert said["og:image"] == f"{site}_static/card.png"
        assert said["og:title"] in page.select_one("article h1").get_text()
        assert 0 < len(said["og:description"]) <= 202
        assert said["description"] == said["og:description"]


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


def test_a_request_and_an_error_are_noticed(tmp_path, browser):
    browser.look()
    page = tmp_path / "page.html"
    page.write_text('<img src="https://example.invalid/a.png"><img src="gone.png"><script>console.error("oh")</script>')
    requests, errors = browser.open(page)
    assert requests == ["https://example.invalid/a.png"]
    assert any("gone.png" in error for error in errors)
    assert any("oh" in error for error in errors)


def test_what_is_too_wide_is_noticed(tmp_path, browser):
    browser.look(width=PHONE[0], height=PHONE[1])
    page = tmp_path / "page.html"
    phone = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page.write_text(phone + '<article><div style="overflow-x:auto"><p style="width:900px">fine</p></div></article>')
    browser.open(page)
    assert cut_off(browser) == (PHONE[0], [])
    page.write_text(phone + '<article><div style="overflow:hidden"><p style="width:900px">cut</p></div></article>')
    browser.open(page)
    assert cut_off(browser) == (PHONE[0], ['<p style="width:900px">cut</p>'])


@pytest.mark.parametrize("dark", [False, True])
def test_icons_are_drawn_without_the_icon_script(built_book, browser, dark):
    browser.look(dark=dark)
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
    """Without a server a page may read no other: the list comes without excerpts, and without complaints."""
    browser.look()
    _, errors = browser.open(built_book / "search.html", query="?q=amortisation")
    links = browser.wait_for(LISTED)
    assert any("06-optimal-covariance.html" in link for link in links)
    assert errors + browser.errors() == []


def live_pages(book) -> list:
    return [page for page in pages_of(book) if b'class="gl-live"' in page.read_bytes()]


def test_text_and_a_frame_are_there_without_scripts(built_book, browser):
    browser.look(scripts=False)
    for page in live_pages(built_book)[::4]:
        browser.driver.get(page.as_uri())
        spoken = browser.spoken()
        source = parse(page)
        heading = source.select_one("article h1")
        heading.find("a", class_="headerlink").decompose()
        assert ("heading", heading.get_text()) in spoken
        assert ("image", source.select_one(".gl-live svg")["aria-label"]) in spoken
        assert "slider" not in [role for role, _ in spoken]
        seen = pixels(browser.driver.find_element(By.CSS_SELECTOR, ".gl-live .gl-picture").screenshot_as_png)
        assert (np.abs(seen - seen[0, 0]).max(axis=2) > 100).mean() > 0.005


# What of all that fits a selector can be seen.
VISIBLE = """return [...document.querySelectorAll(arguments[0])]
  .filter((part) => part.checkVisibility({ visibilityProperty: true })).map((part) => part.outerHTML.slice(0, 90))"""
ONLY_ON_A_SCREEN = ".gl-slider, .gl-words, .gl-badge, .bd-sidebar, .prev-next-area, .toggle-button, article summary"


def test_paper_shows_a_still_and_the_solutions_and_nothing_to_press(built_book, browser):
    for page in live_pages(built_book)[::4]:  # one style sheet serves all
        browser.look(dark=True)
        browser.open(page)
        browser.look(dark=True, paper=True)
        browser.run("dispatchEvent(new Event('beforeprint'))")
        assert browser.run(VISIBLE, ONLY_ON_A_SCREEN) == []
        assert len(browser.run(VISIBLE, ".gl-live svg")) == len(parse(page).select(".gl-live")), page.name
        solutions = [tag for tag in parse(page).select(".solution") if tag.select_one(".cell")]
        assert solutions
        assert len(browser.run(VISIBLE, ".solution:has(.cell) .cell_input")) >= len(solutions), page.name
        assert browser.run("return document.documentElement.dataset.theme") == "light"
        browser.run("dispatchEvent(new Event('afterprint'))")
        assert browser.run("return document.documentElement.dataset.theme") == "dark"


# --- builds that must fail

BARE_FIGURE = "from matplotlib import pyplot\npyplot.plot([1, 2]);"
# What is wrong, and what the build says of it.
FAULTS = {
    "![A missing image.](gone.png)": "image file not readable: book/gone.png",
    "![](_static/logo.svg)": "no alt text for the image book/_static/logo.svg",
    f"```{{code-cell}}\n{BARE_FIGURE}\n```": "no alt text for the image _build/jupyter_execute/",
    "See {ref}`nowhere`.": "undefined label: 'nowhere'",
    "See {eq}`eq-nowhere`.": "equation not found: eq-nowhere",
    "See {cite}`nobody1900`.": 'could not find bibtex key "nobody1900"',
    "See [there](nowhere.md).": "'nowhere.md'",
}


def build(folder: Path, *paragraphs: str) -> subprocess.CompletedProcess[str]:
    """Build a book of one page."""
    small_book.write_configuration(folder, "format: jb-book\nroot: book/index\n")
    (folder / "book" / "index.md").write_text("\n\n".join([small_book.FRONT + "# A page", *paragraphs]))
    return small_book.build(folder)


def test_a_sound_page_builds(tmp_path):
    built = build(tmp_path, "![The sign of the book.](_static/logo.svg)", "```{code-cell}\n1 + 1\n```")
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "_build" / "html" / "book" / "index.html").exists()


def test_a_page_with_faults_fails_the_build_and_each_is_named(tmp_path):
    built = build(tmp_path, *FAULTS)
    assert built.returncode != 0
    warnings = [line for line in built.stderr.splitlines() if " WARNING: " in line]
    assert [message for message in FAULTS.values() if not any(message in line for line in warnings)] == []
    assert len(warnings) == len(FAULTS), warnings


def test_a_failing_cell_fails_the_build(tmp_path):
    built = build(tmp_path, "```{code-cell}\nraise OSError('the cell gave up')\n```")
    assert built.returncode != 0
    assert "the cell gave up" in built.stdout + built.stderr
