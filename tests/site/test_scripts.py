"""Scripts: a page loads those that it has a use for, and its menus open with none."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from benchmarks.page_audit import html_pages, parse
from book.extensions.page import scripts

SEARCH = {"searchtools.js", "language_data.js", "searchindex.js"}


@pytest.mark.parametrize(
    ("script", "body", "used"),
    [
        (None, "", True),
        ("_static/doctools.js", "", True),
        ("_static/live.js", '<div class="gl-live">', True),
        ("_static/live.js", "gl-live", False),
        ("_static/togglebutton.js", '<div class="admonition dropdown">', True),
        ("_static/togglebutton.js", '<div class="admonition">', False),
    ],
)
def test_a_script_needs_something_to_do(script, body, used):
    assert scripts.is_used(script, body) is used


def test_pages_load_what_they_use(built_book):
    for page in html_pages(built_book):
        soup = parse(page)
        names = {PurePosixPath(tag["src"].partition("?")[0]).name for tag in soup.find_all("script", src=True)}
        assert ("copybutton.js" in names) == bool(soup.select("article div.highlight")), page.name
        assert ("live.js" in names) == bool(soup.select(".gl-live")), page.name
        assert ("math.js" in names) == bool(soup.select("article math")), page.name
        assert ("togglebutton.js" in names) == bool(soup.select(".toggle, .admonition.dropdown")), page.name
        assert SEARCH & names == (SEARCH if page.name == "search.html" else set()), page.name
        assert not {"bootstrap.js", "fontawesome.js"} & names, page.name
        assert ("pydata-sphinx-theme.js" in names) == (page != built_book / "index.html"), page.name


MENUS = "return [...document.querySelectorAll('details.dropdown[open]')].map((menu) => menu.className)"


def test_a_menu_closes_with_escape_and_a_click_elsewhere(built_book, browser):
    browser.emulate()
    browser.open(built_book / "book" / "index.html")
    menu = browser.driver.find_element(By.CSS_SELECTOR, ".dropdown-source-buttons summary")
    for close in (
        lambda: menu.send_keys(Keys.ESCAPE),
        lambda: browser.driver.find_element(By.CSS_SELECTOR, "article h1").click(),
    ):
        menu.click()
        assert browser.run(MENUS) == ["dropdown dropdown-source-buttons"]
        close()
        assert browser.run(MENUS) == []


def test_a_menu_opens_without_scripts(built_book, browser):
    browser.emulate(scripts=False)
    browser.driver.get((built_book / "book" / "01-beta-vae.html").as_uri())
    link = browser.driver.find_element(By.CSS_SELECTOR, ".btn-download-notebook-button")
    assert not link.is_displayed()
    browser.driver.find_element(By.CSS_SELECTOR, ".dropdown-download-buttons summary").click()
    assert link.is_displayed()
    browser.emulate()


@pytest.mark.parametrize("size", [(1300, 900), (375, 667)])
def test_the_mode_and_the_side_bar_can_be_switched(built_book, browser, size):
    browser.emulate(width=size[0], height=size[1])
    browser.open(built_book / "book" / "04-taylor.html")
    switch = browser.driver.find_element(By.CSS_SELECTOR, ".theme-switch-button")
    seen = []
    for _ in range(3):
        switch.click()
        seen.append(browser.run("return document.documentElement.dataset.mode"))
    assert sorted(seen) == ["auto", "dark", "light"]
    nav = browser.driver.find_element(By.CSS_SELECTOR, ".bd-docs-nav a")
    before = nav.is_displayed()
    browser.driver.find_element(By.CSS_SELECTOR, ".primary-toggle").click()
    WebDriverWait(browser.driver, 10).until(lambda _: nav.is_displayed() is not before)  # it slides
    assert browser.errors() == []


def test_code_can_be_copied(built_book, browser):
    browser.emulate()
    browser.open(built_book / "book" / "04-taylor.html")
    assert browser.run("return document.querySelectorAll('div.highlight button.copybtn').length") > 20
