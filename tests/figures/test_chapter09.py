"""The figure of chapter 9: estimates from a few columns, their spread and their price."""

from __future__ import annotations

import pytest
import torch

from gradelib.figures import Picture, chapter09
from gradelib.figures.live import explore

CHARGES = torch.rand(12, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * torch.arange(1.0, 5)
NOISE = {"own": 0.2, "shared": 2.0, "β-VAE": 9.0, 0.25: 0.9}


def variance_of_columns(k: int) -> torch.Tensor:
    """The variance (examples) of d times the mean of k of the d columns of each example."""
    return 16 * CHARGES.var(1, correction=0) * chapter09.remaining(k, 4)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_simulated_estimates_have_the_mean_and_the_variance_of_the_formulas(k):
    own = chapter09.estimates(CHARGES, k, shared=False, draws=10_000)
    shared = chapter09.estimates(CHARGES, k, shared=True, draws=10_000)
    together = 16 * CHARGES.mean(0).var(correction=0) * chapter09.remaining(k, 4)
    for drawn, variance in ((own, variance_of_columns(k).mean() / 12), (shared, together)):
        torch.testing.assert_close(drawn.mean(), CHARGES.sum(1).mean(), rtol=0.01, atol=0)
        torch.testing.assert_close(drawn.var(correction=0), variance, rtol=0.05, atol=1e-12)


def test_a_part_of_the_batch_adds_the_difference_between_examples():
    part = chapter09.estimates(CHARGES, 0.25, shared=False, draws=10_000)
    between = CHARGES.sum(1).var(correction=0) * chapter09.remaining(3, 12)
    expected = variance_of_columns(1).mean() / 3 + between
    torch.testing.assert_close(part.mean(), CHARGES.sum(1).mean(), rtol=0.01, atol=0)
    torch.testing.assert_close(part.var(correction=0), expected, rtol=0.05, atol=0)


def test_the_words_say_cost_and_noise():
    some, part, all_of_them = map(chapter09.trade_off(CHARGES, NOISE), (1, 0.25, 4))
    assert isinstance(some, Picture)
    assert "With 1 of 4 columns, a step costs 1.5 β-VAE steps and has a noise of 0.2" in some.alt
    assert "one column for 0.25 of the batch, a step costs 1.125 β-VAE steps and has a noise of 0.9" in part.alt
    assert "costs 3 β-VAE steps and has no noise at all" in all_of_them.alt
    assert "spread by 0.00 with own columns and by 0.00 with shared" in all_of_them.alt


def test_the_frames_have_one_size_and_are_light():
    html = explore(chapter09.trade_off(CHARGES, NOISE), "columns", [0.25, 1, 4]).html()
    assert len(html) < 60_000


@pytest.mark.parametrize("charges", [torch.ones(4), -torch.ones(2, 2), torch.full((2, 2), torch.nan)])
def test_what_are_no_charges_is_refused(charges):
    with pytest.raises(ValueError, match="Charges are a matrix"):
        chapter09.trade_off(charges, NOISE)


def test_a_missing_noise_is_named():
    with pytest.raises(ValueError, match="'shared'"):
        chapter09.trade_off(CHARGES, {"own": 1.0, "β-VAE": 1.0})
