"""The figures of chapter 10: the terms of both objectives at each solution, and the gap over the length of training."""

from __future__ import annotations

import re

import pytest

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
