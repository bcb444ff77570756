"""The figures of chapter 6 show what their words say."""

from __future__ import annotations

import re

import pytest
import torch

from gradelib import _svg, geometry, networks, objectives
from gradelib.figures.chapter06 import cost, learned_against_formula, posterior_slice
from gradelib.likelihoods import Gaussian
from gradelib.posteriors import optimal_covariance


@pytest.mark.parametrize("family", ["diagonal", "isotropic"])
@pytest.mark.parametrize("beta", [0.05, 0.4, 6.4])
def test_the_cost_is_what_the_objective_loses(family, beta):
    root = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hessian, zero = -root.mT @ root, torch.zeros(3, dtype=torch.float64)
    losses = [
        objectives.taylor(zero.sum(), hessian, zero, optimal_covariance(hessian, beta, each), beta)
        for each in (family, "full")
    ]
    assert cost(hessian, beta, family) == pytest.approx(float(losses[0] - losses[1]))


def test_the_slice_tells_the_cost_of_its_two_latents():
    model = networks.mlp_vae(6, 3, hidden=[8], seed=0).double()
    with torch.no_grad():
        for weights in model.decoder.parameters():
            weights *= 3  # at the usual scale the cost is 0.00 at any β, and no test
    x = torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draw = posterior_slice(model, x, Gaussian())
    with torch.no_grad():
        M = geometry.metric(geometry.jacobian(model.decoder, model.posterior(x).mean))
    i, j = divmod(int(M.triu(1).abs().argmax()), 3)
    for beta in (0.05, 0.8):
        P = torch.eye(2, dtype=torch.float64) + M[[i, j]][:, [i, j]] / beta
        shared = P[0, 1] ** 2 / (P[0, 0] * P[1, 1])
        [told] = re.findall(r"diagonal ([\d.]+); isotropic", draw(beta).alt.split("Cost")[1])
        assert float(told) == pytest.approx(float(-beta / 2 * torch.log(1 - shared)), abs=6e-4)


def test_the_frames_have_one_size_and_are_light():
    model = networks.mlp_vae(6, 3, hidden=[8], seed=0).double()
    draw = posterior_slice(model, torch.ones(6, dtype=torch.float64), Gaussian())
    pictures = [draw(beta) for beta in (0.05, 51.2)]
    assert len({_svg.size(picture.drawing) for picture in pictures}) == 1
    assert all(len(picture.svg()) < 50_000 for picture in pictures)


def test_the_points_are_as_far_off_the_line_as_the_words_say():
    formula = torch.diag(torch.tensor([0.4, 1.0], dtype=torch.float64)).repeat(4, 1, 1)
    learned = formula * torch.tensor([1.25, 1.0], dtype=torch.float64)  # the unused latent agrees
    picture = learned_against_formula({"diagonal": (learned, formula)})
    assert "by 25% for the diagonal posterior" in picture.alt
