"""One language, two readers: on the same texts Python and the page see the same tree and come to the same verdict.

The page computes in float64 alone. Where that cannot tell it says *undecided*: on no right form and no known mistake,
and on fewer than one in a thousand of all other answers. Each day another sample is tried; `--whole-corpus` tries all.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable

import marker_corpus as corpus
import numpy as np
import pytest
from corpora import some_of
from marker_corpus import Case
from marker_page import MarkerPage

from gradelib import exercises
from gradelib.marker.check import mark
from gradelib.marker.diagnosis import ValuesAt, trial_points
from gradelib.marker.exercise import Exercise
from gradelib.marker.language import UnreadableError
from gradelib.marker.page import language_data
from gradelib.marker.parser import parse
from gradelib.marker.vocabulary import LANGUAGE

MANY, SAMPLE = 8000, 120  # cases of a kind that is drawn at random, and how many of them a sample has
Record = Callable[[str, object], None]


def few(undecided: list[Case], cases: list[Case]) -> bool:
    """Whether the page leaves fewer than one in a thousand undecided; of a small sample it may be one."""
    return len(undecided) < max(2, len(cases) / 1000)


def compare(page: MarkerPage, cases: list[Case], *, words: bool = True) -> list[Case]:
    """Assert that both markers agree on each case but those that the page leaves undecided, which are returned.

    Without `words`, the sentence on a wrong formula may differ: what a nearly singular matrix hides is chance.
    """
    undecided = []
    for case, found in zip(cases, page.mark(cases), strict=True):
        told = mark(exercises.get(case.exercise), case.text)
        if found["state"] == "undecided":
            undecided.append(case)
            continue
        ours = (found["state"], found["mistake"], found["score"], found["readAs"] and found["readAs"]["text"])
        assert ours == (told.state, told.mistake, told.score, told.read_as), case
        if told.state != "unanswered" and (words or told.state != "incorrect"):
            assert found["message"] == told.text, case
    return undecided


@pytest.mark.parametrize("source", [corpus.right_forms, corpus.known_mistakes])
def test_what_the_book_knows_is_decided_as_in_python(page: MarkerPage, source: Callable) -> None:
    cases = list(source())
    assert {case.exercise for case in cases} == {exercise.id for exercise in corpus.FORMULAS}
    assert not compare(page, cases)


def test_the_chapters_solutions_are_right(page: MarkerPage) -> None:
    cases = list(corpus.solutions())
    by_function = {"opt-cov", "opt-cov-gauss"}
    assert {case.exercise for case in cases} | by_function == {exercise.id for exercise in corpus.FORMULAS}
    assert {found["state"] for found in page.mark(cases)} == {"correct"}


@pytest.mark.slow
@pytest.mark.sampled
def test_mutants_are_marked_as_in_python(page: MarkerPage, record_property: Record) -> None:
    """Each rule of the diagnosis wherever it applies, but factors, which are many and all alike; and two at a time."""
    single = corpus.single_mutants()
    factors = [case for case in single if case.source == "factor"]
    cases = [case for case in single if case.source != "factor"]
    cases += [*some_of(factors, SAMPLE // 2), *corpus.double_mutants(some_of(range(MANY), SAMPLE))]
    undecided = compare(page, cases, words=False)
    assert few(undecided, cases), undecided
    record_property("measured", f"parity: {len(cases)} mutants, {len(undecided)} of them undecided")


@pytest.mark.sampled
def test_broken_texts_are_read_and_refused_as_in_python(page: MarkerPage, record_property: Record) -> None:
    cases = list(corpus.broken_texts(some_of(range(6 * MANY), 6 * SAMPLE)))
    same_reading(page, cases)
    marked = cases[: len(cases) // 6]
    undecided = compare(page, marked, words=False)
    assert few(undecided, marked), undecided
    record_property(
        "measured", f"parity: {len(cases)} broken texts read, {len(marked)} of them marked, {len(undecided)} undecided"
    )


@pytest.mark.sampled
def test_the_order_of_operations_is_python_s(page: MarkerPage, record_property: Record) -> None:
    cases = list(corpus.random_sums(some_of(range(6 * MANY), 6 * SAMPLE)))
    same_reading(page, cases)
    trees = [found["tree"] for found in page.preview(cases)]
    judged = [(tree, case.text) for tree, case in zip(trees, cases, strict=True) if tree and "^T" not in case.text]
    for tree, text in judged:
        assert tree == corpus.python_tree(text), text
    assert len(judged) > len(cases) / 2
    record_property(
        "measured", f"parity: {len(cases)} random trees, {len(judged)} of them judged by Python's own parser"
    )


def same_reading(page: MarkerPage, cases: list[Case]) -> None:
    """Assert that both readers see the same tree, or refuse with the same code and the same sentence."""
    for case, found in zip(cases, page.preview(cases), strict=True):
        try:
            formula = parse(case.text, exercises.get(case.exercise).names)
            ours = (corpus.as_data(formula.root), formula.explicit, None, "")
        except UnreadableError as error:
            ours = (None, None, error.code, str(error))
        read_as = found["readAs"] and found["readAs"]["text"]
        assert (found["tree"], read_as, found["code"], found["message"]) == ours, case


# Texts for the sentences that no other text gets.
SAID = [
    ("opt-cov", text)
    for text in (
        "I_d*d - J", "I_d + 1", "2**J", "[1, 2]**[1, 2]", "[1, 2]/[1, 2, 3]", "I_d/I_d", "I_d**3", "[[1, 2], [3]]",
        "3!", ", beta", "beta, d", "(beta]", "e", "beta(foo)", "np.(1)", "beta@beta", "J*H", "J@J", "inv(J)", "1/0",
        "log(0 - beta)", "sqrt(-beta)", "inv(I_d - I_d)", "exp(999)",
        "beta", "I_d*beta**2 - T(J)@J", "H@J*J", "inv(I_d - T(J)@H@J/beta) + I_d*sum(J*J)", "J[0]", "...+1",
        "inv(I_d - T(J)@J/beta)", "inv(I_d - T(J)@H@J/beta + d*I_d)", "I_d - T(J)@H@J/beta/d**3", "__", "J'",
    )
] + [("step-length", "sqrt((J*v)@(J@v))"), ("kl-diag", "sum(v*h)*d"), ("second-moment", "h*T(h) + S")]  # fmt: skip
NOT_FROM_TEXT = {"apology", "undecided"}  # which have tests of their own


def test_each_sentence_is_said_by_both(page: MarkerPage) -> None:
    cases = [*corpus.written_by_hand(), *(Case(name, text, "said") for name, text in SAID), *corpus.right_forms()]
    cases += [
        Case(exercise.id, text, "choice")
        for exercise in corpus.CHOICES
        for text in ("A1", "b because 2", "?", "A", "Z9")
    ]
    assert not compare(page, cases)
    messages = "\n".join({found["message"] for found in page.mark(cases)})
    sentences = language_data()["sentences"]
    unsaid = {
        code
        for code, text in sentences.items()
        if not re.search(re.sub(r"\\\{.+?\\\}", ".+", re.escape(text)), messages)
    }
    assert unsaid == NOT_FROM_TEXT


OPERANDS = ("beta", "h", "J", "I_d", "T(h)", "-h", "diag(h)", "[[1, beta], [0, 2]]", "0", "-beta")


@pytest.mark.sampled
def test_each_operation_has_the_same_value_or_the_same_complaint(page: MarkerPage) -> None:
    """Every function and operator on operands of every shape, by its sentence and by its numbers."""
    functions = [f"{name}({x})" for name in (*LANGUAGE["functions"], *LANGUAGE["definitions"]) for x in OPERANDS]
    operators = [f"({x}){sign}({y})" for sign in "+-*/@^" for x in OPERANDS for y in OPERANDS]
    called = [f"{name}({x}, {y})" for name in ("dot", "pow", "solve", "outer") for x in OPERANDS for y in OPERANDS]
    every = [Case("grae", text, "operation") for text in (*functions, *operators, *called)]
    cases = some_of(every, SAMPLE)
    assert not compare(page, cases)
    script = """
    const exercise = marker.exercises.get("grae");
    exercise.prepare();
    const values = (text) => exercise.valuesOf(marker.preview("grae", text).tree);
    return JSON.stringify(JSON.parse(arguments[0]).map((text) => values(text).map((x) => (x && x.data) || x)));
    """
    exercise = exercises.get("grae")
    texts = {case.text: parse(case.text, exercise.names) for case in cases if _is_read(case.text, exercise)}
    found = json.loads(page.browser.run(script, corpus.as_json([*texts])))
    for (text, formula), ours in zip(texts.items(), found, strict=True):
        for told, value in zip(ValuesAt(formula, trial_points(exercise)), ours, strict=True):
            assert (told is None) == (value is None), text
            if told is not None:
                np.testing.assert_allclose(np.ravel(value), np.ravel(told), rtol=1e-9, atol=1e-12, err_msg=text)


def _is_read(text: str, exercise: Exercise) -> bool:
    try:
        parse(text, exercise.names)
    except UnreadableError:
        return False
    return True


@pytest.mark.sampled
def test_each_character_is_read_as_in_python(page: MarkerPage) -> None:
    """All in the table of look-alikes, and of the others some or, with the whole corpus, all that Python 3.11 knows."""
    tables = LANGUAGE["characters"]
    in_tables = "".join(map("".join, (*tables["like"].values(), *map(tables.get, ("ignored", "transposed", "zeros")))))
    in_tables += "".join("".join(tables[name]) for name in ("superscripts", "subscripts", "fractions"))
    others = [sign for sign in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(sign) not in ("Cn", "Co")]
    signs = [*in_tables, *some_of(others, 5 * SAMPLE)]
    same_reading(page, [Case("opt-cov", text, "character") for sign in signs for text in (sign, f"J{sign}2")])
