"""Every exercise: its right forms are right, its known mistakes get their own hint, its stub a friendly line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import torch
from corpora import some_of

from gradelib import check, exercises
from gradelib.marker.check import mark
from gradelib.marker.compare import equivalent
from gradelib.marker.diagnosis import dependence_hint
from gradelib.marker.exercise import Choice, Exercise, Mistake
from gradelib.marker.language import Formula
from gradelib.marker.parser import parse
from gradelib.marker.vocabulary import LANGUAGE

ALL = exercises.every()
SEEDS = range(10)

# The ids that the book was planned with.
PLANNED = {
    "beta-objective", "gauss-loglik", "taylor-expectation", "kl-gauss", "kl-diag", "gauss-newton", "hess-gauss",
    "hess-bern", "hess-bern-logit", "frobenius", "opt-cov", "opt-cov-gauss", "opt-var-1d", "inverse-metric",
    "rotation", "regulariser", "grae", "hadamard", "hadamard-gap", "column-estimator", "optimal-variances",
}  # fmt: skip

WORKED_OUT = [exercise for exercise in ALL if exercise.choice is None]
CHOICES = [exercise for exercise in ALL if exercise.choice]
RIGHT = [
    (exercise, form)
    for exercise in WORKED_OUT
    for form in (exercise.answer or exercise.reference, *exercise.also_right)
]
WRONG = [(exercise, mistake) for exercise in ALL for mistake in exercise.mistakes]


def name_of(value: object) -> str:
    if isinstance(value, Exercise):
        return value.id
    return str(value)[:30] if isinstance(value, str | Mistake) else "function"


@pytest.mark.sampled
@pytest.mark.parametrize(("exercise", "form"), RIGHT, ids=name_of)
def test_each_right_form_is_right_at_other_seeds(exercise: Exercise, form: object) -> None:
    assert mark(exercise, form), mark(exercise, form)
    for seed in some_of(SEEDS, 2 if isinstance(form, str) else 1):  # to try a function takes many times as long
        if isinstance(form, str):
            assert equivalent(parse(form, exercise.names), exercise.formula, exercise.inputs, seed=seed)
        else:
            assert mark(exercise, form, seed=seed)


@pytest.mark.parametrize(("exercise", "mistake"), WRONG, ids=name_of)
def test_each_known_mistake_gets_its_own_hint(exercise: Exercise, mistake: Mistake) -> None:
    result = mark(exercise, mistake.answer)
    assert (result.state, result.mistake, result.text) == ("incorrect", str(mistake), mistake.hint)


@pytest.mark.parametrize("exercise", [e for e in ALL if e.answer], ids=name_of)
def test_a_hint_on_inputs_is_true_of_every_right_form(exercise: Exercise) -> None:
    forms = [parse(str(form), exercise.names) for form in (exercise.answer, *exercise.also_right)]
    without, *_ = LANGUAGE["sentences"]["without"].split("{name}")
    depends, *_ = LANGUAGE["sentences"]["depends"].split("{name}")
    for names in ("1", *map(" + ".join, combinations(exercise.names, 2))):
        hint = dependence_hint(parse(names, exercise.names), exercise)
        named = hint.removeprefix(without).removeprefix(depends).rstrip("?")
        for form in forms:
            assert not hint.startswith(without) or named in form.names
            assert not hint.startswith(depends) or named not in form.names


@pytest.mark.parametrize("exercise", ALL, ids=name_of)
def test_an_untouched_stub_is_unanswered(exercise: Exercise) -> None:
    assert check(exercise.id, ...).state == "unanswered"


@pytest.mark.parametrize("exercise", WORKED_OUT, ids=name_of)
def test_there_are_enough_right_forms_and_mistakes(exercise: Exercise) -> None:
    assert len({exercise.answer, *exercise.also_right}) >= 4  # the answer itself and three more
    assert len({str(mistake) for mistake in exercise.mistakes}) == len(exercise.mistakes) >= 5
    assert exercise.max_score > 0
    assert exercise.prompt.endswith((".", "?", ")"))


@pytest.mark.parametrize("exercise", ALL, ids=name_of)
def test_hints_are_short_and_do_not_give_the_answer_away(exercise: Exercise) -> None:
    right = {_plain(form) for form in (exercise.answer, *exercise.also_right) if isinstance(form, str)}
    for mistake in exercise.mistakes:
        assert 1 <= len(re.findall(r"[.?!](?:\s|$)", mistake.hint)) <= 2, mistake.hint
        assert len(mistake.hint) < 200
        assert mistake.hint.endswith((".", "?"))
        assert "@" not in mistake.hint
        assert not any(len(form) > 2 and form in _plain(mistake.hint) for form in right), mistake.hint


def _plain(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("exercise", [e for e in ALL if e.answer], ids=name_of)
def test_right_forms_are_written_differently(exercise: Exercise) -> None:
    trees = {parse(form, exercise.names).root for form in (exercise.answer, *exercise.also_right)}
    assert len(trees) >= 4
    assert isinstance(exercise.formula, Formula)


def test_every_planned_exercise_is_there_once() -> None:
    chapters = [exercises.of_chapter(chapter) for chapter in exercises.CHAPTERS]
    ids = [exercise.id for chapter in chapters for exercise in chapter]
    assert max(Counter(ids).values()) == 1
    assert set(ids) >= PLANNED
    assert tuple(ids) == exercises.ids()


@pytest.mark.parametrize("chapter", exercises.CHAPTERS)
def test_each_chapter_has_three_exercises_and_a_function_to_write(chapter: int) -> None:
    here = exercises.of_chapter(chapter)
    assert len(here) >= 3
    assert any(exercise.function for exercise in here)


def test_get_names_the_nearest_id() -> None:
    assert exercises.get("opt-cov").id == "opt-cov"
    with pytest.raises(ValueError, match="Did you mean 'opt-cov'"):
        exercises.get("optcov")


# Two references against closed forms that are computed in another way


def test_optimal_variances_maximise_their_objective() -> None:
    """No nearby diagonal covariance is better in tr(JᵀHJ S)/2 − β KL."""
    torch.manual_seed(0)
    J, curvature, beta = torch.randn(5, 3).double(), -torch.rand(5).double() - 0.1, 0.7
    best = exercises.get("optimal-variances").reference(J, curvature, beta)

    def objective(variances: torch.Tensor) -> torch.Tensor:
        information = J.T @ curvature.diag() @ J
        kl = (variances.sum() - 3 - variances.log().sum()) / 2
        return (information @ variances.diag()).trace() / 2 - beta * kl

    for step in 0.05 * torch.randn(50, 3).double():
        assert objective(best) > objective(best * step.exp())


def test_mean_field_cost_is_the_least_kl() -> None:
    torch.manual_seed(0)
    a = torch.randn(3, 3).double()
    S = a @ a.T + torch.eye(3).double()
    cost = exercises.get("mean-field-cost").reference(S, torch.eye(3).double())
    p = torch.distributions.MultivariateNormal(torch.zeros(3).double(), S)

    def kl(variances: torch.Tensor) -> torch.Tensor:
        q = torch.distributions.MultivariateNormal(torch.zeros(3).double(), variances.diag())
        return torch.distributions.kl_divergence(q, p)

    best = 1 / S.inverse().diagonal()
    torch.testing.assert_close(kl(best), cost)
    assert all(kl(best * step.exp()) > cost for step in 0.1 * torch.randn(50, 3).double())


# Choices with reasons


def labelled(exercise: Exercise) -> dict[tuple[str, str], str]:
    """What a learner types for each pair of an option and a reason."""
    options, reasons = exercise.choice.labels(exercise.id)
    return {(option, reason): a + b for a, option in options.items() for b, reason in reasons.items()}


def test_the_book_has_a_choice_with_a_reason() -> None:
    assert CHOICES


@pytest.mark.parametrize("exercise", CHOICES, ids=name_of)
def test_each_pair_has_its_verdict_and_each_wrong_one_its_hint(exercise: Exercise) -> None:
    for pair, typed in labelled(exercise).items():
        result = check(exercise.id, typed)
        assert bool(result) == (pair == exercise.choice.right)
        if not result:
            assert (result.state, result.text) == ("incorrect", exercise.choice.hints[pair])
            assert result.mistake == " because ".join(pair)


@pytest.mark.parametrize("exercise", CHOICES, ids=name_of)
def test_hints_of_choices_are_short_and_different(exercise: Exercise) -> None:
    hints = list(exercise.choice.hints.values())
    assert len({*hints}) == len(hints)
    assert all(len(hint) < 200 and hint.endswith(("?", ".")) for hint in hints)
    texts = [*exercise.choice.options.values(), *exercise.choice.reasons.values()]
    assert all(text.endswith(".") and len(text) < 160 for text in texts)


@pytest.mark.parametrize("exercise", CHOICES, ids=name_of)
def test_a_chapter_shows_the_options_in_the_order_of_their_labels(exercise: Exercise) -> None:
    chapter = next(n for n in exercises.CHAPTERS if exercise in exercises.of_chapter(n))
    [page] = (Path(__file__).parents[2] / "book").glob(f"{chapter:02d}-*.md")
    words = " ".join(page.read_text(encoding="utf8").split())
    options, reasons = exercise.choice.labels(exercise.id)
    places = [words.find(f"- **{a}** {exercise.choice.options[key]}") for a, key in options.items()]
    places += [words.find(f"- **{n}** {exercise.choice.reasons[key]}") for n, key in reasons.items()]
    assert -1 not in places
    assert places == sorted(places)


CHOICE = Choice(
    {"up": "It grows.", "down": "It shrinks."},
    {"a": "One.", "b": "Two.", "c": "Three."},
    right=("up", "b"),
    hints={(o, r): f"Not {o} {r}." for o in ("up", "down") for r in "abc" if (o, r) != ("up", "b")},
)


@pytest.mark.parametrize(
    "write",
    [
        lambda a, b: a + b,
        lambda a, b: f" {a.lower()} {b}. ",
        lambda a, b: f"{b}{a}",
        lambda a, b: (a, b),
        lambda a, b: [a, int(b)],
        lambda a, b: f"{a} because of {b}",
        lambda a, b: f"({a}, {b})",
        lambda a, b: f"{chr(ord(a) + 0xFEE0)}{b}",
        lambda a, b: {"choice": a, "reason": int(b)},
    ],
)
def test_a_choice_may_be_written_in_many_ways(write: Callable) -> None:
    exercise = Exercise("growth", "Which?", {}, choice=CHOICE)
    pair = labelled(exercise)[CHOICE.right]
    assert mark(exercise, write(*pair)), mark(exercise, write(*pair))
    other = labelled(exercise)["down", "a"]
    assert mark(exercise, write(*other)).text == "Not down a."


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        ("A", "unreadable", "both together"),
        (2, "unreadable", "both together"),
        ("AB", "unreadable", "such as"),
        ("Z9", "unreadable", "such as"),
        ("beta/(1 + w)", "unreadable", "A, B"),
        ("A1 or B2", "unreadable", "both together"),
        (lambda x: x, "unreadable", "such as"),
        (..., "unanswered", "Nothing"),
        ("...", "unanswered", "Nothing"),
    ],
)
def test_what_is_no_choice_is_told_how_to_choose(answer: object, state: str, words: str) -> None:
    result = mark(Exercise("growth", "Which?", {}, choice=CHOICE), answer)
    assert (result.state, words in result.text) == (state, True), result


def test_labels_depend_on_the_exercise_alone() -> None:
    assert CHOICE.labels("growth") == CHOICE.labels("growth")
    assert len({str(CHOICE.labels(str(n))) for n in range(20)}) > 5


def test_a_choice_needs_a_hint_for_each_wrong_pair() -> None:
    hints = dict(CHOICE.hints)
    del hints["down", "c"]
    with pytest.raises(ValueError, match="down"):
        Choice(CHOICE.options, CHOICE.reasons, CHOICE.right, hints)
    with pytest.raises(ValueError, match="not among"):
        Choice(CHOICE.options, CHOICE.reasons, ("up", "z"), CHOICE.hints)
