"""Objectives against the integrals that they stand for."""

import itertools
import math

import pytest
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


def deterministic_inputs(seed=0, batch=4, n=7, d=3):
    """J, H's diagonal, log p(x|h) and h of a random model, with JᵀHJ negative definite."""
    J, curvature = normal(batch, n, d, seed=seed), -normal(batch, n, seed=seed + 1).exp()
    return J, curvature, normal(batch, seed=seed + 2), normal(batch, d, seed=seed + 3)


def pieces(J, curvature):
    """JᵀHJ, its diagonal and its trace, by einsum."""
    hessian = torch.einsum("bki,bk,bkj->bij", J, curvature, J)
    diagonal = torch.einsum("bki,bk->bi", J**2, curvature)
    return hessian, diagonal, diagonal.sum(-1)


@steady
@given(beta=betas, seed=seeds)
def test_each_reduction_is_the_taylor_loss_at_the_best_covariance_of_its_family(beta, seed):
    J, curvature, log_prob, mean = deterministic_inputs(seed)
    hessian, diagonal, trace = pieces(J, curvature)
    for family, found in (
        ("full", objectives.grae(log_prob, hessian, mean, beta)),
        ("diagonal", objectives.grae_bound(log_prob, diagonal, mean, beta)),
        ("isotropic", objectives.grae_isotropic(log_prob, trace, mean, beta)),
    ):
        best = posteriors.optimal_covariance(hessian, beta, family)
        torch.testing.assert_close(found, objectives.taylor(log_prob, hessian, mean, best, beta))
        other = posteriors.optimal_covariance(1.3 * hessian, beta, family)
        assert found < objectives.taylor(log_prob, hessian, mean, other, beta)


@steady
@given(beta=betas, seed=seeds)
def test_grae_in_singular_values_and_its_bounds(beta, seed):
    J, curvature, log_prob, mean = deterministic_inputs(seed)
    hessian, diagonal, trace = pieces(J, curvature)
    singular = torch.linalg.svdvals((-curvature).sqrt()[..., None] * J)
    expected = 0.5 * beta * ((mean**2).sum(-1) + torch.log1p(singular**2 / beta).sum(-1)) - log_prob
    grae = objectives.grae(log_prob, hessian, mean, beta)
    torch.testing.assert_close(grae, expected.mean())
    bound, isotropic = (
        objectives.grae_bound(log_prob, diagonal, mean, beta),
        objectives.grae_isotropic(log_prob, trace, mean, beta),
    )
    assert grae < bound < isotropic
    orthogonal = torch.diag_embed(diagonal)
    torch.testing.assert_close(objectives.grae(log_prob, orthogonal, mean, beta), bound)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_column_estimator_is_unbiased_over_every_possible_draw(k):
    J, curvature, log_prob, mean = deterministic_inputs(batch=2)
    diagonal = pieces(J, curvature)[1]
    draws = list(itertools.combinations(range(3), k))
    values = [
        objectives.grae_column(log_prob, torch.stack([diagonal[0, list(a)], diagonal[1, list(b)]]), mean, 0.4)
        for a in draws
        for b in draws
    ]
    torch.testing.assert_close(torch.stack(values).mean(), objectives.grae_bound(log_prob, diagonal, mean, 0.4))
    assert (torch.stack(values).std(correction=0) > 0.01) == (k < 3)


def test_part_of_the_batch_is_unbiased_too():
    J, curvature, log_prob, mean = deterministic_inputs()
    diagonal = pieces(J, curvature)[1]
    parts = [diagonal[list(rows)] for rows in itertools.combinations(range(4), 2)]
    values = torch.stack([objectives.grae_column(log_prob, part, mean, 0.4) for part in parts])
    torch.testing.assert_close(values.mean(), objectives.grae_bound(log_prob, diagonal, mean, 0.4))
    assert values.std() > 0.01


def test_limits_of_grae_in_beta():
    J, curvature, _, mean = deterministic_inputs()
    hessian, diagonal, trace = pieces(J, curvature)
    zero, still = torch.zeros(4, dtype=torch.float64), torch.zeros_like(mean)
    large = [
        objectives.grae(zero, hessian, still, 1e7),
        objectives.grae_bound(zero, diagonal, still, 1e7),
        objectives.grae_isotropic(zero, trace, still, 1e7),
    ]
    torch.testing.assert_close(torch.stack(large), (-trace / 2).mean().expand(3), rtol=1e-5, atol=0)
    assert objectives.grae(zero, hessian, still, 1e-9).abs() < 1e-6


def test_beta_for_each_example_in_the_deterministic_losses():
    J, curvature, log_prob, mean = deterministic_inputs()
    hessian, diagonal, _ = pieces(J, curvature)
    many = torch.tensor([0.1, 0.4, 1.0, 3.0], dtype=torch.float64)
    for loss, part in ((objectives.grae, hessian), (objectives.grae_bound, diagonal)):
        each = [loss(log_prob[i, None], part[i, None], mean[i, None], many[i].item()) for i in range(4)]
        torch.testing.assert_close(loss(log_prob, part, mean, many), torch.stack(each).mean())


def test_gradients_flow_into_every_argument_of_the_deterministic_losses():
    J, curvature, log_prob, mean = deterministic_inputs(batch=2)
    hessian, diagonal, trace = (part.requires_grad_() for part in pieces(J, curvature))
    log_prob.requires_grad_()
    mean.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, h, m: objectives.grae(p, 0.5 * (h + h.mT), m, 0.3), (log_prob, hessian, mean)
    )
    assert torch.autograd.gradcheck(lambda *a: objectives.grae_bound(*a, 0.3), (log_prob, diagonal, mean))
    assert torch.autograd.gradcheck(lambda *a: objectives.grae_isotropic(*a, 0.3), (log_prob, trace, mean))
    assert objectives.grae(log_prob.float(), hessian.float(), mean.float(), 0.3).dtype == torch.float32
    assert objectives.grae_bound(log_prob.float(), diagonal.float(), mean.float(), 0.3).dtype == torch.float32


def test_bad_input_of_the_deterministic_losses_is_refused():
    J, curvature, log_prob, mean = deterministic_inputs()
    hessian, diagonal, trace = pieces(J, curvature)
    for loss, part in (
        (objectives.grae, hessian),
        (objectives.grae_bound, diagonal),
        (objectives.grae_column, diagonal[:, :1]),
        (objectives.grae_isotropic, trace),
    ):
        for beta in (0, -1.0, math.nan):
            with refused("beta", "above 0"):
                loss(log_prob, part, mean, beta)
        for name, arguments in (
            ("log_prob", (log_prob * math.nan, part, mean)),
            ("NaN", (log_prob, part * math.nan, mean)),
            ("mean", (log_prob, part, mean * math.nan)),
        ):
            with refused(name, "NaN"):
                loss(*arguments, 0.4)
        with refused("positive definite"):
            loss(log_prob, -part, mean, 0.01)
        with refused("log_prob (3,)", "mean (4,)"):
            loss(log_prob[:3], part, mean, 0.4)
    with refused("d of hessian = 3", "d of mean = 2"):
        objectives.grae(log_prob, hessian, mean[:, :2], 0.4)
    with refused("square"):
        objectives.grae(log_prob, hessian[..., :2], mean, 0.4)
    with refused("symmetric"):
        objectives.grae(log_prob, hessian.tril(), mean, 0.4)
    with refused("columns = 2", "d = 3"):
        objectives.grae_bound(log_prob, diagonal[:, :2], mean, 0.4)
