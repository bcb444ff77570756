"""The built book as its reader has it: files opened in a browser, without a network."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from benchmarks.browser import MISSING, Browser, chromium
from benchmarks.pages import cut_off, dead_links, pages_of, parse, silent_images

ROOT = Path(__file__).parent.parent
PHONE = 375  # pixels
needs_browser = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


# --- the files


def chapters(toc: dict) -> list[str]:
    """All files of a table of contents."""
    below = [item for key in ("parts", "chapters", "sections") for item in toc.get(key, [])]
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [name for item in below for name in chapters(item)]


def test_every_page_of_the_table_of_contents_is_there(built_book):
    files = chapters(yaml.safe_load((ROOT / "_toc.yml").read_text()))
    assert "book/index" in files
    assert [name for name in ["index", *files] if not (built_book / f"{name}.html").is_file()] == []


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
    for file in chapters(yaml.safe_load((ROOT / "_toc.yml").read_text())):
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


@pytest.fixture(scope="module")
def opened(built_book, browser) -> dict[str, tuple[list[str], list[str], list[str]]]:
    """Each page, opened once: what it asked other hosts for, its errors, its unread formulas."""
    browser.look()
    return {page.name: (*browser.open(page), browser.run(UNREAD)) for page in pages_of(built_book)}


@needs_browser
def test_pages_ask_no_other_host_and_have_no_errors(opened):
    assert {name: faults for name, (*faults, _) in opened.items() if faults != [[], []]} == {}


# Formulas that stand as raw TeX, or that MathJax could not read.
UNREAD = """
return [...document.querySelectorAll("article .math")].filter((formula) => !formula.querySelector("mjx-container"))
  .concat(...document.querySelectorAll("mjx-merror")).map((formula) => formula.textContent)"""


@needs_browser
def test_every_formula_is_set(opened):
    assert {name: formulas for name, (_, _, formulas) in opened.items() if formulas} == {}


@needs_browser
def test_a_request_and_an_error_are_noticed(tmp_path, browser):
    browser.look()
    page = tmp_path / "page.html"
    page.write_text('<img src="https://example.invalid/a.png"><img src="gone.png"><script>console.error("oh")</script>')
    requests, errors = browser.open(page)
    assert requests == ["https://example.invalid/a.png"]
    assert any("gone.png" in error for error in errors)
    assert any("oh" in error for error in errors)


@needs_browser
def test_a_phone_needs_no_sideways_scrolling(built_book, browser):
    browser.look(width=PHONE, height=800)
    wide = {}
    for page in pages_of(built_book):
        browser.open(page)
        width, beyond = cut_off(browser)
        if width > PHONE or beyond:
            wide[page.name] = width, beyond
    assert wide == {}


@needs_browser
def test_what_is_too_wide_is_noticed(tmp_path, browser):
    browser.look(width=PHONE, height=800)
    page = tmp_path / "page.html"
    phone = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page.write_text(phone + '<article><div style="overflow-x:auto"><p style="width:900px">fine</p></div></article>')
    browser.open(page)
    assert cut_off(browser) == (PHONE, [])
    page.write_text(phone + '<article><div style="overflow:hidden"><p style="width:900px">cut</p></div></article>')
    browser.open(page)
    assert cut_off(browser) == (PHONE, ['<p style="width:900px">cut</p>'])


@needs_browser
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


def live_pages(book) -> list:
    return [page for page in pages_of(book) if b'class="gl-live"' in page.read_bytes()]


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int)


def differing(one: np.ndarray, other: np.ndarray) -> int:
    """How many pixels of two pictures clearly differ."""
    return int((np.abs(one - other).max(axis=2) > 40).sum())


@needs_browser
def test_the_keyboard_moves_the_slider_and_the_picture_follows(built_book, browser):
    assert live_pages(built_book)
    for number, page in enumerate(live_pages(built_book)):
        browser.look(dark=number % 2 == 1)  # every other page in the dark, since each takes seconds
        browser.open(page)
        for figure in browser.driver.find_elements(By.CSS_SELECTOR, ".gl-live"):
            move_and_compare(figure)


def move_and_compare(figure) -> None:
    """Press Home, then each step to the right: picture, value and words change each time, and nothing else moves."""
    picture, slider = figure.find_element(By.CSS_SELECTOR, ".gl-picture"), figure.find_element(By.TAG_NAME, "input")
    value, drawing = figure.find_element(By.TAG_NAME, "output"), picture.find_element(By.TAG_NAME, "svg")
    items = figure.find_elements(By.CSS_SELECTOR, ".gl-words li")
    place = figure.rect
    slider.send_keys(Keys.HOME)
    before = first = at_rest(picture)
    for item in items[1:]:
        slider.send_keys(Keys.ARROW_RIGHT)
        after = pixels(picture.screenshot_as_png)
        assert differing(before, after) > 20
        assert value.text == item.get_attribute("data-label")
        assert slider.get_attribute("aria-valuetext").endswith(f"= {value.text}")
        assert drawing.get_attribute("aria-label") == item.get_attribute("textContent")
        assert figure.rect == place
        before = after
    slider.send_keys(Keys.HOME)
    assert differing(first, at_rest(picture)) <= 20


def at_rest(picture) -> np.ndarray:
    """The pixels once they change no more: the browser decodes images inside of a drawing when it finds the time."""
    seen = pixels(picture.screenshot_as_png)
    for _ in range(20):
        before, seen = seen, pixels(picture.screenshot_as_png)
        if (before == seen).all():
            break
    return seen


@needs_browser
def test_pictures_stand_out_from_the_page_in_both_modes(built_book, browser):
    browser.look()
    for page in [page for page in pages_of(built_book) if parse(page).select(".gl-picture")]:
        browser.open(page)
        for mode in ("light", "dark"):
            browser.run("document.documentElement.dataset.theme = arguments[0]", mode)
            for picture in browser.driver.find_elements(By.CSS_SELECTOR, ".gl-picture"):
                seen = pixels(picture.screenshot_as_png)
                paper = seen[0, 0]
                assert (paper.mean() < 60) == (mode == "dark"), f"{page.name}: a light ground in the dark"
                assert (np.abs(seen - paper).max(axis=2) > 100).mean() > 0.005, f"{page.name}: an empty picture"


@needs_browser
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


@needs_browser
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


@needs_browser
def test_a_finger_finds_what_it_can_press(built_book, browser):
    """On a phone sliders and their words are as high as a finger tip, 44 pixels, and badges 24 at least."""
    browser.look(width=PHONE, height=667)
    sizes = "return [...document.querySelectorAll(arguments[0])].map((part) => part.getBoundingClientRect().toJSON())"
    for page in live_pages(built_book)[::4]:
        browser.open(page)
        for selector, least in ((".gl-slider input, .gl-words summary", 43.9), (".gl-badge", 24)):
            rectangles = browser.run(sizes, selector)
            assert all(min(each["width"], each["height"]) >= least for each in rectangles), (page.name, selector)


# --- builds that must fail

NOTEBOOK = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
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
    """Build a book of one page with the configuration, the extensions and the style of the real one."""
    for part in ("_static", "_ext"):
        shutil.copytree(ROOT / "book" / part, folder / "book" / part)
    shutil.copy(ROOT / "_config.yml", folder)
    shutil.copy(ROOT / "book" / "references.bib", folder / "book")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    (folder / "book" / "index.md").write_text("\n\n".join([NOTEBOOK, "# A page", *paragraphs]))
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", ".", "-W", "--keep-going", "-n"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


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
