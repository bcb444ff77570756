"""Optimisers: Muon and SOAP against their definitions, and what `fit` and `fit_grid` make of a name or a factory."""

import math

import pytest
import torch
from random_cases import normal, refused

from gradelib import networks, optimisers, training
from gradelib.optimisers import SOAP, Muon, orthogonalise

X = torch.sigmoid(normal(40, 10))
SHORT = {"steps": 12, "batch_size": 8, "learning_rate": 1e-2}
MUON = {"optimiser": "muon", "learning_rate": 0.02}


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


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6), (1, 4), (4, 1), (3, 20)])
def test_both_forms_are_newton_schulz(shape):
    matrix = normal(*shape)
    torch.testing.assert_close(orthogonalise(matrix), plain(matrix))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.max() < 1.25
    batch = torch.stack([matrix, 2 * matrix + 1])
    torch.testing.assert_close(orthogonalise(batch)[1], plain(batch[1]))
    torch.testing.assert_close(orthogonalise(batch[None]), orthogonalise(batch)[None])
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


def moved(start, gradients, make):
    """Where a parameter ends that sees these gradients."""
    parameter = torch.nn.Parameter(start.clone())
    optimiser = make([parameter])
    for gradient in gradients:
        parameter.grad = gradient
        optimiser.step()
    return parameter.detach()


def soap(parameters):
    return SOAP(parameters, 0.1, every=2)


def orthogonal(size, seed):
    return torch.linalg.qr(normal(size, size, seed=seed)).Q


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (4, 4)])
def test_soap_turns_with_the_axes_of_its_gradients(shape):
    """Which is what Adam does not do."""
    U, V = orthogonal(shape[0], 1), orthogonal(shape[1], 2)
    start, gradients = normal(*shape), [normal(*shape, seed=k) for k in range(3, 11)]
    plain, turned = (
        moved(A, G, soap) for A, G in ((start, gradients), (U @ start @ V, [U @ g @ V for g in gradients]))
    )
    torch.testing.assert_close(turned, U @ plain @ V, atol=1e-4, rtol=0)


def test_soap_is_adam_for_what_is_no_matrix():
    start, gradients = normal(4), [normal(4, seed=k) for k in range(1, 10)]
    adam = moved(start, gradients, lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.95, 0.95)))
    torch.testing.assert_close(moved(start, gradients, soap), adam)


def test_soap_is_adam_in_the_bases_of_its_averages():
    """The definition, step by step, with the basis of the first gradient until `every` is over."""
    shape = (4, 3)
    start, gradients = normal(*shape), [normal(*shape, seed=k) for k in range(3, 11)]
    first = gradients[0]
    U, V = (torch.linalg.eigh(gram).eigenvectors for gram in (first @ first.mT, first.mT @ first))
    adam = moved(
        U.mT @ start @ V, [U.mT @ g @ V for g in gradients[1:]], lambda p: torch.optim.Adam(p, 0.1, betas=(0.95, 0.95))
    )
    found = moved(start, gradients, lambda p: SOAP(p, 0.1, every=100))
    torch.testing.assert_close(found, U @ adam @ V.mT, atol=1e-3, rtol=0)


def test_the_bases_of_soap_come_to_be_those_of_the_gradients():
    """Orthogonal iteration finds the eigenvectors of a Gram matrix that no longer changes."""
    parameter = torch.nn.Parameter(torch.zeros(4, 3).double())
    optimiser = soap([parameter])
    U, V, spread = orthogonal(4, 1), orthogonal(3, 2), torch.tensor([9.0, 3.0, 1.0]).double()
    for seed in range(400):
        parameter.grad = U[:, :3] @ (normal(3, 3, seed=seed) * spread * spread[:, None]) @ V.mT
        optimiser.step()
    state = optimiser.state[parameter]
    assert (state["Q_left"][:, :3].mT @ U[:, :3]).abs().diagonal().min() > 0.95
    assert (state["Q_right"].mT @ V).abs().diagonal().min() > 0.95


@pytest.mark.parametrize("optimiser", ["muon", "soap", "adam", torch.optim.RMSprop])
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
        training.fit(make(0), X, beta=0.3, optimiser="adam", checkpoint=path, **SHORT)


def test_the_default_is_muon():
    """What the recorded comparison of optimisers says at a plateau, on digits and on MNIST."""
    by_default, by_name = (training.fit(make(0), X, beta=0.3, steps=12, **more) for more in ({}, MUON))
    assert torch.equal(weights(by_default.model), weights(by_name.model))
    grid = training.fit_grid(make, X, betas=[0.3], seeds=[0], steps=12)[0.3, 0]
    assert torch.allclose(weights(grid.model), weights(by_name.model))


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
