"""Posteriors against torch.distributions, quadrature, autograd and a numerical maximum."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from random_cases import (
    FAMILIES,
    batches,
    betas,
    dtypes,
    families,
    normal,
    positive_definite,
    refused,
    seeds,
    steady,
    tolerance,
)
from torch.distributions import MultivariateNormal, kl_divergence

from gradelib import posteriors

in_family = pytest.mark.parametrize(("family", "block"), FAMILIES)


def some_posterior(family, block, *batch, seed=0, dtype=torch.float64):
    output = 0.5 * normal(*batch, posteriors.encoder_outputs(6, family, block), seed=seed)
    return posteriors.from_encoder(output.to(dtype), 6, family, block)


def in_torch(q):
    return MultivariateNormal(q.mean, q.covariance)


@steady
@given(family=families, batch=batches, dtype=dtypes, seed=seeds)
def test_log_prob_kl_and_entropy_are_those_of_torch_distributions(family, batch, dtype, seed):
    q = some_posterior(*family, *batch, seed=seed, dtype=dtype)
    z = normal(5, *batch, 6, seed=seed + 1, dtype=dtype)
    prior = MultivariateNormal(torch.zeros(6, dtype=dtype), torch.eye(6, dtype=dtype))
    close = {"rtol": 20 * tolerance(dtype), "atol": 20 * tolerance(dtype)}
    torch.testing.assert_close(q.log_prob(z), in_torch(q).log_prob(z), **close)
    torch.testing.assert_close(q.entropy(), in_torch(q).entropy(), **close)
    torch.testing.assert_close(q.kl(), kl_divergence(in_torch(q), prior), **close)
    torch.testing.assert_close(posteriors.kl_to_standard_normal(q.mean, q.covariance), q.kl(), **close)
    assert {t.dtype for t in (q.log_prob(z), q.entropy(), q.kl(), q.sample(z), q.covariance)} == {dtype}
    assert q.kl().shape == q.entropy().shape == batch
    torch.testing.assert_close(q.variances, q.covariance.diagonal(dim1=-2, dim2=-1))


@in_family
def test_each_family_has_its_zeros_and_its_ties(family, block):
    covariance = some_posterior(family, block, 4).covariance
    free = torch.zeros(6, 6, dtype=torch.bool)
    for first in range(0, 6, posteriors.block_size(family, 6, block)):
        last = first + posteriors.block_size(family, 6, block)
        free[first:last, first:last] = True
    assert (covariance[:, ~free] == 0).all()
    assert (covariance[:, free] != 0).all()
    distinct = len(torch.unique(covariance[0].diagonal()))
    assert distinct == (1 if family == "isotropic" else 6)


@in_family
def test_an_encoder_has_exactly_the_numbers_that_the_family_is_free_in(family, block):
    outputs = posteriors.encoder_outputs(6, family, block)
    point = 0.3 * normal(outputs)

    def read(output):
        q = posteriors.from_encoder(output, 6, family, block)
        return torch.cat([q.mean, q.covariance.flatten()])

    assert torch.linalg.matrix_rank(torch.autograd.functional.jacobian(read, point)) == outputs


@in_family
def test_samples_have_the_mean_and_covariance_of_q(family, block):
    q = some_posterior(family, block)
    nodes, weights = gauss_hermite(6, 3)
    z = q.sample(nodes)
    mean = (weights[:, None] * z).sum(0)
    covariance = (z - mean).mT @ (weights[:, None] * (z - mean))
    torch.testing.assert_close(mean, q.mean)
    torch.testing.assert_close(covariance, q.covariance)


def gauss_hermite(d, order):
    """Points (order^d, d) and weights that integrate polynomials against N(0, I) exactly."""
    import numpy as np

    point, weight = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(order))
    grid = torch.cartesian_prod(*[torch.arange(order)] * d)
    return point[grid], (weight / weight.sum())[grid].prod(-1)


def test_kl_is_the_integral_that_defines_it():
    q = posteriors.Posterior(normal(2), torch.linalg.cholesky(positive_definite(2)))
    nodes, weights = gauss_hermite(2, 4)
    z = q.sample(nodes)
    log_prior = -0.5 * (z**2).sum(-1) - math.log(2 * math.pi)
    torch.testing.assert_close(q.kl(), (weights * (q.log_prob(z) - log_prior)).sum())


@steady
@given(family=families, batch=batches, dtype=dtypes, seed=seeds)
def test_projection_is_the_nearest_member_and_stays_when_repeated(family, batch, dtype, seed):
    matrix = positive_definite(*batch, 6, seed=seed).to(dtype)
    nearest = posteriors.project(matrix, *family)
    assert nearest.dtype == dtype
    torch.testing.assert_close(posteriors.project(nearest, *family), nearest)
    member = posteriors.project(normal(*batch, 6, 6, seed=seed + 1, dtype=dtype), *family)
    inner = ((matrix - nearest) * member).sum((-2, -1))  # what is left over is orthogonal to the family
    torch.testing.assert_close(inner, torch.zeros_like(inner), atol=100 * tolerance(dtype), rtol=0)


@steady
@given(family=families, seed=seeds)
def test_each_family_holds_the_inverses_of_its_members(family, seed):
    inverse = torch.linalg.inv(posteriors.project(positive_definite(3, 6, seed=seed), *family))
    torch.testing.assert_close(posteriors.project(inverse, *family), inverse)


def value(covariance, hessian, beta):
    """½ tr(hessian Σ) − β KL(N(0, Σ) ‖ N(0, I)), the part of the objective that Σ enters, by torch.distributions."""
    zeros, eye = torch.zeros(6, dtype=hessian.dtype), torch.eye(6, dtype=hessian.dtype)
    kl = kl_divergence(MultivariateNormal(zeros, covariance), MultivariateNormal(zeros, eye))
    return 0.5 * (hessian @ covariance).diagonal(dim1=-2, dim2=-1).sum(-1) - beta * kl


@steady
@given(family=families, batch=batches, beta=betas, seed=seeds)
def test_the_optimal_covariance_is_the_best_of_its_family(family, batch, beta, seed):
    hessian = -positive_definite(*batch, 6, seed=seed)
    best = posteriors.optimal_covariance(hessian, beta, *family)
    assert best.shape == hessian.shape
    torch.testing.assert_close(posteriors.project(best, *family), best)
    gradient = torch.autograd.functional.jacobian(lambda s: value(s, hessian, beta).sum(), best)
    gradient = posteriors.project(0.5 * (gradient + gradient.mT), *family)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-8, rtol=0)
    root = torch.linalg.cholesky(best)
    step = posteriors.project(0.1 * positive_definite(*batch, 6, seed=seed + 1), *family)
    other = (
        root @ torch.linalg.matrix_exp(step) @ root.mT if family[0] == "full" else best @ torch.linalg.matrix_exp(step)
    )
    other = posteriors.project(0.5 * (other + other.mT), *family)
    assert (value(best, hessian, beta) > value(other, hessian, beta)).all()


def test_the_optimum_in_closed_form_with_one_and_with_many_beta():
    hessian, eye = -positive_definite(3, 6), torch.eye(6, dtype=torch.float64)
    expected = torch.stack([torch.linalg.inv(eye - h / b) for h, b in zip(hessian, (0.1, 1, 5), strict=True)])
    betas = torch.tensor([0.1, 1, 5], dtype=torch.float64)
    torch.testing.assert_close(posteriors.optimal_covariance(hessian, betas), expected)
    torch.testing.assert_close(posteriors.optimal_covariance(hessian[0], 0.1), expected[0])


@in_family
def test_limits_of_the_optimum_in_beta(family, block):
    hessian = -positive_definite(6)
    wide = posteriors.optimal_covariance(hessian, 1e9, family, block)
    torch.testing.assert_close(wide, torch.eye(6, dtype=torch.float64), atol=1e-8, rtol=0)
    narrow = posteriors.optimal_covariance(hessian, 1e-9, family, block) / 1e-9
    inverse = torch.linalg.inv(posteriors.project(-hessian, family, block))
    torch.testing.assert_close(narrow, inverse, rtol=1e-6, atol=1e-6)


def test_gradients_flow_through_everything():
    output = normal(2, posteriors.encoder_outputs(4, "block", 2)).requires_grad_()
    q = posteriors.from_encoder(output, 4, "block", 2)
    (q.log_prob(normal(2, 4)) + q.entropy() + q.kl()).sum().backward()
    assert (output.grad != 0).all()
    hessian = (-positive_definite(4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: posteriors.optimal_covariance(0.5 * (h + h.mT), 0.7), hessian)
    covariance = positive_definite(4).requires_grad_()
    mean = normal(4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m, s: posteriors.kl_to_standard_normal(m, 0.5 * (s + s.mT)), (mean, covariance)
    )


def test_bad_input_is_refused():
    good = positive_definite(3, 4)
    for function in (posteriors.project, lambda m, *_: posteriors.optimal_covariance(-m, 1.0, *_)):
        with refused("square", "(3, 4, 3)"):
            function(good[..., :3])
        with refused("NaN"):
            function(good * math.nan)
        with refused("'diagnoal'", "Did you mean 'diagonal'?"):
            function(good, "diagnoal")
        with refused("3 does not divide 4"):
            function(good, "block", 3)
        with refused("block=2"):
            function(good, "block")
        with refused("block=2", "'isotropic'"):
            function(good, "isotropic", 2)
        with refused("whole number", "2.0"):
            function(good, "block", 2.0)
    for beta in (0, -1.0, math.nan):
        with refused("beta", "above 0"):
            posteriors.optimal_covariance(-good, beta)
    with refused("positive definite", "3 of 3"):
        posteriors.optimal_covariance(good * 100, 1.0)
    with refused("symmetric"):
        posteriors.optimal_covariance(-good.tril(), 1.0)


def test_bad_posteriors_are_refused():
    mean, good = normal(3, 4), positive_definite(3, 4)
    with refused("d of mean = 3", "d of covariance = 4"):
        posteriors.kl_to_standard_normal(mean[:, :3], good)
    with refused("go together"):
        posteriors.kl_to_standard_normal(mean[:2], good)
    with refused("positive definite", "1 of 3"):
        posteriors.kl_to_standard_normal(mean, good * torch.tensor([1, -1, 1])[:, None, None])
    with refused("symmetric"):
        posteriors.kl_to_standard_normal(mean, good + good.triu(1))
    with refused("factor", "(3, 4)", "(2, 4)"):
        posteriors.Posterior(mean, mean[:2].exp())
    with refused("above 0"):
        posteriors.Posterior(mean, -mean.exp())
    with refused("mean", "NaN"):
        posteriors.Posterior(mean * math.nan, mean.exp())
    q = posteriors.Posterior(mean, mean.exp())
    for method, name in ((q.sample, "noise"), (q.log_prob, "z")):
        with refused(f"d of {name} = 3", "d of q = 4"):
            method(mean[:, :3])
        with refused("go together"):
            method(mean[:2])
    with refused("encoder outputs = 8", "needed = 14"):
        posteriors.from_encoder(normal(3, 8), 4, "full")
    with refused("output", "NaN"):
        posteriors.from_encoder(normal(3, 8) * math.nan, 4, "diagonal")
    with refused("block=2", "'isotropic'"):
        posteriors.encoder_outputs(4, "isotropic", 2)


def test_an_indefinite_matrix_is_refused_in_vmap_and_gives_nan_where_no_check_looks():
    hessians = torch.stack([torch.eye(3) * 9, -torch.eye(3)])
    with refused("positive definite", "1 of 2"):
        torch.vmap(lambda h: posteriors.optimal_covariance(h, 1.0))(hessians)
    unseen = posteriors.log_determinant(torch.eye(3) - hessians, check_values=False)
    assert unseen[0].isnan()
    torch.testing.assert_close(unseen[1], torch.tensor(3 * math.log(2)))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64])
@pytest.mark.parametrize(("family", "outputs"), [("full", 350), ("diagonal", 50), ("isotropic", 26)])
def test_sizes_of_numpys_types_count_as_pythons(kind, family, outputs):
    found = posteriors.encoder_outputs(kind(25), family)
    assert (found, type(found)) == (outputs, int)
    assert posteriors.from_encoder(normal(2, outputs), kind(25), family).mean.shape == (2, 25)


def test_a_number_of_latents_is_a_whole_number():
    with pytest.raises(ValueError, match="d must be a whole number"):
        posteriors.encoder_outputs(2.5, "full")
