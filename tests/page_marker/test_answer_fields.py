"""The fields for answers on the built pages: states, keyboard, touch, screen readers, print, and without scripts."""

from __future__ import annotations

import gzip
import json

import pytest
from answer_form import AnswerForm
from corpora import some_of
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from table_of_contents import chapters

from benchmarks.page_audit import DESKTOP, PHONE, axe_script, horizontal_overflow, parse

FORMULAS, CHOICE = "book/01-beta-vae.html", "book/07-block-structure.html"
VISIBLE = "return [...document.querySelectorAll(arguments[0])].filter((part) => part.checkVisibility()).length"


@pytest.fixture(scope="module")
def open_page(built_book, browser):
    """Opens a page without progress; from file:// all pages share one storage."""

    def open_(name: str = FORMULAS, *, size: tuple[int, int] = DESKTOP, **how: bool) -> AnswerForm:
        browser.emulate(width=size[0], height=size[1])
        browser.driver.get((built_book / "_static/favicon.svg").as_uri())
        browser.run("localStorage.clear()")
        browser.emulate(width=size[0], height=size[1], **how)
        if how.get("scripts", True):
            assert browser.open(built_book / name) == ([], [])
        else:
            browser.driver.get((built_book / name).as_uri())
        return AnswerForm(browser, "beta-objective")

    return open_


@pytest.fixture(scope="module")
def form(open_page) -> AnswerForm:
    """One page for all tests that need no fresh one."""
    return open_page()


@pytest.fixture
def fresh(open_page) -> AnswerForm:
    return open_page()


# --- verdicts

ANSWERS = [
    ("beta*K - logp", "correct", "✓ Correct · 1 of 1 point"),
    ("logp - beta*K", "incorrect", "✗ Not yet · a known mistake · 0 of 1 point"),
    ("exp(K)*7 + logp", "incorrect", "✗ Not yet · 0 of 1 point"),
    ("2K + logp", "unreadable", "? Cannot be read"),
    ("", "unanswered", "○ No answer yet"),
]


@pytest.mark.parametrize(("text", "state", "head"), ANSWERS)
def test_an_answer_gets_its_state_mark_and_sentence(form, text, state, head):
    form.submit(text)
    assert form.state == state
    first, sentence = form.verdict.split("\n")
    assert first == head
    assert len(sentence) > 10
    assert form.box.get_attribute("value") == text
    assert form.box.get_attribute("aria-invalid") == ("true" if state == "unreadable" else None)


def test_what_is_too_near_to_tell_is_not_decided(form):
    form.submit("(1 + 1e-8)*(beta*K - logp)")
    assert form.state == "undecided"
    assert form.verdict.startswith("≈ Not decided here\n")


def test_the_button_submits_as_enter_does(form):
    form.type("beta*K - logp")
    assert form.state is None
    form.button("Check").click()
    assert form.state == "correct"


def test_the_answer_is_set_as_it_was_read(form):
    form.submit("beta*K - logp")
    assert "β" in form.find(".gl-read math").text
    form.submit("2K")
    assert form.browser.run(VISIBLE, '[data-exercise="beta-objective"] math') == 0


def test_an_equal_answer_is_recognised_and_tries_have_no_limit(form):
    for _ in range(5):
        form.submit("logp - beta*K")
    assert "This is the same answer as before." in form.verdict
    form.submit("logp  -  beta*K")  # typed anew, it is still the same
    assert "This is the same answer as before." in form.verdict
    form.submit("beta*K")
    assert "This is the same answer as before." not in form.verdict
    form.box.send_keys(Keys.ENTER)
    assert "This is the same answer as before." in form.verdict


def test_editing_clears_the_verdict_and_keeps_the_text(form):
    form.submit("2K")
    form.box.send_keys("+")
    assert (form.state, form.verdict) == (None, "")
    assert form.box.get_attribute("aria-invalid") is None
    assert form.box.get_attribute("value") == "2K+"


def test_a_suggestion_is_a_button_that_writes_it(form):
    form.submit("2K + logp")
    form.find(".gl-suggestion").click()
    assert form.box.get_attribute("value") == "2*K + logp"
    assert form.state is None
    assert form.box == form.browser.driver.switch_to.active_element
    form.box.send_keys(Keys.ENTER)
    assert form.state == "incorrect"


# --- while typing


def test_typing_shows_how_it_is_read_and_says_it_in_words(form):
    form.type("beta*K")
    form.wait(lambda: form.find("output").get_attribute("textContent") == "Read as beta times K")
    assert form.find("output").get_attribute("for") == "answer-beta-objective"
    assert form.find(".gl-read math")
    assert form.state is None


TYPED = """
const box = document.querySelector("#answer-beta-objective");
const output = document.querySelector("output[for=answer-beta-objective]");
box.value = arguments[0];
box.dispatchEvent(new Event("input", { bubbles: true }));
return output.textContent"""


@pytest.mark.sampled
def test_an_early_error_comes_after_a_pause_and_none_for_what_is_unfinished(form):
    assert form.browser.run(TYPED, "2K") == ""
    form.wait(lambda: "operator is missing" in form.find("output").text)
    assert form.box.get_attribute("aria-invalid") == "true"
    assert form.browser.run(TYPED, "2K + §") == ""  # no error from before hides the next one
    form.wait(lambda: form.find("output").text)
    for unfinished in some_of(("-", "K +", "exp(K"), 1):
        form.browser.run(TYPED, unfinished)
        form.browser.run_async("setTimeout(arguments[0], 1500)")
        assert form.find("output").text == ""
        assert form.box.get_attribute("aria-invalid") is None


# Notes which exercises the page lets the marker prepare.
NOTE_PREPARED = """
globalThis.prepared = [];
let real;
Object.defineProperty(globalThis, "GradeMarker", {
  get: () => real,
  set(engine) {
    const load = (...given) => new Proxy(engine.load(...given), {
      get(marker, name) {
        const found = marker[name];
        if (typeof found !== "function") return found;
        return (...more) => {
          if (name === "prepare") prepared.push(more[0]);
          return found.apply(marker, more);
        };
      },
    });
    real = { ...engine, load };
  },
});
"""


def test_the_first_verdict_is_prepared_when_the_field_gets_the_focus(browser, open_page):
    command = browser.driver.execute_cdp_cmd
    added = command("Page.addScriptToEvaluateOnNewDocument", {"source": NOTE_PREPARED})
    try:
        form = open_page()
        assert form.browser.run("return prepared") == []
        for _ in range(2):
            form.browser.run("arguments[0].blur(); arguments[0].focus()", form.box)
        form.wait(lambda: form.browser.run("return prepared") == ["beta-objective"])
        form.submit("beta*K - logp")
        assert form.state == "correct"
    finally:
        command("Page.removeScriptToEvaluateOnNewDocument", {"identifier": added["identifier"]})


# --- hint and solution


def test_a_hint_comes_first_and_is_apart_from_the_solution(fresh):
    assert not fresh.find(".gl-hint").is_displayed()
    fresh.button("Hint").click()
    assert "uses K, beta and logp" in fresh.find(".gl-hint").text
    assert fresh.button("Hint").get_attribute("aria-expanded") == "true"
    assert fresh.progress == "○ not tried"


def test_the_solution_opens_without_an_answer_and_counts_as_seen(fresh):
    shown = "return document.querySelector('.solution').lastElementChild.checkVisibility({ visibilityProperty: true })"
    assert not fresh.browser.run(shown)
    fresh.button("Solution").click()
    fresh.wait(lambda: fresh.browser.run(shown))
    assert fresh.progress == "◐ solution seen"
    fresh.submit("beta*K - logp")
    assert fresh.progress == "✓ solved"


def test_the_solution_opened_at_its_own_button_counts_as_seen_too(fresh):
    fresh.browser.driver.find_element(By.CSS_SELECTOR, ".solution :is(summary, .toggle-button)").click()
    fresh.wait(lambda: fresh.progress == "◐ solution seen")


# --- keyboard, screen reader, touch


def test_the_keyboard_alone_answers(fresh):
    fresh.box.send_keys("beta*K - logp")
    passed = []
    for _ in range(4):
        ActionChains(fresh.browser.driver).send_keys(Keys.TAB).perform()
        passed.append(fresh.browser.driver.switch_to.active_element.text)
    assert passed[:3] == ["Check", "Hint", "Solution"]  # the keys are for touch alone
    ActionChains(fresh.browser.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB * 3).key_up(Keys.SHIFT).perform()
    ActionChains(fresh.browser.driver).send_keys(Keys.SPACE).perform()
    assert fresh.state == "correct"


def test_a_screen_reader_has_a_name_for_everything(fresh):
    tree = fresh.browser.accessibility_tree()
    assert ("textbox", "Your answer to exercise 1.1") in tree
    assert ("button", "Check") in tree
    verdict = fresh.find(".gl-verdict")
    assert verdict.get_attribute("role") == "status"
    assert fresh.box.get_attribute("aria-describedby") == verdict.get_attribute("id")
    fresh.submit("logp - beta*K")
    assert (
        fresh.browser.run(
            "return document.querySelectorAll('.gl-verdict math, output math, .gl-verdict button').length"
        )
        == 0
    )


def test_the_field_asks_the_phone_to_change_nothing(fresh):
    wanted = {"autocapitalize": "none", "autocorrect": "off", "autocomplete": "off", "spellcheck": "false"}
    assert {name: fresh.box.get_dom_attribute(name) for name in wanted} == wanted


@pytest.fixture
def touch(browser):
    browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    yield
    browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


@pytest.mark.slow
def test_keys_for_touch_keep_focus_and_caret(open_page, browser, touch):
    form = open_page(size=PHONE)
    form.box.send_keys("K")
    form.box.send_keys(Keys.HOME)
    for key in ("beta", "*"):
        form.button(key).click()
    assert form.box == browser.driver.switch_to.active_element
    assert form.box.get_attribute("value") == "beta*K"
    assert browser.run("return document.activeElement.selectionStart") == len("beta*")
    sizes = browser.run(
        "return [...document.querySelectorAll('.gl-answer :is(button, input:not([type=radio]), fieldset label)')]"
        ".filter((part) => part.checkVisibility()).map((part) => part.getBoundingClientRect().toJSON())"
    )
    assert min(min(size["width"], size["height"]) for size in sizes) >= 43.9


def test_keys_are_not_shown_without_touch(fresh):
    assert fresh.browser.run(VISIBLE, ".gl-keys") == 0


# --- a choice


def test_a_choice_and_its_reason_are_marked(open_page):
    form = AnswerForm(open_page(CHOICE).browser, "what-training-leaves")
    form.button("Check").click()
    assert form.state == "unanswered"
    radios = form.browser.driver.find_elements(By.CSS_SELECTOR, '[data-exercise="what-training-leaves"] input')
    assert len(radios) == 6
    radios[0].click()
    radios[0].send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)  # C
    radios[4].click()  # 2
    form.button("Check").click()
    assert form.state == "correct"
    assert any("P(x) may have entries" in name for _, name in form.browser.accessibility_tree())
    radios[3].click()
    assert form.state is None
    form.button("Check").click()
    assert form.state == "incorrect"
    form.browser.driver.refresh()
    form.wait_for_state("correct")  # what solved it is kept


def test_a_question_of_two_parts_has_two_fields(open_page):
    browser = open_page(CHOICE).browser
    browser.run("for (const fold of document.querySelectorAll('.gl-fold')) fold.open = true")
    for exercise, text in (("step-length", "norm2(J@v)"), ("metric", "T(J)@J")):
        form = AnswerForm(browser, exercise)
        form.submit(text)
        assert form.state == "correct"
    assert ("textbox", "Your answer: squared length to exercise 7.5") in browser.accessibility_tree()


# --- the look


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "dark"),
    [
        pytest.param(DESKTOP, False, id="desktop"),
        pytest.param(PHONE, True, id="phone-dark"),
        pytest.param(DESKTOP, True, id="desktop-dark"),
        pytest.param(PHONE, False, id="phone"),
    ],
)
def test_axe_finds_nothing_in_any_state(open_page, size, dark):
    form = open_page(dark=dark, size=size)
    form.browser.run(f"{axe_script()}; window.axe = axe")
    form.button("Hint").click()
    for text, state, _ in ANSWERS:
        form.submit(text)
        assert form.state == state
        assert form.browser.run_async(AXE) == []
        width, beyond = horizontal_overflow(form.browser)
        assert (width <= size[0], beyond) == (True, [])


AXE = """const done = arguments[0];
axe.run("#ex-beta-objective", { resultTypes: ["violations"] }).then(({ violations }) => done(violations.flatMap(
  ({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))));"""


@pytest.mark.slow
def test_print_has_a_line_to_write_on_and_no_controls(open_page, browser):
    form = open_page()
    form.submit("beta*K - logp")
    browser.emulate(paper=True)
    assert browser.run(VISIBLE, ".gl-form, .gl-tools, .gl-progress, .gl-notebook") == 0
    line = "const { height, borderBottomStyle } = getComputedStyle(document.querySelector('.gl-answer'), '::after');"
    assert browser.run(f"{line} return [height, borderBottomStyle]") == ["48px", "solid"]


@pytest.mark.slow
def test_without_scripts_there_is_the_question_and_a_line(open_page, browser, built_book):
    open_page(scripts=False)
    assert "textbox" not in [role for role, _ in browser.accessibility_tree()]
    page = parse(built_book / FORMULAS)
    [place] = page.select('[data-exercise="beta-objective"]')
    assert place.get_text() == ""
    assert "Which loss does" in place.find_previous("p").get_text()


# --- the pages


@pytest.mark.slow
def test_no_page_says_that_nothing_was_answered_yet(built_book):
    for name in chapters():
        page = parse(built_book / name)
        assert "No answer yet" not in page.article.get_text(), name
        assert page.select(".gl-answer"), name


def test_a_function_leads_to_the_notebook(built_book):
    page = parse(built_book / FORMULAS)
    [links] = page.select("#ex-kl-standard-normal .gl-notebook")
    download, colab = (link["href"] for link in links.select("a"))
    assert (built_book / "book" / download).resolve().is_file()
    assert colab.startswith("https://colab.research.google.com/github/")
    assert colab.endswith("/book/01-beta-vae.ipynb")
    assert "def kl_standard_normal" in page.select_one("#ex-kl-standard-normal").get_text()


def test_the_marker_is_loaded_only_where_there_is_an_exercise(built_book):
    with_marker = {page for page in (built_book / "book").glob("*.html") if "marker.js" in page.read_text()}
    assert with_marker == {built_book / name for name in chapters()}


def test_what_marks_on_a_page_is_small(built_book, record_property):
    scripts = built_book / "_static/scripts"
    shared = b"".join((scripts / f"{name}.js").read_bytes() for name in ("marker", "marker-language"))
    forms = b"".join((scripts / f"{name}.js").read_bytes() for name in ("exercise", "progress"))
    for name in chapters():
        [data] = parse(built_book / name).select("#gl-exercises")
        assert json.loads(data.get_text())["exercises"]
        size = len(gzip.compress(shared + data.get_text().encode(), 9)) / 1000
        whole = len(gzip.compress(shared + forms + data.get_text().encode(), 9)) / 1000
        record_property(
            "measured", f"{name}: the marker and its data {size:.1f} kB, with forms and progress {whole:.1f} kB"
        )
        assert size <= 25
