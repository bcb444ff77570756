"""Objectives against the integrals that they stand for."""

import math

import torch
from hypothesis import given
from random_cases import betas, dtypes, normal, positive_definite, refused, seeds, steady, tolerance
from torch.distributions import MultivariateNormal, kl_divergence

from gradelib import objectives, posteriors
from gradelib.likelihoods import Gaussian


@steady
@given(beta=betas, dtype=dtypes, seed=seeds)
def test_beta_vae_sums_over_pixels_and_latents_and_averages_over_the_batch(beta, dtype, seed):
    x, g, mean = normal(4, 5, seed=seed), normal(4, 5, seed=seed + 1), normal(4, 3, seed=seed + 2)
    scale = (0.3 * normal(4, 3, seed=seed + 3)).exp()
    loss = 0.0
    for i in range(4):
        loss += sum(0.5 * (x[i, k] - g[i, k]) ** 2 + 0.5 * math.log(2 * math.pi) for k in range(5)) / 4
        loss += sum(0.5 * beta * (scale[i, j] ** 2 + mean[i, j] ** 2 - 1 - 2 * scale[i, j].log()) for j in range(3)) / 4
    x, g, mean, scale = (t.to(dtype) for t in (x, g, mean, scale))
    found = objectives.beta_vae(Gaussian().log_prob(x, g), posteriors.Posterior(mean, scale).kl(), beta)
    assert found.dtype == dtype
    torch.testing.assert_close(found, loss.to(dtype), rtol=tolerance(dtype), atol=tolerance(dtype))


@steady
@given(beta=betas, seed=seeds)
def test_taylor_is_the_beta_vae_where_the_decoder_is_linear(beta, seed):
    """For g(z) = Wz the expansion is exact: E_q log p(x|z) in closed form, written out by hand."""
    W, x, mean, covariance = normal(5, 3, seed=seed), normal(4, 5), normal(4, 3), positive_definite(4, 3, seed=seed)
    log_prob = Gaussian().log_prob(x, mean @ W.mT)
    found = objectives.taylor(log_prob, -(W.mT @ W).expand(4, 3, 3), mean, covariance, beta)
    expected_log_prob = log_prob - 0.5 * torch.einsum("ki,bij,kj->b", W, covariance, W)
    prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    kl = kl_divergence(MultivariateNormal(mean, covariance), prior)
    torch.testing.assert_close(found, (beta * kl - expected_log_prob).mean())


def test_beta_may_differ_from_example_to_example():
    log_prob, kl, beta = normal(3), normal(3).exp(), torch.tensor([0.1, 1.0, 2.0], dtype=torch.float64)
    each = [objectives.beta_vae(p, k, b.item()) for p, k, b in zip(log_prob, kl, beta, strict=True)]
    torch.testing.assert_close(objectives.beta_vae(log_prob, kl, beta), torch.stack(each).mean())


def test_gradients_flow_into_every_argument():
    log_prob, hessian = normal(3).requires_grad_(), (-positive_definite(3, 2)).requires_grad_()
    mean, covariance = normal(3, 2).requires_grad_(), positive_definite(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, h, m, s: objectives.taylor(p, h, m, 0.5 * (s + s.mT), 0.3), (log_prob, hessian, mean, covariance)
    )
    assert torch.autograd.gradcheck(lambda p, k: objectives.beta_vae(p, k, 0.3), (log_prob, normal(3).requires_grad_()))


def test_bad_input_is_refused():
    log_prob, hessian, mean, covariance = normal(3), -positive_definite(3, 2), normal(3, 2), positive_definite(3, 2)
    with refused("kl", "NaN"):
        objectives.beta_vae(log_prob, log_prob * math.nan, 1.0)
    with refused("log_prob (3,)", "kl (2,)"):
        objectives.beta_vae(log_prob, log_prob[:2], 1.0)
    for beta in (0, -1.0, math.inf):
        with refused("beta", "above 0"):
            objectives.beta_vae(log_prob, log_prob, beta)
        with refused("beta", "above 0"):
            objectives.taylor(log_prob, hessian, mean, covariance, beta)
    with refused("hessian", "NaN"):
        objectives.taylor(log_prob, hessian * math.nan, mean, covariance, 1.0)
    with refused("hessian", "square"):
        objectives.taylor(log_prob, hessian[..., :1], mean, covariance, 1.0)
    with refused("d of hessian = 3", "d of mean = 2"):
        objectives.taylor(log_prob, -positive_definite(3, 3), mean, covariance, 1.0)
    with refused("hessian (2, 2, 2)", "covariance (3, 2, 2)"):
        objectives.taylor(log_prob, hessian[:2], mean, covariance, 1.0)
    with refused("positive definite"):
        objectives.taylor(log_prob, hessian, mean, -covariance, 1.0)
