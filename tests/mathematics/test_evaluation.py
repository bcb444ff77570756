"""Evaluation against closed forms and inputs whose answer is known."""

import itertools
import math
from statistics import stdev

import pytest
import torch
from hypothesis import given
from random_cases import normal, positive_definite, refused, seeds, steady
from scipy.linalg import sqrtm

from gradelib import datasets, evaluation, networks, objectives, posteriors
from gradelib.likelihoods import Bernoulli, Gaussian


def model_with(activation="tanh", n=10, d=4):
    return networks.mlp_vae(n, d, hidden=[7], activation=activation).double()


@pytest.mark.parametrize("family", ["full", "diagonal"])
def test_the_gap_of_a_linear_decoder_is_nothing(family):
    model = model_with()
    model.decoder = networks.mlp([4, 10]).double()
    x = normal(30, 10)
    found = evaluation.gap(model, x, beta=0.3, family=family, samples=4)
    W, h = model.decoder[0].weight, model.posterior(x).mean
    M = W.mT @ W / 0.3
    logs = torch.logdet(torch.eye(4).double() + M) if family == "full" else torch.log1p(M.diagonal()).sum()
    log_prob = torch.distributions.Normal(model.decoder(h), 1.0).log_prob(x).sum(-1)
    expected = (0.15 * ((h**2).sum(-1) + logs) - log_prob).mean()
    assert math.isclose(found.deterministic, expected.item(), rel_tol=1e-12)
    for seed in range(3):  # exact with any draws: what a draw differs by is known where log p(x|z) is quadratic in z
        some = evaluation.gap(model, x, beta=0.3, family=family, samples=4, seed=seed)
        assert abs(some.difference) < 1e-12
        assert some.error < 1e-12
    far = evaluation.gap(model, x + 100, beta=0.3, family=family, samples=4)
    assert abs(far.difference) + far.error < 1e-8  # a linear term is gone in each pair, whatever its size


@pytest.mark.parametrize("likelihood", [Gaussian(0.7), Bernoulli()])
@pytest.mark.parametrize("family", ["full", "diagonal"])
def test_the_gap_has_the_mean_of_plain_draws(family, likelihood):
    model, x = model_with(), torch.sigmoid(normal(20, 10))
    found = evaluation.gap(model, x, beta=0.5, family=family, likelihood=likelihood, samples=2000)
    q = best_posterior(model, x, 0.5, family, likelihood)
    with torch.no_grad():
        log_prob = likelihood.log_prob(x, model.decoder(q.sample(normal(20_000, 20, 4, seed=1)))).mean(-1)
    plain, error = (0.5 * q.kl().mean() - log_prob.mean()).item(), log_prob.std().item() / 20_000**0.5
    assert abs(found.sampled - plain) < 4 * math.hypot(error, found.error)
    assert 10 * error < abs(found.difference)  # otherwise the plain draws could not tell a gap from none


@pytest.mark.parametrize("family", ["full", "diagonal"])
def test_a_decoder_that_bends_little_leaves_a_gap_little_of_the_error_of_plain_draws(family):
    model, x = model_with(), torch.sigmoid(normal(20, 10))
    with torch.no_grad():
        model.decoder[0].bias *= 0
        model.decoder[0].weight *= 0.2  # the slope stays, and the curvature falls
        model.decoder[2].weight /= 0.2
    found = evaluation.gap(model, x, beta=0.02, family=family, samples=64)
    q = best_posterior(model, x, 0.02, family, Gaussian())
    value, error = evaluation.beta_vae_loss(model, x, beta=0.02, q=q, samples=64)
    assert abs(found.sampled - value) < 4 * error
    assert found.error < 0.2 * error


def best_posterior(model, x, beta, family, likelihood):
    with torch.no_grad():
        h = model.posterior(x).mean
        J = torch.func.vmap(torch.func.jacrev(lambda z: model.decoder[:](z)))(h)
        hessian = J.mT @ (likelihood.curvature(x, model.decoder(h))[..., None] * J)
    return posteriors.Posterior(h, torch.linalg.cholesky(posteriors.optimal_covariance(hessian, beta, family)))


def test_the_gap_of_a_curved_decoder_is_the_expectation_of_the_beta_vae_loss():
    """Against plain Gauss–Hermite quadrature in two latents."""
    import numpy as np

    model, x = model_with(d=2), torch.sigmoid(normal(5, 10))
    with torch.no_grad():
        for layer in model.decoder[::2]:
            layer.weight *= 3
        point, weight = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(24))
        nodes = torch.cartesian_prod(point, point)
        weights = torch.cartesian_prod(weight, weight).prod(-1) / weight.sum() ** 2
        found = evaluation.gap(model, x, beta=0.5, likelihood=Gaussian(0.5), samples=4000)
        h = model.posterior(x).mean
        J = torch.func.vmap(torch.func.jacrev(lambda z: model.decoder[:](z)))(h)
        variance = 1 / (1 + 4 * (J**2).sum(1) / 0.5)
        z = h + variance.sqrt() * nodes[:, None]
        log_prob = torch.distributions.Normal(model.decoder(z), 0.5).log_prob(x).sum(-1)
        kl = 0.5 * (variance + h**2 - 1 - variance.log()).sum(-1)
        expected = (0.5 * kl - (weights[:, None] * log_prob).sum(0)).mean().item()
    assert abs(found.sampled - expected) < 4 * found.error
    assert found.error < 0.05 * abs(found.difference)


def test_the_error_of_a_gap_is_what_other_seeds_show():
    model, x = model_with(), normal(5, 10)
    found = [evaluation.gap(model, x, beta=0.5, samples=64, seed=seed) for seed in range(40)]
    spread = torch.tensor([one.sampled for one in found]).double().std().item()
    mean_error = sum(one.error for one in found) / 40
    assert 0.6 < spread / mean_error < 1.6
    assert evaluation.gap(model, x, beta=0.5, samples=64, seed=3) == found[3]
    assert evaluation.gap(model, x, beta=0.5, samples=2).error == math.inf


def test_the_variances_of_a_linear_decoder_are_fitted_to_the_formula_s():
    model, x = model_with(), normal(300, 10)
    model.decoder = networks.mlp([4, 10]).double()
    W = model.decoder[0].weight.detach()
    fitted = evaluation.fitted_posterior(model, x, beta=0.3).factor.square()
    assert torch.allclose(fitted.log().mean(0), torch.log(0.3 / (0.3 + W.square().sum(0))), atol=0.03)


class Bent:
    """A model of one latent whose codes are 0, with g(z) = (z, az²)."""

    def __init__(self, a):
        self.a = a

    def posterior(self, x):
        return posteriors.Posterior(torch.zeros(len(x), 1).double(), torch.ones(len(x), 1).double())

    def decoder(self, z):
        return torch.cat([z, self.a * z**2], -1)


@pytest.mark.parametrize("a", [1.5, 5.0, 20.0, 60.0])
def test_the_variances_of_a_bent_decoder_are_the_best_of_the_loss_itself(a):
    """The formula's are too wide by factors of 2.4 to 75; a fit that remembers its first slopes stops on its way."""
    beta, x = 0.8, torch.zeros(200, 2).double()
    # ½s + 3/2 a²s² + ½β(s − 1 − log s) has its minimum where 6a²s² + (1 + β)s − β = 0.
    best = (math.sqrt((1 + beta) ** 2 + 24 * a**2 * beta) - 1 - beta) / (12 * a**2)
    q = evaluation.fitted_posterior(Bent(a), x, beta=beta)
    assert float(q.factor.square().log().mean()) == pytest.approx(math.log(best), abs=0.02)
    assert torch.equal(q.mean, Bent(a).posterior(x).mean)
    formula = posteriors.Posterior(q.mean, torch.full_like(q.factor, math.sqrt(beta / (1 + beta))))
    paid = [evaluation.beta_vae_loss(Bent(a), x, beta=beta, q=one, seed=1)[0] for one in (q, formula)]
    assert paid[0] < paid[1] - 0.3


def test_fitted_codes_of_a_linear_decoder_are_the_modes():
    model, x = model_with(), normal(30, 10)
    model.decoder = networks.mlp([4, 10]).double()
    W, b = (p.detach() for p in model.decoder[0].parameters())
    apart = evaluation.fitted_posterior(model, x, beta=0.3, codes=True, samples=32)
    modes = torch.linalg.solve(W.mT @ W + 0.3 * torch.eye(4).double(), W.mT @ (x - b).mT).mT
    assert torch.allclose(apart.mean, modes, atol=0.03)
    assert (model.posterior(x).mean - modes).abs().max() > 0.5
    q = evaluation.fitted_posterior(model, x, beta=0.3, q=apart)
    assert torch.equal(q.mean, apart.mean)
    assert torch.allclose(q.factor.square().log().mean(0), torch.log(0.3 / (0.3 + W.square().sum(0))), atol=0.05)


@pytest.mark.parametrize("beta", [0.001, 0.1])
def test_fitted_codes_never_cost_more_than_where_they_started(beta):
    """At a small β the slope over β is huge, and a step as long as it says would throw the codes away."""
    model, x = networks.mlp_vae(30, 3, hidden=[16, 16], activation="relu", seed=0).double(), normal(20, 30)
    start = evaluation.fitted_posterior(model, x, beta=beta)
    end = evaluation.fitted_posterior(model, x, beta=beta, q=start, codes=True, seed=1)
    paid = [evaluation.beta_vae_loss(model, x, beta=beta, q=q, seed=2)[0] for q in (start, end)]
    assert paid[1] < paid[0]


def test_the_fit_needs_no_gradient_mode():
    model, x = model_with(), normal(3, 10)
    q = evaluation.fitted_posterior(model, x, beta=0.3, steps=2)
    with torch.no_grad():
        assert torch.equal(evaluation.fitted_posterior(model, x, beta=0.3, steps=2).factor, q.factor)


def test_the_loss_under_the_models_own_posterior_is_its_closed_form():
    model, x = model_with(), normal(20, 10)
    model.decoder = networks.mlp([4, 10]).double()
    q = model.posterior(x)
    value, error = evaluation.beta_vae_loss(model, x, beta=0.3, samples=8000)
    spread = -0.5 * (model.decoder[0].weight ** 2 @ q.variances.mT).sum(0)
    expected = objectives.beta_vae(Gaussian().log_prob(x, model.decoder(q.mean)) + spread, q.kl(), 0.3)
    assert abs(value - expected.item()) < 4 * error < 0.1


def test_block_cosines_keep_their_sign():
    """Columns 0 and 1 always agree; 2 and 3 agree or oppose by turns, so their mean cosine is 0."""
    J = torch.zeros(2, 4, 4, dtype=torch.float64)
    J[:, 0, 0] = J[:, 0, 1] = 2.0
    J[:, 1, 2] = 1.0
    J[:, 1, 3] = torch.tensor([3.0, -3.0])
    assert evaluation.block_cosines(J, 2) == (0.5, 0.0)
    J[:, 2, 1] = 2.0
    J[:, 2, 2] = 1.0
    inside, outside = evaluation.block_cosines(J, 2)
    assert math.isclose(inside, 0.5**0.5 / 2)
    assert math.isclose(outside, 0.5 / 4)
    for block in (1, 4):
        with refused("no pair"):
            evaluation.block_cosines(J, block)
    with refused("does not divide"):
        evaluation.block_cosines(J, 3)


@steady
@given(seed=seeds)
def test_nats_between_blocks_are_what_the_objective_loses(seed):
    J, beta = normal(4, 9, 6, seed=seed), 0.4
    hessian, zeros = -J.mT @ J, torch.zeros(4, 6, dtype=torch.float64)
    for family, block in (("block", 2), ("block", 3), ("diagonal", None)):
        nats = evaluation.nats_between_blocks(hessian, beta, family, block)
        full, restricted = (
            objectives.taylor(zeros[:, 0], hessian, zeros, posteriors.optimal_covariance(hessian, beta, *f), beta)
            for f in (("full",), (family, block))
        )
        assert (nats > 0).all()
        torch.testing.assert_close(beta * nats.mean(), restricted - full)
    within = posteriors.project(hessian, "block", 2)
    torch.testing.assert_close(evaluation.nats_between_blocks(within, beta, "block", 2), zeros[:, 0])


@steady
@given(seed=seeds)
def test_alignment_finds_the_rotation_and_the_permutation(seed):
    W = normal(6, 3, seed=seed)
    Q = torch.linalg.qr(normal(3, 3, seed=seed + 1)).Q
    assert evaluation.rotation_error(W @ Q, W) < 1e-12
    P = torch.tensor([[0, 0, 1], [-1, 0, 0], [0, 1, 0]], dtype=torch.float64)
    assert evaluation.permutation_error(W @ P, W) < 1e-12
    A = normal(6, 3, seed=seed + 2)
    every = [
        ((A[:, list(order)] * torch.tensor(signs) - W).norm() / W.norm()).item()
        for order in itertools.permutations(range(3))
        for signs in itertools.product([1.0, -1.0], repeat=3)
    ]
    assert math.isclose(evaluation.permutation_error(A, W), min(every), rel_tol=1e-12)
    best = evaluation.rotation_error(A, W)
    assert best <= min(every)
    assert all(
        best <= ((A @ torch.linalg.qr(normal(3, 3, seed=seed + s)).Q - W).norm() / W.norm()).item() for s in range(20)
    )


def test_samples_come_from_the_prior_or_from_a_gaussian():
    model = model_with()
    model.decoder = torch.nn.Identity()
    prior = evaluation.samples(model, 40_000)
    torch.testing.assert_close(prior.mT.cov(), torch.eye(4).double(), atol=0.04, rtol=0)
    mean, covariance = 2 + normal(4), positive_definite(4)
    fitted = evaluation.samples(model, 40_000, moments=(mean, covariance))
    torch.testing.assert_close(fitted.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(fitted.mT.cov(), covariance, atol=0.1, rtol=0)
    means = evaluation.samples(model, 3, likelihood=Bernoulli(), seed=5)
    torch.testing.assert_close(means, torch.sigmoid(evaluation.samples(model, 3, seed=5)))
    assert not torch.equal(evaluation.samples(model, 3, seed=5), evaluation.samples(model, 3, seed=6))


def test_the_classifier_learns_the_digits_and_gives_features():
    data = datasets.load("digits")
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    net = evaluation.classifier(data.train, data.train_labels, steps=300)
    assert torch.equal(torch.random.get_rng_state(), before)
    right = (net(data.test).argmax(-1) == data.test_labels).float().mean()
    assert right > 0.93
    features = net[:-1](data.test)
    assert features.shape == (297, 32)
    assert (features >= 0).all()
    assert not features.requires_grad
    again = evaluation.classifier(data.train, data.train_labels, steps=300)
    assert torch.equal(again(data.test), net(data.test))


@steady
@given(seed=seeds)
def test_frechet_distance_is_its_formula(seed):
    a, b = normal(50, 4, seed=seed), 1 + normal(60, 4, seed=seed + 1) @ normal(4, 4, seed=seed + 2)
    C_a, C_b = a.mT.cov(), b.mT.cov()
    root = torch.from_numpy(sqrtm((C_a @ C_b).numpy()).real)
    expected = (a.mean(0) - b.mean(0)).square().sum() + (C_a + C_b - 2 * root).trace()
    assert math.isclose(evaluation.frechet_distance(a, b), expected.item(), rel_tol=1e-6)
    assert math.isclose(evaluation.frechet_distance(a, a + 2), 16, rel_tol=1e-6)
    assert abs(evaluation.frechet_distance(a, a)) < 1e-6


def test_precision_and_recall_tell_fidelity_from_variety():
    real = torch.cat([normal(100, 2), normal(100, 2, seed=1) + 20])
    half = real[:100] + 0.01
    precision, recall = evaluation.precision_recall(real, half)
    assert precision > 0.95
    assert 0.45 < recall < 0.55
    astray = torch.cat([real + 0.01, real - 50])
    precision, recall = evaluation.precision_recall(real, astray)
    assert 0.45 < precision < 0.55
    assert recall > 0.95
    line = torch.arange(5.0, dtype=torch.float64)[:, None]
    assert evaluation.precision_recall(line, torch.cat([line + 7, line[:1] + 4.9]), k=1) == (1 / 6, 2 / 5)


def test_bad_input_is_refused():
    model, x = model_with(), normal(5, 10)
    with refused("'block'"):
        evaluation.gap(model, x, beta=0.5, family="block")
    for samples in (3, 1, 2.0):
        with refused("samples"):
            evaluation.gap(model, x, beta=0.5, samples=samples)
    with refused("x", "NaN"):
        evaluation.gap(model, x * math.nan, beta=0.5)
    with refused("beta", "above 0"):
        evaluation.gap(model, x, beta=0)
    with refused("samples"):
        evaluation.fitted_posterior(model, x, beta=0.5, samples=3)
    with refused("steps", "whole number"):
        evaluation.fitted_posterior(model, x, beta=0.5, steps=0)
    with refused("x", "NaN"):
        evaluation.fitted_posterior(model, x * math.nan, beta=0.5)
    with refused("beta", "above 0"):
        evaluation.fitted_posterior(model, x, beta=0)
    with refused("rows of q = 4", "rows of x = 5"):
        evaluation.fitted_posterior(model, x, beta=0.5, q=model.posterior(x[:4]))
    with refused("L is a matrix"):
        full = posteriors.Posterior(torch.zeros(5, 4), torch.eye(4).expand(5, 4, 4))
        evaluation.fitted_posterior(model, x, beta=0.5, q=full)
    for error in (evaluation.rotation_error, evaluation.permutation_error):
        with refused("(5, 10)", "(5, 9)"):
            error(x, x[:, :9])
        with refused("A", "NaN"):
            error(x * math.nan, x)
    for compare in (evaluation.frechet_distance, evaluation.precision_recall):
        with refused("(5, 10)", "(5, 9)"):
            compare(x, x[:, :9])
        with refused("two examples"):
            compare(x, x[:1])
        with refused("b", "NaN"):
            compare(x, x * math.nan)
    with refused("more than k = 5"):
        evaluation.precision_recall(x, x, k=5)
    with refused("shape (4,) and (4, 4)", "(4,) and (3, 3)"):
        evaluation.samples(model, 3, moments=(torch.zeros(4), torch.eye(3)))
    with refused("covariance", "NaN"):
        evaluation.samples(model, 3, moments=(torch.zeros(4), math.nan * torch.eye(4)))
    with refused("count", "whole number"):
        evaluation.samples(model, 0)
    with refused("examples = 5", "labels = 3"):
        evaluation.classifier(x, torch.zeros(3, dtype=torch.long))


def test_unlikeness_is_nothing_for_one_set_and_one_for_unrelated_sets():
    X = normal(30, 5)
    assert evaluation.unlikeness(X, X) == pytest.approx(0, abs=1e-6)
    a, b = normal(2, 400, 30, seed=2)
    assert evaluation.unlikeness(a, b) == pytest.approx(1, abs=0.05)
    three = torch.tensor([[0.0], [1.0], [3.0]])
    assert evaluation.unlikeness(three, three + 2) == pytest.approx(4 / ((9 + 25 + 1 + 16 + 1 + 0) / 6))
    with refused("3", "2"):
        evaluation.unlikeness(three, three[:2])


def test_the_standard_error_of_equal_values_is_zero_and_of_one_there_is_none():
    assert evaluation.standard_error([53.169] * 3) == 0.0
    assert evaluation.standard_error([1.0, 2.0, 4.0]) == pytest.approx(stdev([1.0, 2.0, 4.0]) / math.sqrt(3), rel=1e-12)
    assert evaluation.standard_error([1.0]) is None
