"""Optimisers: Muon against its definition, and what `fit` and `fit_grid` make of a name or a factory."""

import math

import pytest
import torch
from random_cases import normal, refused

from gradelib import networks, optimisers, training
from gradelib.optimisers import Muon, orthogonalise

X = torch.sigmoid(normal(40, 10))
SHORT = {"steps": 12, "batch_size": 8, "learning_rate": 1e-2}


def make(seed):
    return networks.mlp_vae(10, 4, hidden=[7], seed=seed).double()


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def plain(matrix, rounds=5):
    """Newton–Schulz as it is written in the source, on the matrix itself."""
    a, b, c = 3.4445, -4.7750, 2.0315
    X = matrix / (matrix.norm() + 1e-7)
    X = X.mT if matrix.shape[0] > matrix.shape[1] else X
    for _ in range(rounds):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X.mT if matrix.shape[0] > matrix.shape[1] else X


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6), (1, 4), (4, 1)])
def test_the_gram_form_is_newton_schulz(shape):
    matrix = normal(*shape)
    torch.testing.assert_close(orthogonalise(matrix), plain(matrix))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.max() < 1.25
    batch = torch.stack([matrix, 2 * matrix + 1])
    torch.testing.assert_close(orthogonalise(batch)[1], plain(batch[1]))
    assert torch.equal(orthogonalise(torch.zeros(shape)), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4, 3), (3, 4)])
def test_a_step_of_muon_is_orthogonal_momentum_and_adam_for_the_rest(shape):
    W, b = torch.nn.Parameter(normal(*shape)), torch.nn.Parameter(normal(6, seed=1))
    reference = torch.nn.Parameter(b.detach().clone())
    muon = Muon([W, b], 0.1, rest=0.5)
    adam = torch.optim.Adam([reference], lr=0.05)
    momentum, expected = torch.zeros(shape, dtype=torch.float64), W.detach().clone()
    for step in range(4):
        W.grad, b.grad = normal(*shape, seed=step), normal(6, seed=10 + step)
        reference.grad = b.grad.clone()
        momentum = 0.95 * momentum + 0.05 * W.grad
        expected -= 0.1 * max(1, shape[0] / shape[1]) ** 0.5 * plain(0.05 * W.grad + 0.95 * momentum)
        muon.step()
        adam.step()
        torch.testing.assert_close(W.detach(), expected)
        torch.testing.assert_close(b.detach(), reference.detach())


@pytest.mark.parametrize("optimiser", ["muon", "adam", torch.optim.RMSprop])
def test_a_grid_is_what_single_fits_are(optimiser):
    keys = {"betas": [0.1, 2.0], "seeds": [0, 3]}
    grid = training.fit_grid(make, X, **keys, optimiser=optimiser, **SHORT)
    for (beta, seed), fit in grid.items():
        alone = training.fit(make(seed), X, beta=beta, seed=seed, optimiser=optimiser, **SHORT)
        torch.testing.assert_close(fit.losses, alone.losses)
        torch.testing.assert_close(weights(fit.model), weights(alone.model))


def test_a_factory_gets_the_parameters_and_the_learning_rate():
    def factory(parameters, learning_rate):
        return torch.optim.Adam(parameters, lr=learning_rate, fused=True)

    by_name, by_factory = (training.fit(make(0), X, beta=0.3, optimiser=o, **SHORT) for o in ("adam", factory))
    assert torch.equal(by_factory.losses, by_name.losses)
    other = training.fit(make(0), X, beta=0.3, optimiser="muon", **SHORT)
    assert not torch.equal(other.losses[1:], by_name.losses[1:])


def test_a_cut_run_of_muon_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "LOOK", 5)
    whole = training.fit(make(0), X, beta=0.3, optimiser="muon", **SHORT)
    draw, calls = training._draw, iter(range(100))

    def cut(*arguments):
        if next(calls) == 7:
            raise KeyboardInterrupt
        return draw(*arguments)

    path = tmp_path / "run.pt"
    with monkeypatch.context() as patch:
        patch.setattr(training, "_draw", cut)
        with pytest.raises(KeyboardInterrupt):
            training.fit(make(0), X, beta=0.3, optimiser="muon", checkpoint=path, **SHORT)
    resumed = training.fit(make(1), X, beta=0.3, optimiser="muon", checkpoint=path, **SHORT)
    assert torch.equal(weights(resumed.model), weights(whole.model))
    with refused("another run"):
        training.fit(make(0), X, beta=0.3, checkpoint=path, **SHORT)


def test_what_is_no_optimiser_is_refused():
    with refused("no optimiser called 'muom'", "Did you mean 'muon'?"):
        training.fit(make(0), X, beta=0.3, optimiser="muom", **SHORT)
    with refused("must make a torch.optim.Optimizer", "made a list"):
        training.fit(make(0), X, beta=0.3, optimiser=lambda parameters, rate: [], **SHORT)
    for wrong in ({"learning_rate": 0.0}, {"rest": -1.0}, {"momentum": 1.0}):
        with refused(next(iter(wrong))):
            Muon([torch.nn.Parameter(X)], **wrong)
    with refused("learning_rate", "above 0"):
        optimisers.make("muon", [torch.nn.Parameter(X)], math.nan)
