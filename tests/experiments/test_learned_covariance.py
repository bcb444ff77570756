"""What `learned-covariance` says of covariances that are known."""

import math

import pytest
import torch
from random_cases import normal, positive_definite

from gradelib import geometry, networks, posteriors
from gradelib.experiments import learned_covariance
from gradelib.experiments.experiment import few_digits
from gradelib.posteriors import Posterior


def test_what_is_the_formula_is_called_so():
    best = positive_definite(50, 3, seed=1) / 20
    found = learned_covariance._alike(Posterior(normal(50, 3), torch.linalg.cholesky(best)), best, beta=0.4)
    assert found["variance_ratio"] == pytest.approx([1, 1, 1])
    assert found["smallest"] + found["largest"] == pytest.approx([1] * 6)
    assert (found["off"], found["resolved"]) == (0, 3)
    assert abs(found["kl"]) < 1e-12


def test_ratios_and_divergence_by_hand():
    best = torch.diag_embed(torch.tensor([[0.2, 0.3, 0.9]], dtype=torch.float64).repeat(5, 1))
    own = Posterior(torch.zeros(5, 3).double(), torch.tensor([0.1, 0.6, 1.8]).double().sqrt().repeat(5, 1))
    found = learned_covariance._alike(own, best, beta=0.7)
    assert found["resolved"] == 2  # the third has more than half of the prior's variance
    assert found["variance_ratio"] == pytest.approx([0.5, 1.25, 2.0])
    assert (found["smallest"][1], found["largest"][1]) == pytest.approx((0.5, 2.0))
    kl = sum(0.5 * (ratio - 1 - math.log(ratio)) for ratio in (0.5, 2, 2))
    assert found["kl"] == pytest.approx(0.7 * kl)
    assert found["off"] == 1
    none = learned_covariance._alike(own, 5 * best, beta=0.7)
    assert (none["resolved"], none["variance_ratio"], none["off"]) == (0, [], 0)


@pytest.mark.parametrize(("family", "block"), [("diagonal", None), ("block", 2), ("full", None)])
def test_the_exact_hessian_is_the_second_derivative(family, block):
    """Its share of indefinite images, and the term that Gauss–Newton drops, against autograd on the whole."""
    x = few_digits().test
    model = networks.mlp_vae(64, 4, hidden=[8], activation="tanh", family=family, block=block, seed=3).double()
    with torch.no_grad():
        for weights in model.decoder.parameters():
            weights.mul_(3)
    job = {"beta": 0.4, "family": family, "block": block}
    found = learned_covariance.compare(model, x, job, samples=4)
    h = model.posterior(x).mean.detach()
    exact = geometry.hessian(lambda z: -0.5 * (x - model.decoder(z)).square().sum(-1), h).detach()
    precision = posteriors.project(torch.eye(4) - exact / 0.4, family, block)
    lowest = torch.linalg.eigvalsh(precision)[:, 0]
    assert found["indefinite"] == pytest.approx(float((lowest <= 0).double().mean()))
    J = geometry.jacobian(model.decoder, h).detach()
    trace = lambda M: 0.5 * (M * model.posterior(x).covariance.detach()).sum((-2, -1))  # noqa: E731
    extra = trace(exact + J.mT @ J)
    assert found["dropped_signed"] == pytest.approx(float(extra.mean() / trace(J.mT @ J).mean()))
    assert found["dropped_absolute"] == pytest.approx(float(extra.abs().mean() / trace(J.mT @ J).mean()))


def test_a_linear_decoder_has_nothing_beyond_the_formula():
    x = few_digits().test
    model = networks.mlp_vae(64, 4, hidden=[], seed=0).double()
    found = learned_covariance.compare(model, x, {"beta": 0.4, "family": "diagonal", "block": None}, samples=4)
    for name in ("taylor_absolute", "dropped_absolute", "exact_less_formula", "indefinite"):
        assert abs(found[name]) < 1e-9
    assert found["learned_less_formula"] == pytest.approx(found["kl"])


def test_the_table_takes_means_over_the_seeds():
    jobs = learned_covariance.EXPERIMENT.jobs
    rows = [
        {"job": jobs[f"core, digits, full, beta 0.4, seed {seed}"], "state": "done", "numbers": numbers}
        for seed, numbers in enumerate(
            ({"kl": 1.0, "smallest": [0.0, 2.0], "exact_less_formula": 3.0}, {"kl": 2.0, "smallest": [1.0, 4.0]})
        )
    ]
    (line,) = learned_covariance.evaluate(rows)
    assert (line["seeds"], line["kl"], line["kl_seeds"]) == (2, 1.5, pytest.approx(0.5))
    assert line["smallest"] == [0.5, 3.0]
    assert line["exact_less_formula"] == 3.0
