"""Exercises on the pages: what is noted of them, the frozen list of ids, and what a field shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docutils import nodes

from book.extensions.exercises.assets import field, hint, revision
from book.extensions.exercises.domain import IDS, asked, faults_of_ids, read_ids
from book.extensions.exercises.post_transforms import colab_url, is_marked_on_page
from gradelib import exercises
from gradelib._colours import VERDICTS

ROOT = Path(__file__).parents[2]
BANK = ["one", "two"]


def cell(code: str) -> nodes.container:
    source = nodes.container("", nodes.literal_block(code, code), nb_element="cell_code_source")
    return nodes.container("", source, nb_element="cell_code", classes=["cell", "tag_exercise"])


# --- the frozen list


def test_the_list_of_the_book_has_no_fault():
    assert list(faults_of_ids(read_ids(ROOT / IDS), exercises.ids())) == []


@pytest.mark.parametrize(
    ("known", "bank", "said"),
    [
        ({"ids": ["one"]}, BANK, "add the id two"),
        ({"ids": ["one", "two", "gone"]}, BANK, "gone has vanished"),
        ({"ids": ["one", "two", "one"]}, BANK, "one stands there twice"),
        ({"ids": BANK, "retired": ["two"]}, BANK, "two stands there twice"),
        ({"ids": BANK, "aliases": {"old": "three"}}, BANK, "old is an alias of three, which no exercise has"),
        ({"ids": BANK, "aliases": {"one": "two"}}, BANK, "one stands there twice"),
        ({"ids": BANK}, [*BANK, "two"], "two exercises have the id two"),
    ],
)
def test_a_fault_of_the_ids_is_said(known, bank, said):
    [fault] = faults_of_ids({"aliases": None, "retired": None, **known}, bank)
    assert said in fault


def test_an_alias_and_a_retired_id_are_no_faults():
    known = {"ids": BANK, "aliases": {"old": "one"}, "retired": ["gone"]}
    assert list(faults_of_ids(known, BANK)) == []


# --- the cells


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('answer = ...\ncheck("one", answer)', [("one", "answer")]),
        ('a = ...\nb = ...\ncheck("one", a)\ncheck("two", b)', [("one", "a"), ("two", "b")]),
        ('check("one", "2*x")', []),
        ("check(name, answer)", []),
        ('other("one", answer)', []),
    ],
)
def test_the_checks_of_a_cell_are_found(code, found):
    assert asked(cell(code)) == found


# --- what a field shows


def test_formulas_and_choices_are_marked_on_a_page_and_functions_are_not():
    assert is_marked_on_page("kl-gauss")
    assert is_marked_on_page("what-training-leaves")
    assert not is_marked_on_page("kl-standard-normal")
    assert not is_marked_on_page("no-such-exercise")


def test_every_formula_has_a_hint_that_does_not_give_the_answer():
    for exercise in filter(lambda one: one.answer is not None, exercises.every()):
        said = hint(exercise)
        assert said.startswith(("The answer is a number", "The answer is a vector", "The answer is a matrix"))
        assert all(name in said for name in exercise.formula.names)
        assert exercise.answer not in said or exercise.answer in exercise.inputs
        assert exercise.answer not in said.removesuffix(".").split(" uses ")[1] or len(exercise.answer) == 1


def test_a_hint_lists_names_and_functions():
    assert hint(exercises.get("kl-gauss")) == (
        "The answer is a number. One way to write it uses S, d, h, logdet(…), norm2(…) and tr(…)."
    )


def test_a_field_has_the_keys_of_its_exercise_and_a_name_where_there_are_several():
    shown = field(exercises.get("step-length"), "squared_length")
    assert shown["label"] == "squared length"
    assert {"J", "v"} <= set(shown["keys"])
    assert field(exercises.get("kl-gauss"), "answer")["label"] == ""


def test_the_letters_of_a_choice_are_those_of_the_text():
    exercise = exercises.get("what-training-leaves")
    shown = field(exercise, "choice")
    question = exercise.question
    for _, label, text in shown["options"] + shown["reasons"]:
        assert f"{label}. {text}" in question


def test_a_revision_changes_with_what_is_marked():
    assert revision("kl-gauss") != revision("kl-diag")
    assert revision("kl-standard-normal") == ""


# --- links


def test_colab_opens_the_notebook_of_the_page():
    class Config:
        html_theme_options = {  # noqa: RUF012
            "repository_url": "https://github.com/owner/name",
            "repository_branch": "trunk",
            "launch_buttons": {"colab_url": "https://colab.research.google.com"},
        }

    address = colab_url(Config(), "book/01-a")
    assert address == "https://colab.research.google.com/github/owner/name/blob/trunk/book/01-a.ipynb"
    Config.html_theme_options = {}
    assert colab_url(Config(), "book/01-a") is None


# --- colours


def test_verdicts_have_the_colours_that_they_have_in_a_notebook():
    sheet = (ROOT / "book/_static/marker.css").read_text(encoding="utf8")
    modes = sheet.split('html[data-theme="dark"]')[:2]
    for state in ("correct", "incorrect", "unreadable", "unanswered"):
        shown = [re.search(rf"--gl-{state}: (#\w+);", mode)[1] for mode in modes]
        assert tuple(shown) == VERDICTS[state]
