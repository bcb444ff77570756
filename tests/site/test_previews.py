"""Previews: a link to an equation, a theorem or a citation shows what it leads to, and stays a link."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Iterator
from itertools import product

import pytest
from corpora import some_of
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from small_book import build, write_configuration

from benchmarks.browser import Browser
from benchmarks.page_audit import axe_script, axe_violations

ONE = r"""# One

See {eq}`eq-here`, {eq}`eq-there`, {prf:ref}`thm-there`, {cite}`kingma2014auto` and {ref}`a heading <there>`.

$$ a = b $$ (eq-here)

And a {prf:ref}`thm-here`.

:::{prf:theorem} Near
:label: thm-here
It holds by {eq}`eq-here`.
:::
"""
TWO = r"""(there)=
# Two

$$ c = d $$ (eq-there)

:::{prf:theorem} Far
:label: thm-there
What is far, with $x^2$.
:::

```{bibliography}
```
"""
LINKS = {
    "here": ("one.html#equation-eq-here", "a=b", "(1)"),
    "there": ("two.html#equation-eq-there", "c=d", "(2)"),
    "theorem": ("two.html#thm-there", "Whatisfar,withx2.", "Theorem2"),
    "citation": ("two.html#id", "Kingma", "Welling"),
}
SHOWN = """const box = document.getElementById("gl-preview"), [link] = arguments;
if (!box || !box.checkVisibility() || link.getAttribute("aria-describedby") !== "gl-preview") return null;
const [a, b] = [box.getBoundingClientRect(), link.getBoundingClientRect()];
const gap = a.top >= b.bottom - 1 ? a.top - b.bottom : b.top - a.bottom;
return { text: box.innerText, left: a.left, right: a.right, gap,
  links: box.querySelectorAll("a, button, [id]").length, ids: document.querySelectorAll("#gl-preview").length }"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    write_configuration(folder, "format: jb-book\nroot: book/index\nchapters:\n- file: book/one\n- file: book/two\n")
    configuration = (folder / "_config.yml").read_text()
    (folder / "_config.yml").write_text(configuration.replace("execute_notebooks: cache", 'execute_notebooks: "off"'))
    (folder / "book/index.md").write_text("# Start\n\nWords.\n")
    (folder / "book/one.md").write_text(ONE)
    (folder / "book/two.md").write_text(TWO)
    done = build(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "_build/html"


@pytest.fixture
def opened(root, browser: Browser) -> Browser:
    browser.emulate(width=1000, height=800)
    assert browser.open(root / "book/one.html") == ([], [])
    return browser


def link_to(browser: Browser, address: str):
    """The first link of the text whose address has this in it."""
    name = address.removeprefix("one.html")
    return browser.driver.find_element(By.CSS_SELECTOR, f'article p a.reference[href*="{name}"]')


def wait(browser: Browser, link, shown: bool = True):
    """What the preview of a link shows, once it is there; None where it does not come, or goes."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if ((seen := browser.run(SHOWN, link)) is not None) is shown:
            return seen
        time.sleep(0.05)
    return seen


def test_targets_of_a_page_stand_in_a_script(root):
    text = (root / "_static/previews/book/two.js").read_text(encoding="utf8")
    name, _, data = text.removeprefix("(window.glPreviews ??= {})[").rstrip(";\n").partition("] = ")
    found = json.loads(data)
    assert json.loads(name) == "book/two"
    assert {"equation-eq-there", "thm-there"} < set(found)
    assert found["equation-eq-there"].startswith('<div class="math"')
    assert not (root / "_static/previews/book/index.js").exists()


@pytest.mark.sampled
@pytest.mark.parametrize(("way", "name"), some_of([*product(("mouse", "keyboard"), LINKS)], 3))
def test_a_link_shows_what_it_leads_to(opened, name, way):
    """On the same page or on another one, which a page that was opened as a file cannot read."""
    address, *words = LINKS[name]
    link = link_to(opened, address)
    before = opened.run("return document.documentElement.scrollHeight")
    if way == "mouse":
        ActionChains(opened.driver).move_to_element(link).perform()
    else:
        opened.run("arguments[0].focus({focusVisible: true})", link)
    seen = wait(opened, link)
    assert seen is not None
    for word in words:
        assert word in "".join(unicodedata.normalize("NFKC", seen["text"]).split())
    assert 0 <= seen["left"] < seen["right"] <= 1000
    assert -2 <= seen["gap"] < 10
    assert (seen["links"], seen["ids"]) == (0, 1)
    assert opened.run("return document.documentElement.scrollHeight") >= before
    assert opened.errors() == []  # axe makes some of its own
    if axe_script() and name == "theorem":
        assert axe_violations(opened) == []
    opened.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert wait(opened, link, shown=False) is None


def test_a_preview_stays_under_the_mouse_and_goes_with_it(opened):
    link = link_to(opened, "two.html#thm-there")
    mouse = ActionChains(opened.driver)
    mouse.move_to_element(link).perform()
    assert wait(opened, link)
    box = opened.driver.find_element(By.ID, "gl-preview")
    mouse.move_to_element(box).perform()
    time.sleep(0.6)
    assert opened.run(SHOWN, link)
    mouse.move_to_element(opened.driver.find_element(By.CSS_SELECTOR, ".bd-sidebar-primary")).perform()
    assert wait(opened, link, shown=False) is None


def test_a_link_to_a_heading_shows_nothing(opened):
    link = link_to(opened, "two.html#there")
    opened.run("arguments[0].focus({focusVisible: true})", link)
    time.sleep(0.3)
    assert opened.run(SHOWN, link) is None
    assert opened.errors() == []


def touch(browser: Browser, link) -> None:
    x, y = browser.run("const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + 5]", link)
    points = [{"x": x, "y": y}]
    browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points})


def lift(browser: Browser) -> None:
    browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.fixture
def phone(browser: Browser) -> Iterator[Browser]:
    browser.emulate(width=375, height=700)
    browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    yield browser
    browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_finger_that_rests_shows_the_preview_until_it_presses_elsewhere(root, phone):
    phone.open(root / "book/one.html")
    link = link_to(phone, "two.html#thm-there")
    touch(phone, link)
    assert wait(phone, link)
    assert phone.run("return document.documentElement.scrollWidth") == 375
    lift(phone)
    assert phone.driver.current_url.endswith("one.html")
    assert wait(phone, link)
    touch(phone, phone.driver.find_element(By.TAG_NAME, "h1"))
    lift(phone)
    assert wait(phone, link, shown=False) is None


def test_a_tap_follows_the_link(root, phone):
    phone.open(root / "book/one.html")
    touch(phone, link_to(phone, "two.html#thm-there"))
    lift(phone)
    WebDriverWait(phone.driver, 10).until(lambda driver: driver.current_url.endswith("two.html#thm-there"))
    assert phone.errors() == []


def test_without_scripts_and_on_paper_there_is_none(root, browser):
    browser.emulate(scripts=False)
    browser.driver.get((root / "book/one.html").as_uri())
    link = link_to(browser, "two.html#thm-there")
    assert link.get_attribute("href").endswith("two.html#thm-there")
    ActionChains(browser.driver).move_to_element(link).perform()
    assert browser.driver.find_elements(By.ID, "gl-preview") == []
    browser.emulate(width=1000)
    browser.open(root / "book/one.html")
    link = link_to(browser, "one.html#equation-eq-here")
    browser.run("arguments[0].focus({focusVisible: true})", link)
    assert wait(browser, link)
    browser.emulate(width=1000, paper=True)
    assert browser.run(SHOWN, link) is None
