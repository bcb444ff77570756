"""The gold standard: with a linear decoder every objective has a known optimum, that of probabilistic PCA with σ² = β.

min over q of the β-VAE loss is ½β[xᵀC⁻¹x + log|C/β|] with C = WWᵀ + βI: GRAE at its best code. Over W its minimum
is ½Σ_{i≤k} β(1 + log(λ_i/β)) + ½Σ_{i>k} λ_i, where λ are the eigenvalues of the data's covariance and k counts those
above β among the first d.
"""

import math

import pytest
import torch

from gradelib import datasets, objectives, posteriors
from gradelib.likelihoods import Gaussian

D, BETA = 4, 0.5


@pytest.fixture(scope="module")
def data():
    """Ten principal components of the digits, centred, whose covariance is diagonal with known entries."""
    pixels = datasets.load("digits", torch.float64).train
    centred = pixels - pixels.mean(0)
    return centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:10].mT


def optimum(data):
    eigenvalues = torch.linalg.eigvalsh(data.mT @ data / len(data)).flip(0)
    kept, lost = eigenvalues[:D], eigenvalues[D:]
    assert (kept > BETA).all()
    return 0.5 * BETA * (1 + (kept / BETA).log()).sum() + 0.5 * lost.sum() + 5 * math.log(2 * math.pi)


def at_the_best_code(loss_of_code, hessian, W, x):
    """Both losses are quadratic in h, so the best code is a linear map of x: h = (WᵀW + βI)⁻¹Wᵀx."""
    h = torch.linalg.solve(W.mT @ W + BETA * torch.eye(D, dtype=x.dtype), W.mT @ x.mT).mT
    return loss_of_code(Gaussian().log_prob(x, h @ W.mT), hessian.expand(len(x), D, D), h)


def grae(p, hessian, h):
    return objectives.grae(p, hessian, h, BETA)


def grae_bound(p, hessian, h):
    return objectives.grae_bound(p, hessian.diagonal(dim1=-2, dim2=-1), h, BETA)


def vae(family):
    """The β-VAE loss in closed form, for E_q of a quadratic needs no sampling, with the best Σ of the family."""

    def loss(p, hessian, h):
        q = posteriors.optimal_covariance(hessian, BETA, family)
        expected = p + 0.5 * (hessian * q).sum((-2, -1))
        return objectives.beta_vae(expected, posteriors.kl_to_standard_normal(h, q), BETA)

    return loss


def minimise(loss, x):
    W = torch.randn(10, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [W], max_iter=600, history_size=30, tolerance_grad=1e-11, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        value = at_the_best_code(loss, -(W.mT @ W), W, x)
        value.backward()
        return value

    optimiser.step(closure)
    return closure().item(), W.detach()


LOSSES = {"GRAE": grae, "GRAE≈": grae_bound, "VAE full": vae("full"), "VAE diagonal": vae("diagonal")}


@pytest.mark.parametrize("name", LOSSES)
def test_every_objective_reaches_the_closed_form_of_ppca(name, data):
    value, W = minimise(LOSSES[name], data)
    assert abs(value - optimum(data).item()) < 1e-8
    model = torch.linalg.eigvalsh(W @ W.mT).flip(0)[:D] + BETA
    eigenvalues = torch.linalg.eigvalsh(data.mT @ data / len(data)).flip(0)[:D]
    torch.testing.assert_close(model, eigenvalues, rtol=1e-4, atol=0)
    metric = W.mT @ W
    off_diagonal = (metric - metric.diagonal().diag()).abs().max() / metric.abs().max()
    assert (off_diagonal < 1e-4) == (name in ("GRAE≈", "VAE diagonal"))  # only these choose the axes


def test_the_isotropic_family_is_strictly_worse(data):
    assert minimise(vae("isotropic"), data)[0] > optimum(data).item() + 1e-3


def test_grae_of_a_linear_decoder_is_the_marginal_likelihood(data):
    """At any W, not only at the best: ½β[xᵀC⁻¹x + log|C/β|] + 5 log 2π with C = WWᵀ + βI."""
    W = torch.randn(10, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    C = W @ W.mT + BETA * torch.eye(10, dtype=torch.float64)
    scaled = 0.5 * BETA * ((data @ torch.linalg.inv(C) * data).sum(-1) + torch.logdet(C / BETA))
    expected = scaled.mean() + 5 * math.log(2 * math.pi)
    torch.testing.assert_close(at_the_best_code(grae, -(W.mT @ W), W, data), expected)
