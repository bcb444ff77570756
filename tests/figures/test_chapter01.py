"""The figures of chapter 1: the numbers that they show are the numbers that they were given."""

from __future__ import annotations

import pytest
import torch

from gradelib import figures, networks
from gradelib.figures import chapter01

TRAINED = {0.1: [(9.0, 2.0), (9.2, 1.8)], 1.0: [(3.0, 5.0), (3.2, 4.8)], 4.0: [(0.0, 12.0), (0.0, 12.2)]}
LINEAR = {0.1: (9.5, 3.0), 1.0: (3.5, 6.0), 4.0: (0.2, 11.9)}
POINTS = {beta: seeds[0] for beta, seeds in TRAINED.items()}


@pytest.fixture(scope="module")
def draw():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 20, generator=generator)
    models = {beta: networks.mlp_vae(20, 2, hidden=(5,), seed=seed) for seed, beta in enumerate(POINTS)}
    return chapter01.reconstruction(models, x, (4, 5), POINTS)


def test_the_words_on_draws_say_where_they_are_and_how_wide_the_posterior_is():
    draws = torch.tensor([1.0, 1.5, 2.0])
    words = chapter01.posterior_of(draws, torch.distributions.Normal(1.4, 0.5)).alt
    assert "3 draws of z with mean 1.50" in words
    assert "around 1.4 whose standard deviation is 0.50 of that of the prior" in words


def test_the_words_name_both_ends_of_the_curve():
    words = chapter01.rate_distortion(TRAINED, LINEAR).alt
    assert "0.0 nats of rate and a distortion of 12.1 at β = 4 to 9.1 nats and 1.9 at β = 0.1" in words
    assert "at 2 of the prices" in words  # a line at 4 would be too steep to see


def test_the_curve_is_a_small_picture():
    assert len(chapter01.rate_distortion(TRAINED, LINEAR).svg()) < 60_000


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_a_tangent_has_the_slope_of_its_price_and_goes_through_its_point(beta):
    _, panel = figures.axes()
    chapter01._tangent(panel, (3.0, 5.0), beta)
    (left, right), (high, low) = panel.lines[0].get_data()
    assert (low - high) / (right - left) == pytest.approx(-beta)
    assert ((left + right) / 2, (low + high) / 2) == pytest.approx((3.0, 5.0))


def test_a_sheet_lays_rows_below_each_other_and_examples_side_by_side():
    pictures = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    sheet = chapter01._sheet(pictures)
    assert sheet.shape == (2 * 5 - 1, 3 * 6 - 1)
    torch.testing.assert_close(sheet[5:9, 6:11], pictures[1, 1])
    assert sheet[4].isnan().all()
    assert sheet[:, 5].isnan().all()
    assert int(sheet.isnan().sum()) == sheet.numel() - pictures.numel()


def test_frames_say_their_own_rate_and_have_one_size(draw):
    first, last = draw(0.1), draw(4.0)
    assert "the rate is 9.0 and the distortion 2.0 nats" in first.alt
    assert "the rate is 0.0 and the distortion 12.0 nats" in last.alt
    assert first.drawing.get("viewBox") == last.drawing.get("viewBox")


def test_a_frame_is_the_same_whenever_it_is_drawn(draw):
    before = draw(1.0).svg()
    draw(4.0)
    assert draw(1.0).svg() == before
