"""The figures of chapter 11: sheets of samples, the same draw in the same place, distances by the right names."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from gradelib import networks
from gradelib.experiments import Recorded
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


JOBS = {
    f"beta {beta:g}, seed {seed}": {"beta": beta, "seed": seed, "steps": 6000} for beta in (0.1, 0.4) for seed in (0, 1)
}
ROWS = {
    key: {"job": job, "state": "done", "numbers": {"of_grae": 5 + job["seed"], "of_vae": 3 * job["seed"]}}
    for key, job in JOBS.items()
}


def recorded(rows=ROWS, arrays=None):
    return Recorded("some", "A question?", rows, arrays or {}, [], [], None)


def test_recorded_pictures_are_shown_where_they_are():
    white = {"beta_vae": 0.0, "grae": 1.0}
    arrays = {f"beta 0.1, seed 0 pictures_{kind}": np.full((6, 784), share) for kind, share in white.items()}
    pictures = chapter11.recorded_pictures(recorded(arrays=arrays))
    assert {beta: {name: float(x.mean()) for name, x in of.items()} for beta, of in pictures.items()} == {
        0.1: {"β-VAE": 0, "GRAE≈": 1}
    }
    assert "at β = 0.1, β-VAE above GRAE≈" in chapter11.recorded_row(pictures, (0.1, 0.4)).alt
    assert chapter11.recorded_row(pictures, (0.4,)) is None


def test_recorded_pictures_may_have_colours():
    arrays = {f"beta 0.4, seed 0 pictures_{kind}": np.full((6, 12), 0.5) for kind in ("beta_vae", "grae")}
    pictures = chapter11.recorded_pictures(recorded(arrays=arrays))
    assert "6 samples of each" in chapter11.recorded_row(pictures, (0.4,), (2, 2, 3)).alt


def test_wide_numbers_of_a_table_stay_apart():
    numbers = {"loss_grae": 123456.789, "loss_beta_vae": 654321.0}
    rows = {f"seed {seed}": {**ROWS["beta 0.4, seed 0"], "numbers": numbers} for seed in (0, 1)}
    told = chapter11.recorded_table(recorded(rows), {"a": "loss_grae", "b": "loss_beta_vae"}, digits=3)
    assert told.split("\n")[1].split("  ")[-2:] == ["123456.789 ± 0.000", "654321.000 ± 0.000"]


def test_a_table_has_errors_and_dashes_and_compares_within_a_seed():
    cut_off = {"job": {"beta": 0.4, "seed": 2, "steps": 6000}, "state": "diverged", "numbers": {}}
    short = {**ROWS["beta 0.4, seed 0"], "job": {"beta": 0.4, "seed": 0, "steps": 1500}}
    columns = {"grae": "of_grae", "less": ("of_grae", "of_vae"), "none": "of_rae"}
    rows = recorded({**ROWS, "other": cut_off, "short": short})
    head, *lines = chapter11.recorded_table(rows, columns, steps=[6000], digits=1).split("\n")
    assert head.split() == ["β", "steps", "seeds", "grae", "less", "none"]
    assert [line.split() for line in lines] == [  # GRAE's 5 and 6 less 0 and 3
        [beta, "6000", "2", "5.5", "±", "0.5", "4.0", "±", "1.0", "–"] for beta in ("0.1", "0.4")
    ]
    assert len({len(line) for line in (head, *lines)}) == 1
    *_, one = chapter11.recorded_table(rows, columns, steps=[1500]).split("\n")
    assert one.split() == ["0.4", "1500", "1", "5.00", "5.00", "–"]  # one seed has no error
    assert len(chapter11.recorded_table(rows, columns).split("\n")) == 4
    for nothing in (
        chapter11.recorded_table(rows, {"none": "of_rae"}),
        chapter11.recorded_table(recorded({}), columns),
    ):
        assert nothing == "no row is recorded yet"


def test_a_column_with_fewer_seeds_is_told():
    fewer = {**ROWS["beta 0.4, seed 0"], "numbers": {"of_grae": 1.0, "of_vae": 1.0, "of_rae": 2.0}}
    rows = recorded({**ROWS, "beta 0.4, seed 0": fewer})
    *_, last = chapter11.recorded_table(rows, {"grae": "of_grae", "rae": "of_rae"}).split("\n")
    assert last.split() == ["0.4", "6000", "1–2", "3.50", "±", "2.50", "2.00"]


def test_recorded_likeness_names_what_is_there():
    rows = {
        f"beta {beta:g}, seed {seed}": {
            "job": {"beta": beta, "seed": seed, "steps": 6000},
            "state": "done",
            "numbers": {"unlike_grae": 0.1 + seed / 10, **({"unlike_rae": beta} if beta == 0.8 else {})},
        }
        for beta in (0.02, 0.8)
        for seed in (0, 1)
    }
    words = chapter11.recorded_likeness(recorded(rows), 6000).alt
    assert "GRAE≈ 0.15 at β = 0.02 and 0.15 at β = 0.8; RAE 0.80 at β = 0.8." in words
    assert "plain" not in words
    assert chapter11.recorded_likeness(recorded(rows), 1500) is None
    assert chapter11.recorded_likeness(recorded({}), 6000) is None


def test_the_fitted_gaussian_is_the_prior_where_its_moments_are(draw):
    with_prior, stretched = draw(0.1).alt, draw(0.4).alt
    first, second = re.search(r"GRAE≈ (\S+) from the prior, (\S+) from its own", with_prior).groups()
    assert first == second
    assert "fitted Gaussians is 1.00 for β-VAE, 1.00 for GRAE≈" in with_prior
    assert "fitted Gaussians is 400.00 for β-VAE" in stretched
    first, second = re.search(r"GRAE≈ (\S+) from the prior, (\S+) from its own", stretched).groups()
    assert first != second


def test_all_frames_have_one_size(draw):
    assert explore(draw, "β", [0.1, 0.4]).html().count("<svg") == 1
