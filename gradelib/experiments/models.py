"""What the experiments share: train a model as a job says, and judge it on held-out data by every objective."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradelib import geometry, networks, objectives, posteriors, training
from gradelib.datasets import Dataset
from gradelib.likelihoods import Gaussian
from gradelib.networks import VAE
from gradelib.posteriors import Posterior
from gradelib.training import Loss

ACTIVE = 0.01  # the variance of its mean code from which a latent counts as in use (Burda et al. 2016)
CHUNK = 1000  # held-out examples that are judged at a time

Job = Mapping[str, Any]
Numbers = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A trained model, the mean loss of its last tenth of the steps in nats, and what the training cost."""

    model: VAE
    train_loss: float
    cost: Numbers


def passes(objective: str, d: int, fraction: float = 1.0) -> float:
    """Passes through one network that a step takes, where a backward pass counts as two and a tangent as a value."""
    tangents = {"beta_vae": 0, "autoencoder": 0, "rae": 1, "grae_column": 1, "grae_bound": d, "grae": d}[objective]
    return 3 + 3 * (1 + fraction * tangents)


def train(job: Job, data: Dataset, device: str = "cpu", objective: Loss | None = None) -> Trained:
    """Train the model of a job on the training half of `data`, on `device`.

    A job says objective, family, block, activation, latents, beta, seed, noise_seed, steps, learning_rate, optimiser
    and batch_size, hidden of a perceptron or width of a convolutional network, and the options of its objective. Raises
    FloatingPointError where the loss stops being finite. A function as `objective` is trained in place of the one that
    the job names. Inside a block of `trained_together` this is the model that was trained there, still on its device.
    """
    if objective is None and (ready := _together.get(_text_of(job, _TRAINING))):
        return ready
    started, worked = time.perf_counter(), time.process_time()
    fit = training.fit(
        _untrained(job, data, job["seed"]),
        data.train,
        beta=job["beta"],
        seed=job["seed"],
        noise_seed=job["noise_seed"],
        **{**_options(job, device), "objective": objective or job["objective"]},
    )
    return _trained(fit, job, data, time.perf_counter() - started, time.process_time() - worked)


def train_each(jobs: Mapping[str, Job], data: Dataset, device: str) -> tuple[dict[str, VAE], Numbers]:
    """The trained models of several jobs, where the data are, and the seconds and CPU seconds of all together."""
    trained = {name: train(job, data, device) for name, job in jobs.items()}
    cost = {clock: sum(one.cost[clock] for one in trained.values()) for clock in ("seconds", "cpu_seconds")}
    return {name: one.model.to(data.train.device) for name, one in trained.items()}, cost


_NETWORK = ("family", "block", "activation", "hidden", "width", "latents")
_ALIKE = (*_NETWORK, "objective", "codes", "fraction", "steps", "optimiser", "learning_rate", "batch_size")
_TRAINING = ("beta", "seed", "noise_seed", *_ALIKE)  # what of a job makes its model
_together: dict[str, Trained] = {}  # the models of the innermost block of `trained_together`


def _text_of(job: Job, names: Sequence[str]) -> str:
    return json.dumps({name: job.get(name) for name in names})


def group_of(job: Job) -> str:
    """Jobs of one group differ in β and seed alone, as far as the training goes, and have one distance of noise."""
    return f"{_text_of(job, _ALIKE)} {_distance(job)}"


def _distance(job: Job) -> int | None:
    """How far the seed of the noise is from that of the batches; None where they are one."""
    return None if job["noise_seed"] is None else job["noise_seed"] - job["seed"]


@contextmanager
def trained_together(jobs: Sequence[Job], data: Dataset, device: str) -> Iterator[None]:
    """Inside the block `train` has the models of these jobs ready: each group took its steps as one batch of models.

    On a GPU that is many times faster than one after the other. A group in which a loss stopped being finite is not
    ready: `train` trains each of its models by itself.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(group_of(job), []).append(job)
    try:
        for group in groups.values():
            with suppress(FloatingPointError):
                _train_group(group, data, device)
        yield
    finally:
        _together.clear()


def _train_group(group: Sequence[Job], data: Dataset, device: str) -> None:
    place, first = training.place_of(device), group[0]
    betas, seeds = (list(dict.fromkeys(job[name] for job in group)) for name in ("beta", "seed"))
    distance = _distance(first)
    noise_seeds = None if distance is None else [seed + distance for seed in seeds]
    started, worked = time.perf_counter(), time.process_time()
    fits = training.fit_grid(
        lambda seed: _untrained(first, data, seed),
        data.train.to(place),
        betas=betas,
        seeds=seeds,
        noise_seeds=noise_seeds,
        **_options(first, device),
    )
    spent = [(now - then) / len(fits) for now, then in ((time.perf_counter(), started), (time.process_time(), worked))]
    for (beta, seed), fit in fits.items():
        job = {**first, "beta": beta, "seed": seed, "noise_seed": None if distance is None else seed + distance}
        _together[_text_of(job, _TRAINING)] = _trained(fit, job, data, *spent)


def _untrained(job: Job, data: Dataset, seed: int) -> VAE:
    how = {name: job[name] for name in ("activation", "family", "block")} | {"seed": seed}
    if job.get("width"):
        model = networks.conv_vae(data.image_shape, job["latents"], width=job["width"], **how)
    else:
        model = networks.mlp_vae(data.n, job["latents"], hidden=job["hidden"], **how)
    return model.to(data.train.dtype)


def _options(job: Job, device: str) -> dict[str, Any]:
    """What `fit` and `fit_grid` take alike."""
    names = ("objective", "steps", "learning_rate", "optimiser", "batch_size")
    return {name: job[name] for name in names} | {
        "device": device,
        **{name: job[name] for name in ("codes", "fraction") if name in job},
    }


def _trained(fit: training.Fit, job: Job, data: Dataset, seconds: float, cpu_seconds: float) -> Trained:
    last = fit.losses[-max(1, len(fit.losses) // 10) :]
    cost = {
        "passes": round(passes(job["objective"], job["latents"], job.get("fraction", 1.0)) * job["steps"]),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }
    return Trained(fit.model, float(last.mean()) - _normaliser(data.n), cost)


def _normaliser(n: int) -> float:
    """½n log 2π, the part of −log N(x; g, I) that no model changes; the experiments leave it out."""
    return 0.5 * n * math.log(2 * math.pi)


@torch.no_grad()
def judge(model: VAE, x: Tensor, job: Job, samples: int, chunk: int = CHUNK) -> tuple[Numbers, Tensor]:
    """What the held-out rows of x (examples, n) cost, in nats without ½n log 2π, and JᵀJ for each (examples, d, d).

    `error` is ½‖x − g(h)‖² and `code` ½β‖h‖². Every objective is there, whichever the model was trained by: `grae`,
    `grae_bound`, `grae_column` (one column drawn for each example), and the β-VAE loss with the Σ that is best for the
    model: `beta_vae_diagonal`, `beta_vae_full`, and `beta_vae_block` where the job has blocks. Where Σ was trained,
    `beta_vae` and `taylor` have the encoder's own. `…_error` is the standard error over the draws, `samples` for each
    example in pairs h ± Lε. `code_variances` are the eigenvalues of the covariance of the codes, `active` how many of
    them are above `ACTIVE`. The work is done where the model is, `chunk` examples at a time; JᵀJ comes back to where x
    is.
    """
    parts, metrics, codes = [], [], []
    place = next(model.parameters()).device
    for number, rows in enumerate(x.split(chunk)):
        values, metric, h = _judge_chunk(model, rows.to(place), job, samples, seed=number)
        parts.append((len(rows), values))
        metrics.append(metric.to(x.device))
        codes.append(h)
    variances = torch.linalg.eigvalsh(torch.cat(codes).mT.cov().double()).flip(0).tolist()
    numbers = {name: _average(name, parts) for name in parts[0][1]}
    return numbers | {
        "code_variances": variances,
        "active": sum(variance > ACTIVE for variance in variances),
    }, torch.cat(metrics)


def _average(name: str, parts: list[tuple[int, dict[str, float]]]) -> float:
    """The mean over all examples; for a standard error, that of the mean, as chunks have draws of their own."""
    total = sum(count for count, _ in parts)
    if name.endswith("_error"):
        return math.sqrt(sum((count * values[name]) ** 2 for count, values in parts)) / total
    return sum(count * values[name] for count, values in parts) / total


def _judge_chunk(model: VAE, x: Tensor, job: Job, samples: int, seed: int) -> tuple[dict[str, float], Tensor, Tensor]:
    beta, likelihood, constant = job["beta"], Gaussian(), _normaliser(x.shape[-1])
    own = model.posterior(x)
    h = own.mean
    g, J = geometry.linearise(model.decoder, h)
    log_prob = likelihood.log_prob(x, g) + constant
    hessian = geometry.gauss_newton(J, likelihood.curvature(x, g))
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples // 2, *h.shape, generator=generator, dtype=h.dtype).to(h.device)
    drawn = torch.randint(h.shape[-1], (len(h), 1), generator=generator).to(h.device)
    values = {
        "error": -log_prob.mean(),
        "code": 0.5 * beta * h.square().sum(-1).mean(),
        "grae": objectives.grae(log_prob, hessian, h, beta),
        "grae_bound": objectives.grae_bound(log_prob, diagonal, h, beta),
        "grae_column": objectives.grae_column(log_prob, diagonal.gather(-1, drawn), h, beta),
    }
    for name, q in _posteriors(own, hessian, job):
        expected, error = _expected_log_prob(model, x, q, log_prob, hessian, noise)
        values[name], values[f"{name}_error"] = objectives.beta_vae(expected, q.kl(), beta), error
    if "beta_vae" in values:
        values["taylor"] = objectives.taylor(log_prob, hessian, h, own.covariance, beta)
    return {name: float(value) for name, value in values.items()}, -hessian, h


def _posteriors(own: Posterior, hessian: Tensor, job: Job) -> Iterator[tuple[str, Posterior]]:
    """The encoder's own q where it was trained, and N(h, Σ) with the best Σ of each family."""
    if job["objective"] == "beta_vae":
        yield "beta_vae", own
    for family in ("diagonal", "full", "block") if job["block"] else ("diagonal", "full"):
        block = job["block"] if family == "block" else None
        best = posteriors.optimal_covariance(hessian, job["beta"], family, block)
        yield f"beta_vae_{family}", Posterior(own.mean, torch.linalg.cholesky(best))


def _expected_log_prob(
    model: VAE, x: Tensor, q: Posterior, log_prob: Tensor, hessian: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """E_q log p(x | z) without its constant, for each example, and the standard error of the mean over examples.

    `log_prob` is that of h. Of the draws u = z − h we average what log p is beyond log_prob + ½uᵀ(hessian)u, and add
    the exact mean of the latter, log_prob + ½ tr(hessian Σ). That moves no mean and takes most of the scatter away.
    """
    constant, draws = _normaliser(x.shape[-1]), []
    for ε in noise:
        u = q.sample(ε) - q.mean
        both = [Gaussian().log_prob(x, model.decoder(q.mean + side * u)) + constant for side in (1, -1)]
        quadratic = 0.5 * (u * (hessian @ u.unsqueeze(-1)).squeeze(-1)).sum(-1)
        draws.append((both[0] + both[1]) / 2 - log_prob - quadratic)
    beyond = torch.stack(draws)
    expected = log_prob + 0.5 * (hessian * q.covariance).sum((-2, -1)) + beyond.mean(0)
    return expected, beyond.mean(-1).std() / math.sqrt(len(beyond))


@torch.no_grad()
def expected_log_prob(model: VAE, x: Tensor, q: Posterior, samples: int, seed: int = 0) -> Tensor:
    """E_q log p(x | z) in nats without its constant, from `samples` draws: x (examples, n) → (examples).

    Equal seeds give equal noise, so that the difference of two q is more certain than either.
    """
    g, J = geometry.linearise(model.decoder, q.mean)
    log_prob = Gaussian().log_prob(x, g) + _normaliser(x.shape[-1])
    hessian = geometry.gauss_newton(J, Gaussian().curvature(x, g))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples // 2, *q.mean.shape, generator=generator, dtype=q.mean.dtype).to(q.mean.device)
    return _expected_log_prob(model, x, q, log_prob, hessian, noise)[0]
