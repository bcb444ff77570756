"""Figures of chapter 3: what they say in words is what they were given, and the frames of the live one fit together."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from gradelib.figures import chapter03
from gradelib.figures.chapter03 import angle_cost, turning_posterior

DEGREES = [0, 45, 90]
COVARIANCE = torch.diag(torch.tensor([1.0, 0.25], dtype=torch.float64))
EXCESS = {"full": [0.0, -1e-9, 1e-9], "diagonal": [0.0, 0.2, 0.0]}
CIRCLE = torch.eye(2, dtype=torch.float64) * math.sqrt(0.4)  # the best diagonal L at 45°: 1/(mean precision of 2.5)


def body(picture) -> str:
    return picture._repr_mimebundle_()["text/html"]


def live():
    scales = COVARIANCE.sqrt()
    return turning_posterior(DEGREES, COVARIANCE, [scales, CIRCLE, scales.flip(0, 1)], EXCESS)


@pytest.mark.parametrize(("degrees", "nats"), [(0, 0.0), (45, math.log(25 / 16) / 2), (90, 0.0), (135, 0.2231435)])
def test_the_price_of_a_turn(degrees, nats):
    cost = angle_cost(torch.linalg.inv(COVARIANCE), torch.tensor([float(degrees)], dtype=torch.float64))
    assert float(cost) == pytest.approx(nats, abs=1e-7)


def test_the_price_of_a_turn_is_the_mean_field_cost():
    degrees = torch.tensor([30.0], dtype=torch.float64)
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    R = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    precision = torch.diag(torch.tensor([5.0, 2.0], dtype=torch.float64))
    expected = 0.5 * ((R @ precision @ R.mT).diagonal().log().sum() - precision.logdet())
    assert float(angle_cost(precision, degrees)) == pytest.approx(float(expected))


def test_the_live_figure_says_what_is_seen_at_its_angle():
    alt = live()(45).alt
    assert "Turned by 45 degrees" in alt
    assert "half axes 1.000 and 0.500" in alt
    assert "0.632 along the first axis and 0.632 along the second" in alt
    assert "0.200 nats above the least one, for the full family 0.000." in alt


def test_the_words_have_no_negative_zero():
    tiny = turning_posterior(DEGREES, COVARIANCE, [CIRCLE] * 3, {"full": [-1e-9] * 3, "diagonal": [-1e-15, 0.2, 0.0]})
    assert "The loss is 0.000 nats above the least one, for the full family 0.000." in tiny(0).alt


def test_a_frame_is_the_same_whatever_was_drawn_before_it():
    draw = live()
    first, again = draw(45), (draw(0), draw(45))[1]
    assert body(first) == body(again)


def test_the_posterior_turns_and_the_diagonal_one_does_not(monkeypatch):
    drawn = []
    monkeypatch.setattr(chapter03, "ellipse", lambda axes, mean, covariance, meaning: drawn.append(covariance))
    live()(45)
    turned, diagonal = drawn
    assert turned == pytest.approx(np.array([[0.625, 0.375], [0.375, 0.625]]))  # 45 degrees counter-clockwise
    assert diagonal == pytest.approx(0.4 * np.eye(2))


def test_the_frames_have_one_size():
    pictures = [live()(angle) for angle in DEGREES]
    sizes = {re.search(r'width="(\d+)" height="(\d+)"', body(picture)).groups() for picture in pictures}
    assert len(sizes) == 1
    assert len({body(picture) for picture in pictures}) == 3


def test_the_best_diagonal_ellipse_touches_the_turned_one_on_the_axes():
    # what the chapter says of the picture: on an axis both reach 1/sqrt(P_ii)
    R = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)
    precision = R @ torch.linalg.inv(COVARIANCE) @ R.mT
    assert torch.allclose(precision.diagonal().rsqrt(), CIRCLE.diagonal())
