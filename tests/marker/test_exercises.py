"""Every exercise: its right forms are right, its known mistakes get their own hint, its stub a friendly line."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch

from gradelib import check, exercises
from gradelib.marker.check import mark
from gradelib.marker.compare import equivalent
from gradelib.marker.exercise import Exercise, Mistake
from gradelib.marker.language import Formula, parse

ALL = exercises.every()
SEEDS = range(10)

# The ids that the book was planned with.
PLANNED = {
    "beta-objective", "gauss-loglik", "taylor-expectation", "kl-gauss", "kl-diag", "gauss-newton", "hess-gauss",
    "hess-bern", "hess-bern-logit", "frobenius", "opt-cov", "opt-cov-gauss", "opt-var-1d", "inverse-metric",
    "rotation", "regulariser", "grae", "hadamard", "hadamard-gap", "column-estimator", "optimal-variances",
}  # fmt: skip

RIGHT = [(exercise, form) for exercise in ALL for form in (exercise.answer or exercise.reference, *exercise.also_right)]
WRONG = [(exercise, mistake) for exercise in ALL for mistake in exercise.mistakes]


def name_of(value: object) -> str:
    if isinstance(value, Exercise):
        return value.id
    return str(value)[:30] if isinstance(value, str | Mistake) else "function"


@pytest.mark.parametrize(("exercise", "form"), RIGHT, ids=name_of)
def test_each_right_form_is_right_at_ten_seeds(exercise: Exercise, form: object) -> None:
    assert check(exercise.id, form), check(exercise.id, form)
    for seed in SEEDS:
        if isinstance(form, str):
            assert equivalent(parse(form, exercise.names), exercise.formula, exercise.inputs, seed=seed)
        else:
            assert mark(exercise, form, seed=seed)


@pytest.mark.parametrize(("exercise", "mistake"), WRONG, ids=name_of)
def test_each_known_mistake_gets_its_own_hint(exercise: Exercise, mistake: Mistake) -> None:
    result = check(exercise.id, mistake.answer)
    assert (result.state, result.mistake, result.text) == ("incorrect", str(mistake), mistake.hint)


@pytest.mark.parametrize("exercise", ALL, ids=name_of)
def test_an_untouched_stub_is_unanswered(exercise: Exercise) -> None:
    assert check(exercise.id, ...).state == "unanswered"


@pytest.mark.parametrize("exercise", ALL, ids=name_of)
def test_there_are_enough_right_forms_and_mistakes(exercise: Exercise) -> None:
    assert len({exercise.answer, *exercise.also_right}) >= 4  # the answer itself and three more
    assert len({str(mistake) for mistake in exercise.mistakes}) == len(exercise.mistakes) >= 5
    assert exercise.points > 0
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
