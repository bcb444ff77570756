"""Likelihoods against torch.distributions, autograd and their normalisation."""

import math

import pytest
import torch
from hypothesis import given
from random_cases import batches, dtypes, normal, refused, seeds, steady, tolerance
from torch.func import grad, vmap

from gradelib.likelihoods import Bernoulli, Gaussian

LIKELIHOODS = [Gaussian(), Gaussian(0.3), Bernoulli(), Bernoulli("mean")]
named = pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)


def pixels(likelihood, *shape, seed=0, dtype=torch.float64):
    """Data and decoder outputs that the likelihood allows."""
    x, g = normal(*shape, seed=seed), normal(*shape, seed=seed + 1)
    if isinstance(likelihood, Bernoulli):
        x = torch.sigmoid(x)
        g = torch.sigmoid(g) if likelihood.parameter == "mean" else g
    return x.to(dtype), g.to(dtype)


def by_torch(likelihood, x, g):
    """The log-likelihood as torch.distributions gives it."""
    if isinstance(likelihood, Gaussian):
        return torch.distributions.Normal(g, likelihood.scale).log_prob(x).sum(-1)
    law = {"logits": g} if likelihood.parameter == "logit" else {"probs": g}
    return torch.distributions.Bernoulli(**law, validate_args=False).log_prob(x).sum(-1)


@named
@steady
@given(batch=batches, dtype=dtypes, seed=seeds)
def test_log_prob_is_that_of_torch_distributions(likelihood, batch, dtype, seed):
    x, g = pixels(likelihood, *batch, 5, seed=seed, dtype=dtype)
    value = likelihood.log_prob(x, g)
    assert value.shape == batch
    assert value.dtype == dtype
    torch.testing.assert_close(value, by_torch(likelihood, x, g), rtol=tolerance(dtype), atol=tolerance(dtype))


@named
@steady
@given(batch=batches, dtype=dtypes, seed=seeds)
def test_curvature_is_the_second_derivative_of_log_prob(likelihood, batch, dtype, seed):
    x, g = pixels(likelihood, *batch, 4, seed=seed, dtype=torch.float64)
    second = grad(grad(lambda gk, xk: likelihood.log_prob(xk[None], gk[None])))
    for _ in range(len(batch) + 1):
        second = vmap(second)
    value = likelihood.curvature(x.to(dtype), g.to(dtype))
    assert value.dtype == dtype
    assert value.shape == (*batch, 4)
    torch.testing.assert_close(value.double(), second(g, x), rtol=tolerance(dtype), atol=tolerance(dtype))


@named
def test_pixels_are_independent_so_h_is_diagonal(likelihood):
    x, g = pixels(likelihood, 4)
    full = torch.autograd.functional.hessian(lambda g: likelihood.log_prob(x, g), g)
    torch.testing.assert_close(full, torch.diag(likelihood.curvature(x, g)))


def test_gaussian_integrates_to_one_at_any_scale():
    for scale in (1e-3, 1.0, 20.0):
        x = torch.linspace(-12, 12, 4001, dtype=torch.float64) * scale
        density = Gaussian(scale).log_prob(x[:, None] + 3, torch.full((1, 1), 3.0, dtype=torch.float64)).exp()
        assert math.isclose(torch.trapezoid(density, x).item(), 1, rel_tol=1e-9)


def test_a_tiny_scale_does_not_underflow():
    zero = torch.zeros(1, dtype=torch.float64)
    assert math.isclose(Gaussian(1e-200).log_prob(zero, zero).item(), 200 * math.log(10) - 0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize("parameter", ["logit", "mean"])
def test_bernoulli_of_binary_pixels_adds_up_to_one(parameter):
    g = pixels(Bernoulli(parameter), 1)[1]
    on_and_off = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    assert math.isclose(Bernoulli(parameter).log_prob(on_and_off, g).exp().sum().item(), 1, rel_tol=1e-12)


def test_the_two_bernoulli_parameters_are_one_likelihood_with_two_curvatures():
    x, g = pixels(Bernoulli(), 3, 5)
    m = torch.sigmoid(g)
    torch.testing.assert_close(Bernoulli().log_prob(x, g), Bernoulli("mean").log_prob(x, m))
    assert (Bernoulli().curvature(x, g) > Bernoulli("mean").curvature(x, m)).all()


@named
def test_x_and_g_broadcast(likelihood):
    x, g = pixels(likelihood, 3, 5)
    each = torch.stack([likelihood.log_prob(x[0], one) for one in g])
    torch.testing.assert_close(likelihood.log_prob(x[0], g), each)
    assert likelihood.curvature(x[0], g).shape == g.shape
    assert likelihood.curvature(x, g[0]).shape == g.shape


@named
def test_bad_pixels_are_refused(likelihood):
    x, g = pixels(likelihood, 2, 3)
    for method in (likelihood.log_prob, likelihood.slope, likelihood.curvature):
        with refused("pixels of x = 3", "pixels of g = 2"):
            method(x, g[:, :2])
        with refused("go together"):
            method(x, g[[0, 1, 0]])
        with refused("x", "NaN"):
            method(x * math.nan, g)
        with refused("g", "NaN"):
            method(x, g * math.nan)
        with refused("axis of pixels"):
            method(x[0, 0], g)


def test_values_outside_the_range_are_refused():
    half = torch.full((2,), 0.5)
    with refused("between 0 and 1", "rescale"):
        Bernoulli().log_prob(half + 1, half)
    for edge in (0.0, 1.0):
        with refused("strictly between 0 and 1", "sigmoid"):
            Bernoulli("mean").curvature(half, half * 0 + edge)
    with refused("scale", "-1"):
        Gaussian(-1)
    with refused("'logits'", "Did you mean 'logit'?"):
        Bernoulli("logits")


@named
@steady
@given(batch=batches, dtype=dtypes, seed=seeds)
def test_slope_is_the_gradient_of_log_prob(likelihood, batch, dtype, seed):
    x, g = pixels(likelihood, *batch, 4, seed=seed)
    expected = torch.func.grad(lambda g: likelihood.log_prob(x, g).sum())(g)
    value = likelihood.slope(x.to(dtype), g.to(dtype))
    assert value.dtype == dtype
    torch.testing.assert_close(value.double(), expected, rtol=tolerance(dtype), atol=tolerance(dtype))


@named
def test_samples_follow_the_likelihood(likelihood):
    g = pixels(likelihood, 3)[1]
    generator = torch.Generator().manual_seed(0)
    drawn = likelihood.sample(g.expand(40_000, 3), generator)
    law = torch.distributions
    if isinstance(likelihood, Gaussian):
        law = law.Normal(g, likelihood.scale)
    else:
        law = law.Bernoulli(logits=g) if likelihood.parameter == "logit" else law.Bernoulli(probs=g)
    assert set(drawn.unique().tolist()) == {0, 1} or isinstance(likelihood, Gaussian)
    torch.testing.assert_close(likelihood.mean(g), law.mean)
    torch.testing.assert_close(drawn.mean(0), law.mean, atol=4 * float(law.stddev.max()) / 200, rtol=0)
    torch.testing.assert_close(drawn.std(0), law.stddev, atol=0, rtol=0.03)


@named
def test_a_generator_makes_samples_repeat(likelihood):
    g = pixels(likelihood, 50)[1]
    first, second = (likelihood.sample(g, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, likelihood.sample(g, torch.Generator().manual_seed(4)))
    with refused("g", "NaN"):
        likelihood.sample(g * math.nan)
    with refused("g", "NaN"):
        likelihood.mean(g * math.nan)
