"""The playground's still: its words are computed from the models, and its models are those of the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor

from gradelib import playground
from gradelib.figures.playground import two_runs

W = torch.tensor([[2.0, 0.0], [0.0, 1.0], *[[0.0, 0.0]] * 4], dtype=torch.float64)
SWAP = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)


def model(A: Tensor, family: str = "diagonal") -> playground.SharedCovarianceVAE:
    return playground.SharedCovarianceVAE(A, torch.zeros(2, 6, dtype=torch.float64), family)


def test_the_words_give_the_distances():
    picture = two_runs({"diagonal": [model(W), model(W @ SWAP)], "full": [model(W), model(1.5 * W, "full")]}, W)
    assert "diagonal: 0.00 and 0.00 from W, 0.00 from each other" in picture.alt
    assert "full: 0.00 and 0.50 from W, 0.50 from each other" in picture.alt


def test_the_drawing_is_small_and_has_the_words():
    svg = ElementTree.fromstring(
        two_runs({"full": [model(W, "full")] * 2, "isotropic": [model(W, "isotropic")] * 2}, W).svg()
    )
    assert svg.get("aria-label").startswith("Columns of A on those of W")
    assert len(ElementTree.tostring(svg)) < 40_000
    assert not re.search(r"NaN|inf", ElementTree.tostring(svg, encoding="unicode"))


@pytest.mark.parametrize(("family", "count"), [("full", 3), ("diagonal", 2), ("isotropic", 1)])
def test_a_family_has_its_numbers(family, count):
    started = model(W, family)
    assert started.scales.shape == (count,)
    L = started.factor().detach()
    torch.testing.assert_close(L, torch.eye(2, dtype=L.dtype) * L[0, 0])
    assert torch.equal(started.posterior(torch.ones(3, 6, dtype=L.dtype)).covariance[2], L @ L.mT)


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="family"):
        model(W, "block")


def test_grae_trains_all_but_the_covariance():
    generator = torch.Generator().manual_seed(0)
    x, eps = (torch.randn(20, n, generator=generator, dtype=torch.float64) for n in (6, 2))
    started = model(W)
    run = playground.train(started, x, [eps] * 5, noise=0.3, objective="grae_bound", steps=5)
    assert torch.equal(run.model.scales, model(W).scales)
    assert not torch.equal(run.model.A, W)
    assert run.losses[-1] < run.losses[0]
