"""Training: the loop against plain Adam, the grid against single fits, seeds, failures."""

import math
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from random_cases import FAMILIES, normal, refused
from torch.utils._python_dispatch import TorchDispatchMode

from gradelib import geometry, networks, posteriors, training
from gradelib.likelihoods import Bernoulli, Gaussian

X = torch.sigmoid(normal(40, 10))
SHORT = {"steps": 12, "batch_size": 8, "learning_rate": 1e-2}


def make(seed, family="diagonal", block=None, d=6):
    return networks.mlp_vae(10, d, hidden=[7], family=family, block=block, seed=seed).double()


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def test_fit_with_adam_is_adam_on_the_beta_vae_loss():
    """The same run written out by hand, with torch.distributions and plain Adam."""
    found = training.fit(make(0), X, beta=0.3, seed=4, likelihood=Gaussian(0.5), optimiser="adam", **SHORT)
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


def test_a_grid_with_other_noise_is_its_single_fits_with_other_noise():
    noises = {0: 10, 3: 13}
    grid = training.fit_grid(make, X, betas=[0.1], seeds=list(noises), noise_seeds=list(noises.values()), **SHORT)
    for (beta, seed), fit in grid.items():
        alone = training.fit(make(seed), X, beta=beta, seed=seed, noise_seed=noises[seed], **SHORT)
        torch.testing.assert_close(fit.losses, alone.losses)
    with refused("Each seed needs a noise seed", "2 and 1"):
        training.fit_grid(make, X, betas=[0.1], seeds=[0, 3], noise_seeds=[10], **SHORT)


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


class HostReads(TorchDispatchMode):
    """Notes each operation for which the host would wait for a GPU, or send it something."""

    waiting = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "equal", "unique", "_to_copy")

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        if name in self.waiting:
            self.names.append(name)
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("optimiser", ["adam", "muon"])
@pytest.mark.parametrize("objective", list(training.OBJECTIVES))
def test_no_step_waits_for_the_host(objective, optimiser, grid, monkeypatch):
    """Between two looks at the losses there is not one operation that reads a value or sends one."""
    found, steps = [], []

    class Watched(list):
        def __iter__(self):
            watch.names.clear()
            for batch in super().__iter__():
                steps.append(batch)
                yield batch
            found.extend(watch.names)

    on_device = training._on_device
    monkeypatch.setattr(training, "_on_device", lambda *arguments: Watched(on_device(*arguments)))
    monkeypatch.setattr(training, "LOOK", 4)
    with HostReads() as watch:
        options = {"objective": objective, "optimiser": optimiser, "steps": 4, "batch_size": 8, "learning_rate": 1e-3}
        family = {"family": "full"} if objective in ("beta_vae", "taylor") else {}
        posteriors.from_encoder(torch.zeros(1, 27).double(), 6, "full")  # looks up its indices once
        if grid:
            training.fit_grid(lambda seed: make(seed, **family), X, betas=[0.3, 1.0], seeds=[0], **options)
        else:
            training.fit(make(0, **family), X, beta=0.3, **options)
    assert len(steps) == 4
    assert found == []


def test_other_noise_goes_to_the_same_batches(monkeypatch):
    seen = []
    loss = training._beta_vae

    def watched(model, x, noise, beta, **options):
        seen.append((x, noise))
        return loss(model, x, noise, beta, **options)

    monkeypatch.setitem(training.OBJECTIVES, "beta_vae", watched)
    for noise_seed in (None, 5, 5, 6):
        training.fit(make(0), X, beta=0.3, noise_seed=noise_seed, **SHORT)
    own, five, again, six = (seen[12 * k : 12 * k + 12] for k in range(4))
    for (x, noise), (x5, noise5), (_, noise5_again), (x6, noise6) in zip(own, five, again, six, strict=True):
        assert torch.equal(x, x5)
        assert torch.equal(x, x6)
        assert torch.equal(noise5, noise5_again)
        assert not torch.equal(noise, noise5)
        assert not torch.equal(noise5, noise6)


def test_the_device_is_the_cpu_or_what_the_environment_names(monkeypatch):
    monkeypatch.delenv("GRADELIB_DEVICE", raising=False)
    assert training.place_of("auto") == torch.device("cpu")
    monkeypatch.setenv("GRADELIB_DEVICE", "cuda:0")
    if torch.cuda.is_available():
        assert training.place_of("auto") == torch.device("cuda:0")
    else:
        with refused("torch finds no GPU"):
            training.place_of("auto")
    assert training.place_of("cpu") == torch.device("cpu")
    monkeypatch.setenv("GRADELIB_DEVICE", "gpu")
    with refused("no device called 'gpu'"):
        training.fit(make(0), X, beta=0.3, **SHORT)


def value_by_hand(model, x, beta, objective):
    """The deterministic losses from reverse-mode Jacobians and torch's own determinants."""
    h = model.encoder(x)[:, : model.d]
    J = torch.stack([torch.autograd.functional.jacobian(lambda z: model.decoder[:](z), row) for row in h])
    metric, log_prob = J.mT @ J, torch.distributions.Normal(model.decoder(h), 1.0).log_prob(x).sum(-1)
    eye = torch.eye(model.d, dtype=x.dtype)
    if objective == "taylor":
        q = model.posterior(x)
        prior = torch.distributions.MultivariateNormal(torch.zeros_like(h), eye)
        kl = torch.distributions.kl_divergence(torch.distributions.MultivariateNormal(h, q.covariance), prior)
        return (beta * kl - log_prob + 0.5 * (metric * q.covariance).sum((-2, -1))).mean()
    logs = (
        torch.logdet(eye + metric / beta)
        if objective == "grae"
        else torch.log1p(torch.einsum("bki->bi", J**2) / beta).sum(-1)
    )
    return (0.5 * beta * (h.square().sum(-1) + logs) - log_prob).mean()


@pytest.mark.parametrize("objective", ["taylor", "grae", "grae_bound"])
@pytest.mark.parametrize(("family", "block"), [("full", None), ("diagonal", None)])
def test_deterministic_objectives_are_their_formulas(objective, family, block):
    model = make(0, family, block, d=3)
    loss = training.OBJECTIVES[objective](model, X, normal(40, 3), 0.3, likelihood=Gaussian())
    torch.testing.assert_close(loss, value_by_hand(model, X, 0.3, objective))


@pytest.mark.parametrize("likelihood", [Gaussian(0.5), Bernoulli()], ids=repr)
def test_random_columns_and_parts_average_to_the_bound_with_the_variance_of_independent_draws(likelihood):
    """Mean and spread of 200 draws against their closed forms; with all columns and the whole batch, to rounding."""
    model, order = make(0, d=3), torch.Generator().manual_seed(1)
    column, bound = training.OBJECTIVES["grae_column"], training.OBJECTIVES["grae_bound"]

    def draw(seed, **options):
        x = X[torch.randperm(40, generator=order)]
        return column(model, x, normal(40, 3, seed=seed), 0.3, likelihood=likelihood, **options)

    with torch.no_grad():
        expected = bound(model, X, normal(40, 3), 0.3, likelihood=likelihood)
        g, J = geometry.linearise(model.decoder, model.posterior(X).mean)
        entries = torch.einsum("bki,bk->bi", J**2, likelihood.curvature(X, g))
        terms = 3 * 0.15 * torch.log1p(-entries / 0.3)  # of each example and column, d and ½β in them
        within = terms.var(-1, correction=0).mean() / 40
        spreads = {
            (1, 1.0): within,
            (2, 1.0): within * (3 - 2) / (2 * (3 - 1)),
            (1, 0.3): terms.flatten().var(correction=0) / 12,  # a little less: rows are drawn without replacement
        }
        for (columns, fraction), variance in spreads.items():
            draws = torch.stack([draw(seed, columns=columns, fraction=fraction) for seed in range(200)])
            assert (draws.mean() - expected).abs() < 4 * draws.std() / 200**0.5
            assert 0.8 < draws.std() / variance.sqrt() < 1.2
        torch.testing.assert_close(draw(0, columns=3), expected)


def test_the_relatives_are_their_formulas():
    """Squared error, what half of the codes' price adds, and RAE, whose columns average to the Frobenius norm."""
    model, beta = make(0, d=3), 0.3
    h = model.posterior(X).mean
    error = 0.5 * (X - model.decoder(h)).square().sum(-1).mean() + X.shape[-1] / 2 * math.log(2 * math.pi)
    plain, rae = training.OBJECTIVES["autoencoder"], training.OBJECTIVES["rae"]
    code = 0.5 * beta * h.square().sum(-1).mean()
    torch.testing.assert_close(plain(model, X, None, beta, likelihood=Gaussian()), error)
    torch.testing.assert_close(plain(model, X, None, beta, likelihood=Gaussian(), codes=0.5), error + code / 2)
    lengths = geometry.jacobian(model.decoder, h).square().sum(-2)
    noise = normal(40, 3)
    drawn = lengths.gather(-1, noise.argmax(-1, keepdim=True)).mean()
    torch.testing.assert_close(rae(model, X, noise, beta, likelihood=Gaussian()), error + code + 1.5 * drawn)
    with refused("codes", "from 0 to 1"):
        training.fit(model, X, beta=beta, objective="autoencoder", codes=2.0)


@pytest.mark.parametrize("objective", ["taylor", "grae", "grae_bound", "grae_column", "rae"])
def test_the_regulariser_trains_the_decoder(objective):
    """Its gradient in the decoder's weights, against finite differences: a detached Jacobian would not pass."""
    model, noise = make(0, d=3), normal(40, 3)
    weight = model.decoder[0].weight
    loss = lambda: training.OBJECTIVES[objective](model, X, noise, 2.0, likelihood=Gaussian())  # noqa: E731
    plain = -Gaussian().log_prob(X, model.decoder(model.posterior(X).mean)).mean()
    gradient, of_plain = (torch.autograd.grad(value, weight)[0] for value in (loss(), plain))
    assert (gradient - of_plain).norm() > 0.01 * of_plain.norm()
    step = 1e-5 * normal(*weight.shape, seed=3)
    with torch.no_grad():
        weight += step
        ahead = loss()
        weight -= 2 * step
        behind = loss()
    assert math.isclose((ahead - behind) / 2, (gradient * step).sum(), rel_tol=1e-5)


@pytest.mark.parametrize("objective", ["taylor", "grae", "grae_bound", "grae_column"])
def test_every_objective_trains_alike_alone_and_in_a_grid(objective):
    options = {"columns": 2, "fraction": 0.5} if objective == "grae_column" else {}
    settings = SHORT | {"objective": objective, "likelihood": Gaussian(0.5)} | options
    grid = training.fit_grid(make, X, betas=[0.1, 2.0], seeds=[0, 3], **settings)
    for (beta, seed), fit in grid.items():
        alone = training.fit(make(seed), X, beta=beta, seed=seed, **settings)
        torch.testing.assert_close(fit.losses, alone.losses)
        torch.testing.assert_close(weights(fit.model), weights(alone.model))
        assert fit.losses[-1] < fit.losses[0]


@pytest.mark.parametrize("objective", ["beta_vae", "grae", "grae_column"])
def test_convolutional_networks_train_alike_alone_and_in_a_grid(objective):
    def small(seed):
        return networks.conv_vae((28, 28), 3, width=2, seed=seed).double()

    x, settings = torch.sigmoid(normal(6, 784)), {"objective": objective, "steps": 2, "batch_size": 3}
    for (beta, seed), fit in training.fit_grid(small, x, betas=[0.1, 2.0], seeds=[0], **settings).items():
        alone = training.fit(small(seed), x, beta=beta, seed=seed, **settings)
        torch.testing.assert_close(fit.losses, alone.losses)
        torch.testing.assert_close(weights(fit.model), weights(alone.model))


def test_options_are_checked():
    column = {"objective": "grae_column"}
    with refused("'colums'", "Did you mean 'columns'?"):
        training.fit(make(0), X, beta=0.3, colums=2, **column)
    with refused("option of grae", "it has none"):
        training.fit(make(0), X, beta=0.3, objective="grae", columns=2)
    for bad in ({"columns": 0}, {"columns": 7}, {"columns": 1.0}):
        with refused("columns"):
            training.fit(make(0), X, beta=0.3, **bad, **column)
    for bad in ({"fraction": 0.0}, {"fraction": 1.5}):
        with refused("fraction"):
            training.fit(make(0), X, beta=0.3, **bad, **column)


LONG = {"steps": 30, "batch_size": 8, "learning_rate": 1e-2}


def cut_off(monkeypatch, at):
    """Kill the run at the start of step `at`."""
    draw, calls = training._draw, iter(range(1000))

    def batch(*arguments):
        if next(calls) == at:
            raise KeyboardInterrupt
        return draw(*arguments)

    monkeypatch.setattr(training, "_draw", batch)


def test_a_run_that_was_cut_off_goes_on_as_if_nothing_had_happened(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "LOOK", 10)
    whole = training.fit(make(0), X, beta=0.3, **LONG)
    path = tmp_path / "run.pt"
    for at in (17, 9):  # the second run begins at step 10 and is killed at step 19
        with monkeypatch.context() as patch:
            cut_off(patch, at)
            with pytest.raises(KeyboardInterrupt):
                training.fit(make(0), X, beta=0.3, checkpoint=path, **LONG)
    assert torch.load(path, weights_only=True)["step"] == 10
    resumed = training.fit(make(1), X, beta=0.3, checkpoint=path, **LONG)
    assert torch.equal(resumed.losses, whole.losses)
    assert torch.equal(weights(resumed.model), weights(whole.model))
    assert torch.load(path, weights_only=True)["step"] == 30
    with monkeypatch.context() as patch:
        cut_off(patch, 0)
        again = training.fit(make(1), X, beta=0.3, checkpoint=path, **LONG)
    assert torch.equal(weights(again.model), weights(whole.model))


def test_a_grid_that_was_cut_off_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "LOOK", 8)
    keys = {"betas": [0.1, 2.0], "seeds": [0, 3]}
    whole = training.fit_grid(make, X, **keys, **LONG)
    with monkeypatch.context() as patch:
        cut_off(patch, 47)
        with pytest.raises(KeyboardInterrupt):
            training.fit_grid(make, X, **keys, checkpoint=str(tmp_path / "grid.pt"), **LONG)
    resumed = training.fit_grid(make, X, **keys, checkpoint=str(tmp_path / "grid.pt"), **LONG)
    for key, fit in whole.items():
        assert torch.equal(resumed[key].losses, fit.losses)
        assert torch.equal(weights(resumed[key].model), weights(fit.model))
    assert torch.load(tmp_path / "grid.pt", weights_only=True)["step"] == 30  # the end, though no multiple of 8


def test_a_checkpoint_is_written_whole_or_not_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "LOOK", 10)
    path, write, calls = tmp_path / "run.pt", Path.write_bytes, iter(range(10))

    def torn(file, content):
        write(file, content[:100] if next(calls) == 1 else content)
        if file.stat().st_size == 100:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", torn)
        with pytest.raises(KeyboardInterrupt):
            training.fit(make(0), X, beta=0.3, checkpoint=path, **LONG)
    assert torch.load(path, weights_only=True)["step"] == 10
    resumed = training.fit(make(0), X, beta=0.3, checkpoint=path, **LONG)
    assert torch.equal(resumed.losses, training.fit(make(0), X, beta=0.3, **LONG).losses)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    training.fit(make(0), X, beta=0.3, checkpoint=path, **SHORT)
    for change in (
        {"beta": 0.4},
        {"seed": 1},
        {"objective": "grae"},
        {"likelihood": Gaussian(0.5)},
        {"steps": 13},
        {"learning_rate": 2e-2},
        {"batch_size": 9},
    ):
        with refused("run.pt", "another run"):
            training.fit(make(0), X, checkpoint=path, **({"beta": 0.3} | SHORT | change))
    with refused("another run"):
        training.fit(make(0), X * 1.01, beta=0.3, checkpoint=path, **SHORT)
    with refused("another run"):
        training.fit(make(0, d=5), X, beta=0.3, checkpoint=path, **SHORT)


def test_the_report_of_a_grid_looks_at_the_batch_of_the_model_that_diverged():
    """One row of x overflows; of two models that see different batches, only the second meets it in the first step."""
    x = X.clone()
    x[17] = 1e200

    def meets(seed):
        return 17 in torch.randint(40, (8,), generator=torch.Generator().manual_seed(seed))

    safe, unlucky = (next(seed for seed in range(99) if meets(seed) == wanted) for wanted in (False, True))
    with pytest.raises(
        FloatingPointError, match=rf"seed {unlucky} stopped being finite at step 0 .* (holds NaN|must be above 0)"
    ):
        training.fit_grid(
            lambda seed: networks.VAE(torch.nn.Linear(10, 4), torch.nn.Linear(2, 10), d=2).double(),
            x,
            betas=[0.3],
            seeds=[safe, unlucky],
            **SHORT,
        )


@pytest.mark.parametrize("asked", [True, False])
def test_in_a_notebook_the_bar_shows_where_the_notebook_can_ask_for_input(monkeypatch, asked):
    """A person's notebook can; one that a build or a test runs cannot."""
    kernel = types.SimpleNamespace(_allow_stdin=asked)
    shell = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel=kernel))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)  # the tests' own environment has it
    assert training._watched() == asked


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_broken_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.pt is no whole checkpoint"):
        training.fit(networks.mlp_vae(6, 2), torch.randn(20, 6), beta=0.1, steps=2, checkpoint=path)


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"run": "x"}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt is no whole checkpoint"):
        training.fit(networks.mlp_vae(6, 2), torch.randn(20, 6), beta=0.1, steps=2, checkpoint=tmp_path / "other.pt")


@pytest.mark.parametrize("objective", ["beta_vae", "grae_bound"])
@pytest.mark.parametrize("network", ["encoder", "decoder"])
@pytest.mark.parametrize(
    "layer",
    [lambda n: torch.nn.Softmax(0), torch.nn.BatchNorm1d, lambda n: torch.nn.Dropout()],
    ids=["mean", "BN", "drop"],
)
def test_a_network_that_mixes_examples_is_refused(objective: str, network: str, layer: Callable) -> None:
    model = networks.mlp_vae(6, 2)
    whole = getattr(model, network)
    setattr(model, network, torch.nn.Sequential(whole, layer(whole[-1].out_features)))
    with pytest.raises(ValueError, match=f"the {network} must treat each example on its own"):
        training.fit(model, torch.randn(20, 6), beta=0.1, steps=2, objective=objective)
    with pytest.raises(ValueError, match=f"the {network} must treat each example on its own"):
        training.fit_grid(lambda seed: model, torch.randn(20, 6), betas=[0.1], seeds=[0], steps=2, objective=objective)
