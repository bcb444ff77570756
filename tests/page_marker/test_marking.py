"""What the page's marker does beyond agreeing with Python, and the mistakes that markers in pages have shipped with."""

from __future__ import annotations

import re
from collections.abc import Callable

import marker_corpus as corpus
import pytest
from marker_corpus import Case, as_json
from marker_page import SCRIPT, MarkerPage, served_script

from gradelib import exercises
from gradelib.marker.check import mark
from gradelib.marker.exercise import Exercise
from gradelib.marker.page import language_data, page_data

OPTIMUM = "inv(I_d - T(J)@H@J/beta)"
WITHOUT_VALUE = (
    "({})*log(-1)",
    "({})*(0/0)",
    "({})/0",
    "({})*exp(1000)",
    "({})*exp(1000)*exp(-1000)",
    "({})*(-1)**0.5",
)
WITHOUT_VALUE += ("({0}) + ({0})*(log(0)*0)", "({})*1e6**20*1e6**20*1e6**20", "({})*sqrt(0 - 1)**2")


def one(page: MarkerPage, text: str, exercise: str = "opt-cov") -> dict:
    [found] = page.mark([Case(exercise, text, "by hand")])
    return found


# Mistakes that have shipped


def test_what_is_not_a_finite_number_is_never_right(page: MarkerPage) -> None:
    cases = [
        Case(exercise.id, text.format(exercise.answer), "without value")
        for exercise in corpus.FORMULAS
        for text in WITHOUT_VALUE
    ]
    for case, found in zip(cases, page.mark(cases), strict=True):
        assert (found["state"], found["score"]) == ("incorrect", 0), case
        assert "no value" in found["message"], case


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("-beta**2", "-(beta**2)"),
        ("2**-1", "2**-1"),
        ("beta/d*n", "(beta/d)*n"),
        ("J@H*J", "J@H*J"),
        ("beta-d-n", "beta - d - n"),
        ("-beta*d", "-beta*d"),
        ("2*-beta**2", "2*-(beta**2)"),
        ("1/2*beta", "(1/2)*beta"),
    ],
)
def test_precedence_is_python_s(page: MarkerPage, text: str, read_as: str) -> None:
    [found] = page.preview([Case("opt-cov", text, "by hand")])
    assert found["readAs"]["text"] == read_as
    assert found["tree"] == corpus.python_tree(text)


def test_a_tower_of_powers_is_refused_and_not_read_from_the_left(page: MarkerPage) -> None:
    assert one(page, "2**3**2")["code"] == "exponent_power"


@pytest.mark.parametrize("text", ["", " ", "\t\n", "...", "…", "?", "''", "TODO"])
def test_an_empty_field_is_no_answer_even_where_zero_is_right(page: MarkerPage, text: str) -> None:
    found = one(page, text)
    assert (found["state"], found["score"]) == ("unanswered", 0)
    assert found["message"] == language_data()["sentences"]["blank"]
    assert "notebook" not in found["message"]
    assert "cell" not in found["message"]


# What the page alone says


@pytest.mark.parametrize("factor", ["1.0000001", "(1 + 1e-8)", "(1 - 1e-9*3)"])
def test_what_float64_cannot_tell_is_not_decided_and_never_wrong(page: MarkerPage, factor: str) -> None:
    found = one(page, f"{factor}*{OPTIMUM}")
    assert (found["state"], found["score"], found["mistake"]) == ("undecided", 0, None)
    assert found["message"] == language_data()["sentences"]["undecided"]
    assert found["readAs"]["text"]


def test_rounding_alone_is_right(page: MarkerPage) -> None:
    assert one(page, f"(1 + 1e-12)*{OPTIMUM}")["state"] == "correct"


def test_a_fault_of_the_script_is_one_apology(page: MarkerPage) -> None:
    data = page_data(exercises.get("opt-cov"))
    del data["raw"]["J"]
    try:
        page.load({"opt-cov": data})
        found = one(page, "beta")
    finally:
        page.load_book()
    assert (found["state"], found["code"]) == ("unreadable", "apology")
    assert found["message"] == language_data()["sentences"]["apology"]


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("inv(I_d - J'@H@J/beta)", "inv(I_d - T(J)@H@J/beta)"),
        ("2beta", "2*beta"),
        ("0,5*beta", "0.5*beta"),
        ("inv(I_d - T(J) H J/beta)", "inv(I_d - T(J)@H@J/beta)"),
        ("Beta*I_d", "beta*I_d"),
        ("invers(J)", "inverse(J)"),
        ("zzz", None),
        ("e", None),
    ],
)
def test_the_corrected_text_is_offered(page: MarkerPage, text: str, suggestion: str | None) -> None:
    found = one(page, text)
    assert (found["state"], found["suggestion"]) == ("unreadable", suggestion)


def test_entrywise_products_are_offered_as_matrix_products(page: MarkerPage) -> None:
    found = one(page, "S*S", "rotation")
    assert found["state"] != "correct"
    found = one(page, "R*S*T(R)", "rotation")
    assert (found["state"], found["suggestion"]) == ("unreadable", "R@S@T(R)")


def test_a_preview_simplifies_nothing_and_gives_no_verdict(page: MarkerPage) -> None:
    [found] = page.preview([Case("opt-cov", "1*beta + 0 - (-(-beta))", "by hand")])
    assert found["readAs"]["text"] == "1*beta + 0 - -(-beta)"
    assert "state" not in found
    [found] = page.preview([Case("opt-cov", "-", "by hand")])
    assert (found["ok"], found["code"]) == (False, "incomplete")


def test_a_formula_is_said_in_words_and_set_in_mathml(page: MarkerPage) -> None:
    [found] = page.preview([Case("opt-cov", "(beta/2)*tr(J.T@J) - [1, 2]**2", "by hand")])
    assert found["readAs"]["words"] == (
        "open bracket, beta over 2, close bracket times the trace of open bracket, the transpose of J matrix times J, "
        "close bracket minus open list, 1, 2, close list to the power 2"
    )
    markup = page.browser.run(
        "return GradeMarker.element(marker.preview('opt-cov', 'beta/2*inv(I_d)').readAs.mathml).outerHTML"
    )
    assert markup == (
        "<math><mrow><mfrac><mi>β</mi><mn>2</mn></mfrac><mo>·</mo>"
        "<msup><msub><mi>I</mi><mi>d</mi></msub><mrow><mo>−</mo><mn>1</mn></mrow></msup></mrow></math>"
    )


@pytest.mark.parametrize("exercise", corpus.CHOICES, ids=lambda exercise: exercise.id)
def test_every_pair_of_a_choice_is_marked_as_in_python(page: MarkerPage, exercise: Exercise) -> None:
    assert exercise.choice is not None
    options, reasons = exercise.choice.labels(exercise.id)
    pairs = [(o, r) for o in range(len(options)) for r in range(len(reasons))]
    script = "return JSON.parse(arguments[1]).map(([o, r]) => marker.markChoice(arguments[0], o, r))"
    for (option, reason), found in zip(pairs, page.browser.run(script, exercise.id, as_json(pairs)), strict=True):
        told = mark(exercise, f"{[*options][option]}{[*reasons][reason]}")
        assert (found["state"], found["message"], found["mistake"], found["score"]) == (
            told.state,
            told.text,
            told.mistake,
            told.score,
        )
    for half in ([0, None], [None, 0], [None, None]):
        [found] = page.browser.run(script, exercise.id, as_json([half]))
        assert (found["state"], found["score"]) == ("unanswered", 0)


# The script


def test_names_of_javascript_s_own_objects_are_names_like_others(page: MarkerPage) -> None:
    for name in ("constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"):
        for text in (name, f"{name}(1)", f"beta.{name}", f"beta.{name}(1)", f"{name}={name}"):
            told = mark(exercises.get("opt-cov"), text)
            found = one(page, text)
            assert (found["state"], found["message"]) == (told.state, told.text), text


# What runs text or writes markup; and looking behind in a pattern, at which Safari before 16.4 drops the whole script.
BANNED = r"\(\?<[=!]|\beval\b|\bFunction\b|innerHTML|outerHTML|insertAdjacent|document\.write"
BANNED += r"|setTimeout|localStorage|fetch\(|import"


def test_nothing_is_evaluated_as_code_or_written_as_markup() -> None:
    code = re.sub(r"//.*", "", SCRIPT.read_text(encoding="utf8"))
    assert not re.findall(BANNED, code)
    assert code.lstrip().startswith('"use strict";')
    assert served_script().startswith('"use strict";')


def test_one_global_and_it_is_frozen(page: MarkerPage) -> None:
    added = "return [Object.keys(GradeMarker), Object.isFrozen(GradeMarker), typeof Parser, typeof Language]"
    assert page.browser.run(added) == [["load", "element"], True, "undefined", "undefined"]


def test_the_time_of_a_check_at_a_quarter_of_the_speed(page: MarkerPage, record_property: Callable) -> None:
    """Of the slowest exercise; figures for a report and no test, since a busy machine is slow."""
    script = """
    const fastest = (works) => Math.min(...works.map((work) => {
      const start = performance.now();
      work();
      return performance.now() - start;
    }));
    const { language, exercises, texts } = JSON.parse(arguments[0]);
    const loaded = [1, 2, 3].map(() => GradeMarker.load(language, exercises));
    const slowest = (time) => Math.max(...texts.map(time));
    const prepared = slowest(([id]) => fastest(loaded.map((marker) => () => marker.prepare(id))));
    return [prepared, slowest(([id, text]) => fastest(loaded.map((marker) => () => marker.mark(id, text))))];
    """
    data = {exercise.id: page_data(exercise) for exercise in corpus.FORMULAS}
    texts = [(exercise.id, f"({exercise.answer})*7*n") for exercise in corpus.FORMULAS]
    page.browser.driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 4})
    try:
        prepared, checked = page.browser.run(
            script, as_json({"language": language_data(), "exercises": data, "texts": texts})
        )
    finally:
        page.browser.driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 1})
    record_property(
        "measured", f"page's marker at 4x slowdown: prepared in {prepared:.0f} ms, a check in {checked:.1f} ms"
    )
