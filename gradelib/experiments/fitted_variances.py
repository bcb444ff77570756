"""fitted-variances: how much of what GRAE≈ pays belongs to the formula's variances, to the encoder, to the decoder?

A model that was trained with GRAE≈ has no variances of its own, and the formula's are best for the second-order loss
alone. So each model is judged at its own codes with the formula's variances, with variances that are fitted to the
β-VAE loss itself for each held-out picture, and, where they were trained, with the encoder's own. Once more it is
judged with codes that are fitted as well: then the decoder alone is left to differ. The β-VAE and GRAE≈ are trained
from one start on the same batches. Controls: shorter and longer trainings, Adam in the place of Muon, and tanh. Beside
MNIST stand the small digits, and 64×64 patches with convolutional networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from gradelib import evaluation, geometry, posteriors
from gradelib.datasets import Dataset
from gradelib.evaluation import standard_error
from gradelib.experiments import digits_long, images_64, models
from gradelib.experiments.experiment import Experiment, Job, Outcome, Row
from gradelib.experiments.mnist_objectives import ADAM_RATE, BETAS, BOTH, STEPS
from gradelib.experiments.mnist_objectives import CORE as ON_MNIST
from gradelib.experiments.models import Numbers
from gradelib.likelihoods import Gaussian
from gradelib.networks import VAE
from gradelib.posteriors import Posterior

JUDGED = ("formula", "fitted", "codes")
SEEDS = range(3)
_OTHER_NOISE = 1_000_000
ON: dict[str, Job] = {
    "mnist": {**ON_MNIST, "data": "mnist"},
    "digits": {name: value for name, value in digits_long.CORE.items() if name != "pixels"},
    "patches": {**{name: value for name, value in images_64.CORE.items() if name != "kinds"}, "data": "patches"},
}


def _jobs() -> Iterator[Job]:
    large = (0.4, 0.8)
    yield from _grid("mnist", BETAS)
    yield from _grid("digits", BETAS)
    yield from _grid("digits", BETAS, control="length", steps=digits_long.LENGTHS[0])
    yield from _grid("patches", (0.4, 1.6))
    yield from _grid("mnist", large, control="optimiser", optimiser="adam", learning_rate=ADAM_RATE)
    yield from _grid("mnist", (0.8,), control="activation", activation="tanh")
    yield from _grid("mnist", large, control="length", steps=STEPS // 4)
    yield from _grid("mnist", large, seeds=SEEDS[:2], control="length", steps=2 * STEPS)


def _grid(data: str, betas: Sequence[float], seeds: Sequence[int] = SEEDS, **changes: Any) -> Iterator[Job]:
    for seed in seeds:
        for beta in betas:
            yield {**ON[data], "control": "core", "beta": beta, "seed": seed, **changes}


def _key(job: Job) -> str:
    core = ON[job["data"]]
    parts = [job["control"], job["data"], f"beta {job['beta']:g}", f"seed {job['seed']}"]
    changed = ("activation", "steps", "optimiser")
    return ", ".join(parts + [f"{name} {job[name]}" for name in changed if job[name] != core[name]])


def trainings(job: Job) -> dict[str, Job]:
    """The jobs of the two models of a job, by objective."""
    return {objective: {**job, "objective": objective} for objective in BOTH}


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train both models of a job and judge each with all its variances, on the first held-out pictures."""
    trained, numbers = models.train_each(trainings(job), data, device)
    x = data.test[: settings["held_out"][job["data"]]]
    for objective, model in trained.items():
        numbers |= {f"{name}_{objective}": value for name, value in judge(model, x, job["beta"], settings).items()}
    del numbers["own_grae_column"]  # nobody trained them
    return numbers, {}


def judge(model: VAE, x: Tensor, beta: float, settings: Mapping[str, Any]) -> Numbers:
    """What the rows of x (examples, n) cost a model, in nats without ½n log 2π.

    `formula`, `fitted` and `own` are the β-VAE loss with these variances, and `codes` that with fitted variances and
    codes. `log_ratio` is the mean of log s over the latents, for the fitted variances less that for the formula's.
    """
    chunks = x.split(settings["chunk"])
    parts = [_judge_chunk(model, rows, beta, settings, seed) for seed, rows in enumerate(chunks)]
    shares = [len(rows) / len(x) for rows in chunks]
    return {name: sum(share * part[name] for share, part in zip(shares, parts, strict=True)) for name in parts[0]}


def _judge_chunk(model: VAE, x: Tensor, beta: float, settings: Mapping[str, Any], seed: int) -> dict[str, float]:
    """The same for some of the rows. All q are judged with one noise, and fitted with others.

    The draws are taken as they are: a control variate from the slope at h, as `evaluation.gap` has it, would add
    scatter where the formula is far from the best q.
    """
    how = {"beta": beta, "steps": settings["fit_steps"], "samples": settings["fit_samples"]}
    fitted = evaluation.fitted_posterior(model, x, **how, seed=_OTHER_NOISE + seed)
    moved = evaluation.fitted_posterior(model, x, **how, seed=2 * _OTHER_NOISE + seed, q=fitted, codes=True)
    with torch.no_grad():
        own = model.posterior(x)
        g, J = geometry.linearise(model.decoder, own.mean)
        hessian = geometry.gauss_newton(J, Gaussian().curvature(x, g))
        best = posteriors.optimal_covariance(hessian, beta, "diagonal").diagonal(dim1=-2, dim2=-1)
    choices = {"formula": Posterior(own.mean, best.sqrt()), "fitted": fitted, "codes": moved, "own": own}
    constant = x.shape[-1] / 2 * math.log(2 * math.pi)
    losses = {
        name: evaluation.beta_vae_loss(model, x, beta=beta, q=q, samples=settings["samples"], seed=seed)[0] - constant
        for name, q in choices.items()
    }
    return losses | {"log_ratio": float((fitted.variances / best).log().mean())}


def evaluate(rows: Sequence[Row]) -> list[Row]:
    """For each data, network, optimiser, β and length: the losses of both models, and how far apart they are.

    `difference_formula`, `difference_fitted` and `difference_codes` are GRAE≈'s loss less the β-VAE's, both judged this
    way, seed by seed, and `amortisation_gap` what the β-VAE's own q costs more than the best one for each picture. All
    are means over the seeds, with standard errors.
    """
    groups: dict[tuple[Any, ...], list[Numbers]] = {}
    for row in rows:
        if row["state"] == "done":
            groups.setdefault(tuple(row["job"][name] for name in _WHICH), []).append(row["numbers"])
    table = []
    for which in sorted(groups):
        found = groups[which]
        line: Row = {**dict(zip(_WHICH, which, strict=True)), "seeds": len(found)}
        columns = {name: [numbers[name] for numbers in found] for name in found[0] if "seconds" not in name}
        for kind in JUDGED:
            pairs = zip(columns[f"{kind}_grae_column"], columns[f"{kind}_beta_vae"], strict=True)
            columns[f"difference_{kind}"] = [grae - vae for grae, vae in pairs]
        columns["amortisation_gap"] = [numbers["own_beta_vae"] - numbers["codes_beta_vae"] for numbers in found]
        for name, values in columns.items():
            line |= {name: fmean(values), f"{name}_error": standard_error(values)}
        table.append(line)
    return table


_WHICH = ("data", "activation", "optimiser", "beta", "steps")
_TINY = {**ON["digits"], "control": "core", "beta": 0.4, "hidden": [8], "latents": 3, "steps": 12, "batch_size": 16}

EXPERIMENT = Experiment(
    name="fitted-variances",
    question="How much of what GRAE≈ pays belongs to the formula's variances, to the encoder, to the decoder?",
    data="mnist",
    settings={
        "held_out": {"mnist": 1000, "digits": 297, "patches": 50},
        "chunk": 50,
        "samples": 64,
        "fit_steps": 200,
        "fit_samples": 8,
    },
    jobs={_key(job): job for job in _jobs()},
    run=run,
    trainings=lambda job: list(trainings(job).values()),
    evaluate=evaluate,
    number="fitted_grae_column",
    tiny_jobs={_key(_TINY): _TINY},
    tiny_settings={"held_out": {"digits": 40}, "chunk": 25, "samples": 4, "fit_steps": 6, "fit_samples": 2},
)
