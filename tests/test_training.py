"""Training: the loop against plain Adam, the grid against single fits, seeds, failures."""

import math

import pytest
import torch
from random_cases import FAMILIES, normal, refused

from gradelib import networks, training
from gradelib.likelihoods import Bernoulli, Gaussian

X = torch.sigmoid(normal(40, 10))
SHORT = {"steps": 12, "batch_size": 8, "learning_rate": 1e-2}


def make(seed, family="diagonal", block=None, d=6):
    return networks.mlp_vae(10, d, hidden=[7], family=family, block=block, seed=seed).double()


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def test_fit_is_adam_on_the_beta_vae_loss():
    """The same run written out by hand, with torch.distributions and plain Adam."""
    found = training.fit(make(0), X, beta=0.3, seed=4, likelihood=Gaussian(0.5), **SHORT)
    model, generator = make(0), torch.Generator().manual_seed(4)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(12):
        optimiser.param_groups[0]["lr"] = 1e-2 * 0.5 * (1 + math.cos(math.pi * step / 12))
        x = X[torch.randint(40, (8,), generator=generator)]
        noise = torch.randn(8, 6, generator=generator, dtype=torch.float64)
        mean, log_variance = model.encoder(x).chunk(2, -1)
        q = torch.distributions.Normal(mean, (log_variance / 2).exp())
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0, 1)).sum(-1)
        p = torch.distributions.Normal(model.decoder(mean + q.scale * noise), 0.5)
        loss = (0.3 * kl - p.log_prob(x).sum(-1)).mean()
        torch.testing.assert_close(found.losses[step], loss.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(weights(found.model), weights(model))


def test_fit_reduces_the_loss_for_every_likelihood():
    for likelihood in (None, Gaussian(0.5), Bernoulli()):
        options = SHORT | {"steps": 150}
        losses = training.fit(make(0), X, beta=0.1, likelihood=likelihood, **options).losses
        assert losses[-20:].mean() < losses[:20].mean()


@pytest.mark.parametrize(("family", "block"), FAMILIES)
def test_a_grid_is_its_single_fits(family, block):
    def build(seed):
        return make(seed, family, block)

    grid = training.fit_grid(build, X, betas=[0.1, 2.0], seeds=[0, 3], **SHORT)
    assert list(grid) == [(0.1, 0), (0.1, 3), (2.0, 0), (2.0, 3)]
    for (beta, seed), fit in grid.items():
        alone = training.fit(build(seed), X, beta=beta, seed=seed, **SHORT)
        torch.testing.assert_close(fit.losses, alone.losses)
        torch.testing.assert_close(weights(fit.model), weights(alone.model))
        assert fit.model.family == family


def test_the_numbers_depend_on_the_seed_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = training.fit(make(0), X, beta=0.3, seed=2, **SHORT)
    grid = training.fit_grid(make, X, betas=[0.3], seeds=[0], **SHORT)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(training.fit(make(0), X, beta=0.3, seed=2, **SHORT).losses, first.losses)
    assert torch.equal(training.fit_grid(make, X, betas=[0.3], seeds=[0], **SHORT)[0.3, 0].losses, grid[0.3, 0].losses)
    assert not torch.equal(training.fit(make(0), X, beta=0.3, seed=3, **SHORT).losses, first.losses)


def test_fit_trains_in_place_and_the_data_stay_as_they_are():
    model, before, data = make(0), weights(make(0)), X.clone()
    fit = training.fit(model, X, beta=0.3, **SHORT)
    assert fit.model is model
    assert not torch.equal(weights(model), before)
    assert torch.equal(X, data)
    assert fit.losses.shape == (12,)
    assert not fit.losses.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype):
    fit = training.fit(make(0).to(dtype), X.to(dtype), beta=0.3, **SHORT)
    grid = training.fit_grid(lambda seed: make(seed).to(dtype), X.to(dtype), betas=[0.3], seeds=[0], **SHORT)
    assert fit.losses.dtype == grid[0.3, 0].losses.dtype == dtype
    assert weights(fit.model).dtype == weights(grid[0.3, 0].model).dtype == dtype


def test_divergence_names_the_model_the_step_and_the_term():
    sudden = {"steps": 5, "learning_rate": 1e30}
    with pytest.raises(FloatingPointError, match=r"β = 0\.3 stopped being finite at step 1 of 5: factor holds NaN"):
        training.fit(make(0), X, beta=0.3, **sudden)
    with pytest.raises(
        FloatingPointError, match=r"β = 0\.3, seed 7 stopped .* step 1 of 5: factor holds NaN .* below 1e"
    ):
        training.fit_grid(make, X, betas=[0.3], seeds=[7], **sudden)


def test_divergence_of_one_model_in_a_grid_is_found_in_it():
    def build(seed):
        model = make(seed)
        if seed == 1:
            with torch.no_grad():
                model.decoder[-1].bias.fill_(math.inf)
        return model

    with pytest.raises(FloatingPointError, match=r"β = 0\.3, seed 1 stopped being finite at step 0 of 12: g holds NaN"):
        training.fit_grid(build, X, betas=[0.3], seeds=[0, 1], **SHORT)


def test_an_overflow_is_found_in_its_term():
    model = make(0)
    with torch.no_grad():
        model.decoder[-1].bias.fill_(1e200)
    with pytest.raises(FloatingPointError, match="step 0 of 12: log_prob holds NaN or infinity"):
        training.fit(model, X, beta=0.3, **SHORT)


def test_the_bar_is_silent_where_nobody_watches(capfd):
    training.fit(make(0), X, beta=0.3, **SHORT)
    assert capfd.readouterr() == ("", "")


def test_bad_input_is_refused():
    def grid(model, x, beta, **options):
        return training.fit_grid(lambda seed: model, x, betas=[beta], seeds=[0], **options)

    def single(model, x, beta, **options):
        return training.fit(model, x, beta=beta, **options)

    for train in (single, grid):
        model = make(0)
        before = weights(model)
        with refused("'beta-vae'", "Did you mean 'beta_vae'?"):
            train(model, X, 1.0, objective="beta-vae")
        with refused("beta", "above 0"):
            train(model, X, 0.0)
        with refused("x", "NaN"):
            train(model, X * math.nan, 1.0)
        with refused("(examples, n)", "(10,)"):
            train(model, X[0], 1.0)
        with refused("at least one example", "(0, 10)"):
            train(model, X[:0], 1.0)
        with refused("dtype", "torch.float64", "torch.float32"):
            train(model, X.float(), 1.0)
        for name in ("steps", "batch_size"):
            with refused(name, "whole number"):
                train(model, X, 1.0, **{name: 0})
        with refused("learning_rate", "above 0"):
            train(model, X, 1.0, learning_rate=0.0)
        assert torch.equal(weights(model), before)
    for betas, seeds in (([], [0]), ([0.1], []), ([0.1, 0.1], [0])):
        with refused("different betas"):
            training.fit_grid(make, X, betas=betas, seeds=seeds)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cpu_and_gpu_agree():
    alone, there = (training.fit(make(0), X, beta=0.3, device=device, **SHORT) for device in ("cpu", "cuda"))
    torch.testing.assert_close(there.losses, alone.losses)
    torch.testing.assert_close(weights(there.model), weights(alone.model))
    assert there.model.decoder[0].weight.device == X.device
