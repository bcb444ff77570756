"""The figures of chapter 10: the terms of both objectives at each solution, and the gap over the length of training."""

from __future__ import annotations

import re

import pytest

from gradelib.experiments import Recorded
from gradelib.figures import Picture, chapter10
from gradelib.figures.live import explore

TERMS = {"error": 4.0, "code": 2.0, "charge": 1.0, "cloud": 1.25}
SOLUTIONS = {
    (beta, steps): {"β-VAE": TERMS, "GRAE≈": TERMS | {"charge": 90 * beta, "error": steps / 1000}}
    for beta in (0.1, 0.4)
    for steps in (1500, 6000)
}


def test_the_words_add_up_the_terms_of_each_bar():
    words = chapter10.terms_at_solutions(SOLUTIONS)(0.4, 6000).alt
    assert (
        "Trained with β-VAE: GRAE≈ is 7.00 nats (error 4.00, code 2.00, charge 1.00) and the β-VAE loss 7.25" in words
    )
    assert "Trained with GRAE≈: GRAE≈ is 44.00 nats" in words


def test_each_solution_has_a_bar_of_each_loss(monkeypatch):
    drawn = []
    monkeypatch.setattr(chapter10, "_stack", lambda panel, place, bar, terms: drawn.append((round(place), bar)))
    chapter10.terms_at_solutions(SOLUTIONS)(0.4, 1500)
    assert drawn == [(place, bar) for place in (0, 1) for bar in (chapter10.GRAE_BAR, chapter10.VAE_BAR)]


def test_the_frames_have_one_size_and_are_light():
    html = explore(chapter10.terms_at_solutions(SOLUTIONS), "β", [0.1, 0.4], "steps", [1500, 6000]).html()
    assert len(html) < 60_000


@pytest.mark.parametrize("terms", [{"error": 1.0}, TERMS | {"cloud": -0.1}, TERMS | {"more": 1.0}])
def test_terms_that_make_no_bar_are_refused(terms):
    with pytest.raises(ValueError, match="A solution has the terms"):
        chapter10.terms_at_solutions({(0.4, 1): {"β-VAE": terms}})


@pytest.mark.parametrize("solutions", [{}, {(0.4, 1): {}}])
def test_no_solution_is_refused(solutions):
    with pytest.raises(ValueError, match="at least one solution"):
        chapter10.terms_at_solutions(solutions)


GAPS = {
    0.02: {"β-VAE": {1500: [-0.01, 0.01], 6000: [0.0]}, "GRAE≈": {1500: [0.1, 0.2], 6000: [0.3]}},
    0.8: {"β-VAE": {1500: [1.0]}, "GRAE≈": {1500: [6.0], 6000: [20.0, 40.0]}},
}


def test_the_mean_gaps_are_said_at_both_ends():
    picture = chapter10.gaps_over_steps(GAPS)
    assert isinstance(picture, Picture)
    assert "at β = 0.02, trained with GRAE≈, from 0.150% after 1500 steps to 0.300% after 6000" in picture.alt
    assert "at β = 0.8, trained with GRAE≈, from 6.000% after 1500 steps to 30.000% after 6000" in picture.alt
    assert len(picture.svg()) < 60_000


def test_a_bar_is_the_standard_error_of_the_mean(monkeypatch):
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.errorbar", lambda panel, x, y, errors, **look: drawn.append((y, errors)))
    chapter10.gaps_over_steps({0.8: {"GRAE≈": {6000: [20.0, 40.0], 12000: [40.0]}}})
    assert drawn == [([30.0, 40.0], [pytest.approx(10), 0.0])]


def test_another_objective_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=re.escape("GRAE")):
        chapter10.gaps_over_steps({0.1: {"GRAE~": {1: [0.0]}}})


def test_no_gap_is_refused():
    with pytest.raises(ValueError, match="no β"):
        chapter10.gaps_over_steps({})


# --- recorded tables


def recorded(rows, table):
    return Recorded("race", "", rows, {}, table, [], None)


def test_the_formula_and_both_fits_stand_beside_each_other():
    line = {"data": "mnist", "activation": "softplus", "optimiser": "muon", "beta": 0.4, "steps": 6000, "seeds": 3}
    line |= {"difference_formula": 0.5, "difference_formula_error": 0.25}
    line |= {"difference_fitted": -0.12, "difference_fitted_error": None}
    line |= {"difference_codes": 0.06, "difference_codes_error": 0.04}
    table = [line, line | {"data": "digits"}, line | {"activation": "tanh"}, line | {"optimiser": "adam"}]
    _, *lines = chapter10.by_variances(recorded({}, table), "mnist").split("\n")
    assert [" ".join(one.split()) for one in lines] == [
        f"0.4 6000 3 +0.50 ±0.25 -0.12 +0.06 ±0.04{how}" for how in ("", " adam", " tanh")
    ]


def side(beta=0.1, **numbers):
    return {
        "data": "digits",
        "beta": beta,
        "target": 4.0,
        "best": 4.0,
        "steps": 100,
        "passes": 6.0,
        "seconds": 2.0,
    } | numbers


def test_what_is_needed_is_told_in_units_of_the_beta_vae():
    reached, never = side(side="grae_column", steps=150, seconds=3.0), side(side="grae_quarter", steps=None)
    table = [side(side="beta_vae"), reached, never | {"passes": None, "seconds": None}]
    *_, line = chapter10.needs_of(recorded({}, table)).split("\n")
    assert line.split() == ["digits", "0.1", "100", "1.50", "1.00", "1.50", "–", "–", "–"]


def test_the_best_training_of_a_side_is_compared_seed_by_seed():
    def row(control, optimiser, seed, *losses):
        job = {"data": "digits", "control": control, "optimiser": optimiser, "learning_rate": 0.1, "steps": 9}
        return {"job": job | {"seed": seed, "betas": [0.1, 0.4]}, "state": "done", "numbers": {"losses": losses}}

    trained = {
        "beta_vae": [("adam", 5.0, 9.0), ("muon", 4.0, 9.0)],
        "grae_column": [("adam", 4.5, 0.0), ("muon", 6.0, 0.0)],
    }
    rows = {
        f"{control} {optimiser} {seed}": row(control, optimiser, seed, loss + seed, other)
        for control, of in trained.items()
        for optimiser, loss, other in of
        for seed in (0, 1)
    }
    race = recorded(rows, [side(side="beta_vae"), side(side="grae_column")])
    assert chapter10.best_training(race, "digits", 0.1, "grae_column") == (("adam", 0.1, 9), {0: 4.5, 1: 5.5})
    assert chapter10.best_training(race, "digits", 0.1, "grae_column", ["muon"])[1] == {0: 6.0, 1: 7.0}
    *_, line = chapter10.ends_of(race).split("\n")
    assert line.split() == ["digits", "0.1", "4.00", "+0.500", "±", "0.000"]


def test_controls_are_judged_by_what_they_stand_for():
    job = {"beta": 0.4, "steps": 9, "objective": "grae", "control": "objective"}
    numbers = {"grae": 6.0, "beta_vae_full": 8.0, "grae_bound": 1.0, "beta_vae_diagonal": 10.0}
    rows = {
        "full": {"job": job, "state": "done", "numbers": numbers},
        "all": {"job": job | {"objective": "grae_bound"}, "state": "done", "numbers": numbers},
        "longer": {"job": job | {"steps": 18}, "state": "done", "numbers": numbers},
        "gone": {"job": job, "state": "diverged"},
    }
    _, *lines = chapter10.controls_of(recorded(rows, []), [0.4], 9).split("\n")
    assert [" ".join(one.split()) for one in lines] == [
        "0.4 GRAE≈, all columns 1 +90.000 one seed +10.000 one seed",
        "0.4 GRAE, full Σ 1 +25.000 one seed +8.000 one seed",
    ]
