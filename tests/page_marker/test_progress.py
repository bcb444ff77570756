"""The reader's progress: what is stored, broken storage, export, import, reset, lists, and the map of chapters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from answer_form import AnswerForm
from corpora import some_of
from selenium.webdriver.common.by import By

from benchmarks.browser import Browser
from benchmarks.page_audit import PHONE, axe_violations, horizontal_overflow

SCRIPT = Path(__file__).parents[2] / "book/_static/scripts/progress.js"
BOOK = "a-book"
DATA = {
    "book": BOOK,
    "overview": None,
    "pages": {
        "one.html": {"first": ["ex-first", "r1"], "second": ["ex-second", "r1"]},
        "two.html": {"third": ["ex-third", "r2"], "program": ["ex-program", ""]},
    },
    "aliases": {"old-first": "first"},
}
PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title><body><article>
<table><tr><td><a href="one.html">One</a></td></tr><tr><td><a href="two.html">Two</a></td></tr></table>
<nav class="gl-exercises"><ul><li><a href="one.html#ex-first">First</a> <span class="gl-progress"></span></li>
<li><a href="one.html#ex-second">Second</a> <span class="gl-progress"></span></li>
<li><a href="two.html#ex-third">Third</a> <span class="gl-progress"></span></li>
<li><a href="two.html#ex-program">Program</a></li></ul></nav></article>
<script type="application/json" id="gl-exercises">{json.dumps(DATA)}</script>
<script src="progress.js"></script></body></html>"""
FILL = """localStorage.clear();
for (const [key, text] of Object.entries(arguments[0])) localStorage.setItem(key, text);"""
SOLVED = {"schema": 1, "text": "x", "revision": "r1", "solved": True, "tried": True, "seen": False}
TRIED = {**SOLVED, "solved": False, "text": "y"}


class ProgressPage:
    """A page with two chapters and four exercises, one of which asks for a function."""

    def __init__(self, browser: Browser, page: Path) -> None:
        self.browser = browser
        self.page = page

    def open(self, **stored: object) -> ProgressPage:
        """Open it with these records, or these texts, in the browser's storage."""
        self.browser.driver.get(self.page.as_uri())
        texts = {f"{BOOK}/v1/{name.replace('_', '-')}": value for name, value in stored.items()}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in texts.items()}
        self.browser.run(FILL, texts)
        return self.reopen()

    def reopen(self) -> ProgressPage:
        self.browser.driver.get(self.page.as_uri())
        return self

    def call(self, code: str, *arguments: object):
        return self.browser.run(f"return GradeProgress.{code}", *arguments)

    def status(self, exercise: str) -> str:
        return self.call("status(arguments[0])", exercise)

    def stored(self, exercise: str) -> str | None:
        return self.browser.run("return localStorage.getItem(arguments[0])", f"{BOOK}/v1/{exercise}")

    @property
    def keys(self) -> set[str]:
        return set(self.browser.run("return Object.keys(localStorage)"))

    @property
    def chips(self) -> list[str]:
        return self.browser.run("return [...document.querySelectorAll('.gl-progress')].map((chip) => chip.textContent)")

    def exported(self) -> dict:
        return json.loads(self.browser.run("return document.querySelector('#gl-export').value"))

    def merge(self, given: object) -> str:
        """Import a text, or the JSON of something else; returns what the page says."""
        text = given if isinstance(given, str) else json.dumps(given)
        self.browser.run("document.querySelector('.gl-tools').open = true")
        self.browser.run("document.querySelector('#gl-import').value = arguments[0]", text)
        self.button("Import this text").click()
        return self.said

    def button(self, words: str):
        buttons = self.browser.driver.find_elements(By.CSS_SELECTOR, ".gl-tools button")
        [found] = [button for button in buttons if button.get_attribute("textContent") == words]
        return found

    @property
    def said(self) -> str:
        return self.browser.run("return document.querySelector('.gl-said').textContent")

    @property
    def limits(self) -> str:
        return self.browser.run("return document.querySelector('.gl-tools p').textContent")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("progress")
    (folder / "progress.js").write_bytes(SCRIPT.read_bytes())
    (folder / "page.html").write_text(PAGE, encoding="utf8")
    return folder


@pytest.fixture
def page(browser, folder) -> ProgressPage:
    return ProgressPage(browser, folder / "page.html")


# --- what is stored


def test_each_exercise_has_an_entry_of_its_own_below_the_book_and_the_version(page):
    page.open().call("submitted('first', 'a + b', 'correct')")
    assert page.keys == {f"{BOOK}/v1/first"}
    kept = json.loads(page.stored("first"))
    assert kept == {**SOLVED, "text": "a + b"}


@pytest.mark.parametrize(
    ("state", "status"),
    [("unanswered", "open"), ("unreadable", "open"), ("incorrect", "tried"), ("undecided", "tried")],
)
def test_what_cannot_be_read_is_no_attempt(page, state, status):
    page.open().call("submitted('first', 'a b', arguments[0])", state)
    assert page.reopen().status("first") == status
    assert page.call("read('first').text") == "a b"


def test_once_solved_stays_solved_with_the_answer_that_solved_it(page):
    page.open(first=SOLVED).call("submitted('first', 'wrong', 'incorrect')")
    assert page.status("first") == "solved"
    assert page.call("read('first').text") == "x"


def test_an_exercise_that_has_changed_says_so_until_it_is_marked_anew(page):
    page.open(first={**SOLVED, "revision": "r0"})
    assert page.status("first") == "changed"
    page.call("submitted('first', 'x', 'incorrect')")
    assert page.status("first") == "tried"


def test_a_solution_that_was_opened_is_seen_and_not_solved(page):
    page.open().call("sawSolution('first')")
    assert page.status("first") == "seen"
    page.open(first=SOLVED).call("sawSolution('first')")
    assert (page.status("first"), page.call("read('first').seen")) == ("solved", False)


def test_another_tab_is_read_before_writing(page):
    page.open()
    page.browser.run("localStorage.setItem(arguments[0], arguments[1])", f"{BOOK}/v1/first", json.dumps(SOLVED))
    page.call("submitted('first', 'wrong', 'incorrect')")
    assert page.status("first") == "solved"


def test_an_exercise_that_was_renamed_takes_its_progress_along(page):
    page.open(old_first=SOLVED, first=TRIED)
    assert page.status("first") == "solved"
    assert page.stored("old-first") is None


# --- storage that fails

FAULTS = {
    "the getter throws": "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } });",
    "there is none": "Object.defineProperty(window, 'localStorage', { value: null });",
    "setItem throws": "Storage.prototype.setItem = () => { throw new Error('full'); };",
    "it fills up later": """const set = Storage.prototype.setItem;
        Storage.prototype.setItem = function (key, value) {
          if (!key.endsWith('_probe')) throw new Error('full');
          set.call(this, key, value);
        };""",
    "getItem throws": "Storage.prototype.getItem = () => { throw new Error('gone'); };",
    "removeItem throws": "Storage.prototype.removeItem = () => { throw new Error('gone'); };",
}


@pytest.fixture
def broken(browser):
    """Breaks the storage of all pages that are opened next."""
    added = []

    def break_(source: str) -> None:
        command = "Page.addScriptToEvaluateOnNewDocument"
        added.append(browser.driver.execute_cdp_cmd(command, {"source": source})["identifier"])

    yield break_
    for name in added:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": name})


@pytest.mark.sampled
@pytest.mark.parametrize("fault", some_of([*FAULTS], 3))
def test_storage_that_fails_leaves_progress_in_memory_and_says_so(page, broken, fault):
    page.open()
    broken(FAULTS[fault])
    page.reopen().call("submitted('first', 'x', 'correct')")
    page.call("sawSolution('second')")
    assert (page.status("first"), page.status("second")) == ("solved", "seen")
    assert page.limits.startswith("This browser lets the page store nothing")
    assert page.exported()["exercises"]["first"]["solved"]
    page.call("submitted('third', 'x', 'correct')")
    assert page.status("third") == "solved"
    assert page.browser.errors() == []


@pytest.mark.parametrize("fault", ["the getter throws", "setItem throws"])
def test_storage_that_fails_does_not_keep_an_answer_from_being_marked(built_book, browser, broken, fault):
    broken(FAULTS[fault])
    browser.emulate()
    browser.open(built_book / "book/01-beta-vae.html")
    form = AnswerForm(browser, "beta-objective")
    form.submit("beta*K - logp")
    assert (form.state, form.progress) == ("correct", "✓ solved")
    assert "lets the page store nothing" in form.find(".gl-notice").text


CORRUPT = ["", "{", "null", "7", '"text"', "[]", '{"text": 7, "solved": "yes"}', '{"schema": 1}']


@pytest.mark.sampled
@pytest.mark.parametrize("text", some_of(CORRUPT, 3))
def test_a_corrupt_entry_counts_as_none(page, text):
    page.open(first=text, second=SOLVED)
    assert (page.status("first"), page.status("second")) == ("open", "solved")
    page.call("submitted('first', 'x', 'correct')")
    assert page.reopen().status("first") == "solved"


def test_what_a_newer_edition_or_another_book_has_stored_stays_untouched(page):
    newer = json.dumps({"schema": 2, "answers": ["x"]})
    page.open(first=newer)
    page.browser.run("localStorage.setItem('other/v1/first', '{'); localStorage.setItem('a-book/v2/first', '[]')")
    page.reopen().call("submitted('first', 'x', 'correct')")
    page.call("sawSolution('first')")
    page.merge({"book": BOOK, "schema": 1, "exercises": {"first": SOLVED}})
    page.button("Delete that of one.html").click()
    page.browser.driver.switch_to.alert.accept()
    assert page.stored("first") == newer
    assert page.browser.run("return [localStorage['other/v1/first'], localStorage['a-book/v2/first']]") == ["{", "[]"]


# --- export and import


def test_what_is_exported_can_be_imported_elsewhere(page):
    page.open(first=SOLVED, second=TRIED, unknown=SOLVED)
    kept = page.exported()
    assert (kept["book"], kept["schema"], set(kept["exercises"])) == (BOOK, 1, {"first", "second", "unknown"})
    page.open()
    assert page.merge(kept) == "3 exercises were merged with what was here."
    assert page.exported()["exercises"] == kept["exercises"]
    assert page.reopen().status("first") == "solved"


def test_the_export_is_a_file_too_and_its_day_is_remembered(page, tmp_path):
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    page.open(first=SOLVED)
    last = "return document.querySelectorAll('.gl-tools p')[1].textContent"
    assert page.browser.run(last) == "Last exported: never."
    page.browser.run("document.querySelector('.gl-tools').open = true")
    page.button("Export to a file").click()
    file = tmp_path / f"{BOOK}-progress.json"
    AnswerForm(page.browser, "").wait(file.exists)
    assert json.loads(file.read_text())["exercises"]["first"] == SOLVED
    assert page.browser.run(last).startswith("Last exported: 20")
    page.open()
    page.browser.run("document.querySelector('.gl-tools').open = true")
    page.browser.driver.find_element(By.ID, "gl-import-file").send_keys(str(file))
    AnswerForm(page.browser, "").wait(lambda: page.status("first") == "solved")


@pytest.mark.parametrize("given", [TRIED, {"seen": True}, {}, {**SOLVED, "text": "other"}])
def test_an_import_never_takes_away_what_was_solved(page, given):
    page.open(first=SOLVED)
    page.merge({"book": BOOK, "schema": 1, "exercises": {"first": given}})
    assert page.status("first") == "solved"
    assert page.call("read('first').text") == "x"


def test_an_import_keeps_the_better_of_two(page):
    page.open(first=TRIED)
    page.merge({"book": BOOK, "schema": 1, "exercises": {"first": SOLVED, "second": {"seen": True}}})
    assert (page.status("first"), page.status("second")) == ("solved", "seen")


FOREIGN = [
    ("", "not the progress"),
    ("{", "not the progress"),
    ("[]", "not the progress"),
    ({"book": BOOK}, "not the progress"),
    ({"book": "other", "schema": 1, "exercises": {}}, "another book"),
    ({"book": BOOK, "schema": 2, "exercises": {}}, "newer edition"),
    ({"book": BOOK, "schema": 1, "exercises": {"first": SOLVED}, "pad": "x" * 1_000_000}, "not the progress"),
]


@pytest.mark.sampled
@pytest.mark.parametrize(("given", "said"), some_of(FOREIGN, 3))
def test_what_is_no_export_changes_nothing(page, given, said):
    page.open(second=TRIED)
    assert said in page.merge(given)
    assert page.keys == {f"{BOOK}/v1/second"}


def test_an_import_takes_known_fields_alone_and_shows_text_as_text(page):
    hostile = (
        '{"__proto__": {"solved": true}, "Bad Id": {}, "../x": {}, "first": {"text": "<img src=x>", "run": "alert(1)"}}'
    )
    assert "1 exercise was" in page.open().merge(f'{{"book": "{BOOK}", "schema": 1, "exercises": {hostile}}}')
    assert page.keys == {f"{BOOK}/v1/first"}
    assert set(json.loads(page.stored("first"))) == set(SOLVED)
    assert page.browser.run("return [document.images.length, ({}).solved ?? null]") == [0, None]


# --- lists, the map, reset


def test_lists_show_the_state_of_each_exercise_and_the_map_counts_by_chapter(page):
    page.open()
    assert page.chips == ["", "", *["○ not tried"] * 3]  # nothing is said of the function, which no page can mark
    page.open(first=SOLVED, second={"seen": True}, third=TRIED)
    assert page.chips == ["1 of 2 solved", "0 of 1 solved", "✓ solved", "◐ solution seen", "… tried"]


def test_the_progress_of_one_chapter_can_be_deleted(page):
    page.open(first=SOLVED, third={**SOLVED, "revision": "r2"})
    page.browser.run("document.querySelector('.gl-tools').open = true")
    page.button("Delete that of one.html").click()
    page.browser.driver.switch_to.alert.dismiss()
    assert page.status("first") == "solved"
    page.button("Delete that of one.html").click()
    page.browser.driver.switch_to.alert.accept()
    assert (page.status("first"), page.status("third")) == ("open", "solved")


def test_a_page_opened_as_a_file_says_what_that_means(page):
    assert page.open().limits.startswith("This page was opened as a file.")


# --- the book


def test_progress_shows_in_the_chapter_on_the_overview_and_on_the_map(built_book, browser):
    browser.emulate()
    chapter, overview, index = (built_book / f"book/{name}.html" for name in ("01-beta-vae", "exercises", "index"))
    browser.open(chapter)
    browser.run("localStorage.clear()")
    browser.open(chapter)
    AnswerForm(browser, "beta-objective").submit("beta*K - logp")
    of_exercise = (
        "return document.querySelector('.gl-exercises a[href$=\"#ex-beta-objective\"] + .gl-progress').textContent"
    )
    assert browser.run(of_exercise) == "✓ solved"
    browser.open(overview)
    assert browser.run(of_exercise) == "✓ solved"
    of_chapter = "return document.querySelector('article :is(td, h2) a[href^=\"01-\"] + .gl-progress').textContent"
    assert browser.run(of_chapter) == "1 of 6 solved"
    assert axe_violations(browser) == []
    browser.open(index)
    assert browser.run(of_chapter) == "1 of 6 solved"
    browser.open(chapter)
    form = AnswerForm(browser, "beta-objective")
    form.wait_for_state("correct")  # marked anew
    assert form.box.get_attribute("value") == "beta*K - logp"
    link = form.find("a.gl-progress").get_attribute("href")
    assert link.endswith("exercises.html#list-ex-beta-objective")


@pytest.mark.slow
def test_the_tools_fit_on_a_phone(built_book, browser):
    browser.emulate(width=PHONE[0], height=PHONE[1], dark=True)
    browser.open(built_book / "book/exercises.html")
    browser.run("document.querySelector('.gl-tools').open = true")
    assert horizontal_overflow(browser) == (PHONE[0], [])
    assert axe_violations(browser) == []
    browser.emulate()
