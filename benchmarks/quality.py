"""What a step is worth: the noise of its gradient, and the time until it reaches the β-VAE's own end."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import timing
from gradelib import datasets, evaluation, networks, training
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
# Less noise allows smaller batches. Whether that is the objective's merit, the β-VAE with as small ones tells.
RUNS: dict[str, tuple[str, dict[str, float]]] = {
    "GRAE≈, one column": ("grae_column", {}),
    "GRAE≈, a quarter": ("grae_column", {"fraction": 0.25}),
    "GRAE≈, a quarter of half the batch": ("grae_column", {"fraction": 0.25, "batch_size": 64}),
    "β-VAE, half the batch": ("beta_vae", {"batch_size": 64}),
}
LEARNING_RATE = 6e-3  # of 3e-3, 6e-3 and 1e-2 the best for the β-VAE and for GRAE≈; at 1e-2 the β-VAE may collapse
SEEDS = (0, 1, 2)
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


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
    """Time until another run reaches the held-out loss where the β-VAE's run ends, as a share of that run.

    Runs of several lengths, each with its own decay of the learning rate, are held to the target; the shortest one that
    reaches it, on average over the seeds, counts, times what a step of all models costs against the β-VAE's.
    """
    data = datasets.load("digits", torch.float32)
    steps = 100 * rounds
    goal = _held_out(data, "beta_vae", steps)
    table: dict[str, dict[str, float | None]] = {f"β = {beta}": {} for beta in BETAS}
    for name, (objective, options) in RUNS.items():
        cost = _relative_cost(data.train, objective, options, rounds)
        reached: dict[float, float] = {}
        for share in SHARES:
            found = _held_out(data, objective, round(share * steps), **options)
            for beta in BETAS:
                if beta not in reached and found[beta] <= goal[beta]:
                    reached[beta] = share * cost
        for beta in BETAS:
            table[f"β = {beta}"][name] = reached.get(beta)
    return table


def _held_out(data: datasets.Dataset, objective: str, steps: int, **options: float) -> dict[float, float]:
    """The held-out β-VAE loss at the end of a run, the mean over the seeds, at each β."""
    fits = training.fit_grid(
        _single,
        data.train,
        betas=BETAS,
        seeds=SEEDS,
        steps=steps,
        objective=objective,
        learning_rate=LEARNING_RATE,
        **options,
    )
    judge = _own_loss if objective == "beta_vae" else _best_loss
    losses = {key: judge(fit.model, data.test, key[0]) for key, fit in fits.items()}
    return {beta: statistics.mean(losses[beta, seed] for seed in SEEDS) for beta in BETAS}


def _make(seed: int) -> VAE:
    return _single(seed).double()


def _single(seed: int) -> VAE:
    return networks.mlp_vae(64, 8, seed=seed)


def _own_loss(model: VAE, x: Tensor, beta: float) -> float:
    """The β-VAE loss of a model with the Σ that it has learned."""
    return evaluation.beta_vae_loss(model, x, beta=beta, samples=256)[0]


def _best_loss(model: VAE, x: Tensor, beta: float) -> float:
    """The β-VAE loss of a model that has no Σ of its own, with the best diagonal one."""
    return evaluation.gap(model, x, beta=beta, samples=256).sampled


def _relative_cost(x: Tensor, objective: str, options: dict[str, float], rounds: int) -> float:
    """What a step of all models together costs, in β-VAE steps of as many."""

    def run(objective: str, **options: float) -> Callable[[], object]:
        return lambda: training.fit_grid(
            _single, x, betas=BETAS, seeds=SEEDS, steps=2 * rounds, objective=objective, **options
        )

    return timing.ratios({"β-VAE": run("beta_vae"), "other": run(objective, **options)}, rounds=5)["other"].median


def _noise(model: VAE, x: Tensor, beta: float, objective: str, options: dict[str, float], draws: int) -> float:
    generator, loss = torch.Generator().manual_seed(0), training.OBJECTIVES[objective]
    gradients = []
    for _ in range(draws):
        rows = x[torch.randperm(len(x), generator=generator)]  # the same batch, in another order
        drawn = torch.randn(len(x), model.d, generator=generator, dtype=x.dtype)
        value = loss(model, rows, drawn, beta, likelihood=Gaussian(), check_values=True, **options)
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))]))
    return float(torch.stack(gradients).var(0).sum())
