"""The figures of chapter 10: the terms of both objectives at each solution, and the gap between them over β."""

from __future__ import annotations

import re

import pytest

from gradelib.figures import Picture, chapter10
from gradelib.figures.live import explore

TERMS = {"error": 4.0, "code": 2.0, "charge": 1.0, "width": 0.75, "blur": 0.5}
SOLUTIONS = {
    0.1: {"β-VAE": TERMS, "GRAE≈": TERMS | {"error": 5.0}, "GRAE": TERMS},
    0.4: {"β-VAE": TERMS, "GRAE≈": TERMS | {"charge": 9.0}},
}


def test_the_words_add_up_the_terms_of_each_bar():
    words = chapter10.terms_at_solutions(SOLUTIONS)(0.4).alt
    assert "Trained with β-VAE: GRAE≈ is 7.00 nats" in words
    assert "the β-VAE loss 7.25 (the same error and code, width 0.75, blur 0.50)" in words
    assert "Trained with GRAE≈: GRAE≈ is 15.00 nats" in words


def test_each_solution_has_a_bar_of_each_loss(monkeypatch):
    drawn = []
    monkeypatch.setattr(chapter10, "_stack", lambda panel, place, bar, terms: drawn.append((round(place), bar)))
    chapter10.terms_at_solutions(SOLUTIONS)(0.4)
    assert drawn == [(place, bar) for place in (0, 1) for bar in (chapter10.GRAE_BAR, chapter10.VAE_BAR)]


def test_the_frames_have_one_size_and_are_light():
    html = explore(chapter10.terms_at_solutions(SOLUTIONS), "β", list(SOLUTIONS)).html()
    assert len(html) < 120_000


@pytest.mark.parametrize("terms", [{"error": 1.0}, TERMS | {"blur": -0.1}, TERMS | {"more": 1.0}])
def test_terms_that_make_no_bar_are_refused(terms):
    with pytest.raises(ValueError, match="A solution has the terms"):
        chapter10.terms_at_solutions({0.4: {"β-VAE": terms}})


@pytest.mark.parametrize("solutions", [{}, {0.4: {}}])
def test_no_solution_is_refused(solutions):
    with pytest.raises(ValueError, match="at least one solution"):
        chapter10.terms_at_solutions(solutions)


def test_the_mean_gaps_are_said_at_both_ends():
    picture = chapter10.gaps_over_beta({"β-VAE": {0.02: [0.1, 0.2], 0.8: [0.3]}, "GRAE≈": {0.02: [0.0], 0.8: [1.5]}})
    assert isinstance(picture, Picture)
    assert "with β-VAE the mean goes from 0.150% at β = 0.02 to 0.300% at β = 0.8" in picture.alt
    assert "with GRAE≈ the mean goes from 0.000% at β = 0.02 to 1.500% at β = 0.8" in picture.alt
    assert len(picture.svg()) < 60_000


def test_another_objective_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=re.escape("GRAE")):
        chapter10.gaps_over_beta({"GRAE~": {0.1: [0.0]}})
