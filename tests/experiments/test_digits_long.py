"""What `digits-long` measures, against other ways to the same numbers."""

import math

import pytest
import torch
from random_cases import normal

from gradelib import geometry, networks, training
from gradelib.experiments import digits_long
from gradelib.experiments.experiment import few_digits
from gradelib.likelihoods import Gaussian
from gradelib.posteriors import Posterior


def test_codes_that_say_nothing_and_codes_that_say_which_example():
    mean = torch.zeros(50, 2).double()
    found = digits_long.information(Posterior(mean + 1.5, 0.5 + mean))
    assert found["information"] == pytest.approx(0, abs=1e-12)
    assert found["rate"] == pytest.approx(found["mismatch"])
    far = 100 * torch.arange(50.0).double()[:, None].expand(50, 2)
    found = digits_long.information(Posterior(far, 0.5 + mean))
    assert found["information"] == pytest.approx(math.log(50))
    assert found["log_examples"] == pytest.approx(math.log(50))


def test_information_of_a_gaussian_channel():
    """Many codes from N(0, 1) in clouds of variance s say ½ log(1 + 1/s)."""
    mean = torch.randn(3000, 1, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    found = digits_long.information(Posterior(mean, torch.full_like(mean, 0.5)))
    assert found["information"] == pytest.approx(0.5 * math.log(1 + 4), abs=0.05)


@pytest.fixture(scope="module")
def model():
    return networks.mlp_vae(64, 3, hidden=[8], seed=1).double()


def test_the_noise_of_a_column_by_its_few_values(model):
    """A shared column has d values; one image alone has no other column to share with."""
    x, beta = few_digits().train[:1], 0.4
    found = digits_long.gradient_noise(model, x, beta, draws=300)
    gradients = []
    for column in range(3):
        noise = torch.nn.functional.one_hot(torch.tensor([column]), 3).double()
        loss = training.OBJECTIVES["grae_column"](model, x, noise, beta, likelihood=Gaussian())
        parts = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        gradients.append(torch.cat([part.flatten() for part in parts if part is not None]))
    exact = float(torch.stack(gradients).var(0, correction=0).sum())
    assert found["noise_own_column"] == pytest.approx(exact, rel=0.02)
    assert found["noise_shared_column"] == pytest.approx(exact, rel=0.02)


def test_a_direction_is_charged_for_its_length(model):
    x, noise, beta = few_digits().train[:5], normal(5, 3), 0.4
    h = model.posterior(x).mean
    u = torch.nn.functional.normalize(noise, dim=-1)
    J = geometry.jacobian(model.decoder, h)
    lengths = torch.einsum("bnd,bd->bn", J, u).square().sum(-1)
    log_prob = Gaussian().log_prob(x, model.decoder(h))
    expected = (-log_prob + 0.5 * beta * (h.square().sum(-1) + 3 * torch.log1p(lengths / beta))).mean()
    torch.testing.assert_close(digits_long._direction(model, x, noise, beta), expected)


def test_a_shared_column_is_one_for_all(model):
    x, noise = few_digits().train[:5], normal(5, 3)
    same = noise[0].expand(5, 3)
    own = training.OBJECTIVES["grae_column"]
    expected = own(model, x, same, 0.4, likelihood=Gaussian())
    assert torch.equal(digits_long._shared_column(model, x, noise, 0.4, likelihood=Gaussian()), expected)


@pytest.mark.parametrize("pixels", digits_long.PIXELS)
def test_curvatures_of_bernoulli_pixels_by_autograd(pixels):
    """JᵀHJ of the mean form is the Hessian in z of x log m + (1 − x) log(1 − m) with m linear in z."""
    job = {**digits_long._TINY, "control": "bernoulli", "pixels": pixels, "steps": 60}
    data, found = few_digits(), digits_long.run({**job}, {}, few_digits(), "cpu")[0]
    x = (data.test / data.scale).clamp(0, 1) if pixels == "grey" else (data.test >= data.scale / 2).double()
    half = (data.train / data.scale).clamp(0, 1) if pixels == "grey" else (data.train >= data.scale / 2).double()
    model = networks.mlp_vae(64, 4, hidden=[8], seed=0).double()
    training.fit(
        model,
        half,
        beta=0.4,
        likelihood=digits_long.Bernoulli(),
        steps=60,
        learning_rate=0.02,
        optimiser="muon",
        batch_size=16,
    )
    h = model.posterior(x).mean.detach()
    m = torch.sigmoid(model.decoder(h)).detach()
    J = geometry.jacobian(lambda z: torch.sigmoid(model.decoder(z)), h).detach()
    H = -x / m**2 - (1 - x) / (1 - m) ** 2
    exact = torch.einsum("bni,bn,bnj->bij", J, H, J)
    off = torch.linalg.matrix_norm(exact + J.mT @ J) / torch.linalg.matrix_norm(exact)
    assert found["off"] == pytest.approx(float(off.mean()))
    assert found["near"] == pytest.approx(float(((H + 1).abs() <= 0.1).double().mean()))


def test_the_table_says_how_far_the_noise_alone_moves_the_loss():
    jobs = digits_long.EXPERIMENT.jobs
    keys = [f"noise, beta_vae, beta 0.4, seed 0, noise_seed {1000 + k}" for k in range(3)]
    rows = [
        {
            "job": jobs[key],
            "state": "done",
            "numbers": {"beta_vae_diagonal": loss, "beta_vae_diagonal_error": 0.001, "code_variances": [1.0]},
        }
        for key, loss in zip(keys, (9.0, 10.0, 11.0), strict=True)
    ]
    (line,) = digits_long.evaluate(rows)
    assert (line["control"], line["seeds"], line["noise_deviation"]) == ("noise", 3, 1.0)
    assert line["beta_vae_diagonal_error"] == pytest.approx(1 / 3**0.5)
