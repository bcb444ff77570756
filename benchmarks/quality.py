"""What a step is worth: the noise of its gradient, and the time until it reaches the β-VAE's own end."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.steps import stepper
from gradelib import _input, datasets, evaluation, networks, training
from gradelib.likelihoods import Gaussian
from gradelib.networks import VAE

BETAS = (0.02, 0.06, 0.1, 0.4, 0.6, 0.8)
ESTIMATORS: dict[str, tuple[str, dict[str, float]]] = {
    "β-VAE": ("beta_vae", {}),
    "GRAE≈, one column": ("grae_column", {}),
    "GRAE≈, two columns": ("grae_column", {"columns": 2}),
    "GRAE≈, a quarter": ("grae_column", {"fraction": 0.25}),
    "GRAE≈, an eighth": ("grae_column", {"fraction": 0.125}),
}
LEARNING_RATE = 6e-3  # of 3e-3, 6e-3 and 1e-2 the best for the β-VAE and for GRAE≈; at 1e-2 the β-VAE may collapse
SHARES = (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


def noise(rounds: int) -> dict[str, dict[str, float]]:
    """The trace of the gradient's covariance over its own random numbers, for one batch, at the β-VAE's solution."""
    x = datasets.load("digits", torch.float64).train
    models = training.fit_grid(_make, x, betas=BETAS, seeds=[0], steps=40 * rounds, learning_rate=LEARNING_RATE)
    return {
        f"β = {beta}": {
            name: _noise(fit.model, x[:128], beta, *estimator, draws=4 * rounds)
            for name, estimator in ESTIMATORS.items()
        }
        for (beta, _), fit in models.items()
    }


def target(rounds: int) -> dict[str, dict[str, float | None]]:
    """Time until GRAE≈ reaches the held-out loss where the β-VAE's run ends, as a share of that run.

    GRAE≈ runs of several lengths, each with its own decay of the learning rate, are held to the target; the shortest
    one that reaches it counts, times what one of its steps costs against the β-VAE's.
    """
    data = datasets.load("digits", torch.float64)
    steps, settings = 100 * rounds, {"betas": BETAS, "seeds": [0], "learning_rate": LEARNING_RATE}
    goal = {
        beta: evaluation.beta_vae_loss(fit.model, data.test, beta=beta, samples=256)[0]
        for (beta, _), fit in training.fit_grid(_make, data.train, steps=steps, **settings).items()
    }
    table: dict[str, dict[str, float | None]] = {f"β = {beta}": {} for beta in BETAS}
    for name in ("GRAE≈, one column", "GRAE≈, a quarter"):
        objective, options = ESTIMATORS[name]
        price = _price(data.train[:128], objective, options, rounds)
        reached: dict[float, float] = {}
        for share in SHARES:
            run = {"steps": round(share * steps), "objective": objective, **options}
            for (beta, _), fit in training.fit_grid(_make, data.train, **run, **settings).items():
                if beta not in reached and _best_loss(fit.model, data.test, beta) <= goal[beta]:
                    reached[beta] = share * price
        for beta in BETAS:
            table[f"β = {beta}"][name] = reached.get(beta)
    return table


def _make(seed: int) -> VAE:
    return networks.mlp_vae(64, 8, seed=seed).double()


def _best_loss(model: VAE, x: Tensor, beta: float) -> float:
    """The β-VAE loss of a model that has no Σ of its own, with the best diagonal one."""
    return evaluation.gap(model, x, beta=beta, samples=256).sampled


def _price(x: Tensor, objective: str, options: dict[str, float], rounds: int) -> float:
    candidates = {"β-VAE": stepper(_make(0), x, "beta_vae"), "other": stepper(_make(0), x, objective, **options)}
    return timing.ratios(candidates, rounds=2 * rounds, repeats=10)["other"].median


def _noise(model: VAE, x: Tensor, beta: float, objective: str, options: dict[str, float], draws: int) -> float:
    generator, loss = torch.Generator().manual_seed(0), training.OBJECTIVES[objective]
    gradients = []
    for _ in range(draws):
        rows = x[torch.randperm(len(x), generator=generator)]  # the same batch, in another order
        drawn = torch.randn(len(x), model.d, generator=generator, dtype=x.dtype)
        with _input.trusted():
            value = loss(model, rows, drawn, beta, likelihood=Gaussian(), **options)
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))]))
    return float(torch.stack(gradients).var(0).sum())
