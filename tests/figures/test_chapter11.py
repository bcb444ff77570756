"""The figures of chapter 11: sheets of samples, the same draw in the same place, distances by the right names."""

from __future__ import annotations

import pytest
import torch

from gradelib import networks
from gradelib.figures import chapter11
from gradelib.figures.live import explore

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(7, 20, generator=GENERATOR)
NAMES = ("β-VAE", "GRAE≈")


@pytest.fixture(scope="module")
def draw():
    models = {name: {0.1: networks.mlp_vae(20, 2, hidden=(5,), seed=seed)} for seed, name in enumerate(NAMES)}
    for of_beta in models.values():
        of_beta[0.4] = of_beta[0.1]
    wide = (torch.zeros(2), 400 * torch.eye(2))
    moments = {name: {0.1: (torch.zeros(2), torch.eye(2)), 0.4: wide} for name in models}
    noise = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))
    return chapter11.same_draws(models, moments, noise, (4, 5), 1.0)


def test_a_mosaic_fills_lines_from_left_to_right_and_leaves_gaps():
    sheet = chapter11.mosaic(X, (4, 5), 1.0, lines=3)
    assert sheet.shape == (3 * 5 - 1, 2 * 6 - 1)  # the seventh picture finds no place
    torch.testing.assert_close(sheet[5:9, 6:11], X[3].reshape(4, 5))
    assert sheet[4].isnan().all()
    assert sheet[:, 5].isnan().all()


def test_a_mosaic_in_colours_is_white_between_pictures_and_stays_in_range():
    pictures = 3 * torch.rand(4, 2 * 2 * 3, generator=GENERATOR) - 1
    sheet = chapter11.mosaic(pictures, (2, 2, 3), 1.5, lines=2)
    assert sheet.shape == (5, 5, 3)
    torch.testing.assert_close(sheet[3:, :2], pictures[2].reshape(2, 2, 3).clamp(0, 1.5) / 1.5)
    assert (sheet[2] == 1).all()


def test_the_words_of_the_grids_name_the_objectives_and_the_prices():
    pictures = {name: dict.fromkeys((0.1, 0.4), (1 + place) * X / 4) for place, name in enumerate(NAMES)}
    words = chapter11.grids(pictures, (4, 5), 2.0).alt
    assert "7 samples of each of 2 objectives at β = 0.1, 0.4, β-VAE above GRAE≈" in words
    assert f"{float(X.mean()) / 8:.2f} and {float(X.mean()) / 4:.2f}" in words


def test_the_distances_are_averaged_over_seeds_and_small():
    scores = {
        kind: {name: {0.1: [k + 60, k + 62], 0.8: [k + 20, k + 24]} for k, name in enumerate(NAMES)}
        for kind in ("prior", "fitted")
    }
    picture = chapter11.distances(scores, 3.0)
    assert "β-VAE from the prior: 61 at β = 0.1, 22 at 0.8; GRAE≈ from the prior: 62" in picture.alt
    assert "floor of real digits is 3.0" in picture.alt
    assert len(picture.svg()) < 60_000


def test_the_fitted_gaussian_is_the_prior_where_its_moments_are(draw):
    with_prior, stretched = draw(0.1).alt, draw(0.4).alt
    first, second = (with_prior.split(word)[1].split()[0] for word in ("of a draw is ", "different draws, and "))
    assert first == second
    assert "mean variance is 1.00 for β-VAE and 1.00 for GRAE≈" in with_prior
    assert "mean variance is 400.00 for β-VAE" in stretched
    first, second = (stretched.split(word)[1].split()[0] for word in ("of a draw is ", "different draws, and "))
    assert first != second


def test_all_frames_have_one_size(draw):
    assert explore(draw, "β", [0.1, 0.4]).html().count("<svg") == 1
