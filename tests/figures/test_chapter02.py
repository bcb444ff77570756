"""The figures of chapter 2."""

from __future__ import annotations

import math

import pytest
import torch

from gradelib.figures import chapter02
from gradelib.figures.chapter02 import turned_pairs


def gaussian(variance: float):
    return lambda z: torch.exp(-(z**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


PAIRS = {name: (gaussian(1), gaussian(v)) for name, v in (("a", 1), ("b", 4), ("c", 2), ("d", 0.5))}
LOST = {name: [0.0, 0.1 + i, 0.0] for i, name in enumerate(PAIRS)}


def test_the_words_give_angle_and_nats():
    draw = turned_pairs(PAIRS, [0, 45, 90], LOST)
    assert "turned by 45 degrees" in draw(45).alt
    assert "and the nats lost: a 0.100, b 1.100, c 2.100, d 3.100." in draw(45).alt
    assert "lost: a 0.000, b 0.000" in draw(0).alt


def test_a_slice_of_a_turned_gaussian_is_its_conditional():
    at, place, S = 30.0, 1.0, torch.diag(torch.tensor([1.0, 4.0]))
    R = torch.tensor([[math.cos(math.pi / 6), -0.5], [0.5, math.cos(math.pi / 6)]])
    C = R @ S @ R.T
    grid, density = chapter02._slice(PAIRS["b"], at, place)
    exact = gaussian(float(torch.det(C) / C[0, 0]))(grid - C[0, 1] / C[0, 0] * place)
    torch.testing.assert_close(density, exact, atol=1e-4, rtol=0)


def test_outlines_turn_with_the_pair():
    lines = torch.from_numpy(chapter02._outlines(PAIRS["b"], 90)[0])
    assert lines[0].abs().max() > 1.9 * lines[1].abs().max()  # the wide latent now lies along the first axis
    straight = torch.from_numpy(chapter02._outlines(PAIRS["b"], 0)[0])
    assert straight[1].abs().max() > 1.9 * straight[0].abs().max()


@pytest.mark.parametrize(
    ("pairs", "lost", "why"),
    [
        ({"a": PAIRS["a"]}, {"a": [0, 0, 0]}, "room for 4"),
        (PAIRS, LOST | {"a": [0.0]}, "at each of the angles"),
        (PAIRS, {"a": [0.0] * 3}, "at each of the angles"),
    ],
)
def test_what_does_not_fit_is_refused(pairs, lost, why):
    with pytest.raises(ValueError, match=why):
        turned_pairs(pairs, [0, 45, 90], lost)
