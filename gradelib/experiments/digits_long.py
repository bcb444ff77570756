"""digits-long: what do the chapters' small models on 8×8 digits say when they are trained for long?

Every model is judged at several lengths, each a training of its own. Beside the losses stand: rate, information and
mismatch; the price of the diagonal family, true and by formula; what the second-order expansion leaves out, with its
sign and without; and the noise of the gradient for one column of each example, one column for the whole batch, a random
direction, and the β-VAE's own noise. Controls: another optimiser, noise alone, other networks, a column that is shared
while training. Bernoulli models say how far −I is from their curvature, pixel by pixel and weighted by the Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from gradelib import geometry, networks, objectives, posteriors, training
from gradelib.datasets import Dataset
from gradelib.evaluation import standard_error
from gradelib.experiments import learned_covariance, models
from gradelib.experiments.experiment import Experiment, Job, Outcome, Row
from gradelib.experiments.mnist_objectives import BETAS, BOTH, THREE
from gradelib.experiments.mnist_objectives import CORE as ON_MNIST
from gradelib.likelihoods import Bernoulli, Gaussian, Likelihood
from gradelib.networks import VAE
from gradelib.posteriors import Posterior

STEPS, LENGTHS = 5600, (350, 1400)
CORE: Job = {**ON_MNIST, "data": "digits", "hidden": [64, 64], "steps": STEPS, "pixels": "scaled"}
PIXELS = ("binary", "grey")


def _jobs() -> Iterator[Job]:
    for seed in range(5):
        yield from _both("core", BETAS, seed=seed)
    for seed in range(3):
        for steps in LENGTHS:
            yield from _both("length", BETAS, seed=seed, steps=steps)
        yield from _both("length", THREE, seed=seed, steps=2 * STEPS)
        yield from _both("optimiser", BETAS, seed=seed, optimiser="adam", learning_rate=6e-3)
        yield from _both("noise", THREE, noise_seed=1000 + seed)
        for activation in ("tanh", "relu"):
            yield from _both("activation", (0.4, 0.8), seed=seed, activation=activation)
        for beta in THREE:
            yield {**CORE, "control": "shared", "objective": "grae_column", "beta": beta, "seed": seed}
        for pixels in PIXELS:
            for steps in (*LENGTHS, STEPS):
                for beta in (0.1, 0.4, 0.8):
                    yield {**CORE, "control": "bernoulli", "beta": beta, "seed": seed, "steps": steps, "pixels": pixels}


def _both(control: str, betas: Sequence[float], **changes: Any) -> Iterator[Job]:
    for beta in betas:
        for objective in BOTH:
            yield {**CORE, "control": control, "objective": objective, "beta": beta, **changes}


def _key(job: Job) -> str:
    parts = [job["control"], job["objective"], f"beta {job['beta']:g}", f"seed {job['seed']}"]
    changed = ("activation", "noise_seed", "steps", "optimiser", "pixels")
    return ", ".join(parts + [f"{name} {job[name]}" for name in changed if job[name] != CORE[name]])


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the model of a job and measure it, on the held-out images unless a number says otherwise."""
    if job["control"] == "bernoulli":
        return _bernoulli(job, data, device), {}
    trained = models.train(job, data, device, _shared_column if job["control"] == "shared" else None)
    model, beta = trained.model.to(data.train.device), job["beta"]
    numbers, _ = models.judge(model, data.test, job, settings["samples"])
    numbers["train_loss"] = trained.train_loss
    numbers["price"] = numbers["beta_vae_diagonal"] - numbers["beta_vae_full"]
    numbers["price_by_formula"] = numbers["grae_bound"] - numbers["grae"]
    if job["objective"] == "beta_vae":  # the others leave the encoder's Σ as it started
        numbers |= information(model.posterior(data.train))
        numbers |= learned_covariance.compare(model, data.test, job, settings["samples"])
    numbers |= gradient_noise(model, data.train[:64], beta, settings["draws"])
    return {**numbers, **trained.cost}, {}


@torch.no_grad()
def information(q: Posterior, draws: int = 2) -> dict[str, float]:
    """Rate, information and mismatch in nats of posteriors q(z | x_i) of N examples, from `draws` for each.

    The information E_i KL(q_i ‖ q̄) is at most log N, where q̄ is the mean of the q_i, and the mismatch is
    KL(q̄ ‖ N(0, I)). Their sum is the rate.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(draws):
        z = q.sample(torch.randn(q.mean.shape, generator=generator, dtype=q.mean.dtype))
        everywhere = torch.cat([q.log_prob(some[:, None]) for some in z.split(16)])  # log q_j(z_i), (N, N)
        found.append(q.log_prob(z) - everywhere.logsumexp(-1) + math.log(len(z)))
    rate, shared = float(q.kl().mean()), float(torch.stack(found).mean())
    return {"rate": rate, "information": shared, "mismatch": rate - shared, "log_examples": math.log(len(q.mean))}


def _shared_column(
    model: VAE, x: Tensor, noise: Tensor, beta: float | Tensor, *, likelihood: Likelihood, check_values: bool = True
) -> Tensor:
    """GRAE≈ from one column for the whole batch."""
    same = noise[:1].expand_as(noise)
    return training.OBJECTIVES["grae_column"](model, x, same, beta, likelihood=likelihood, check_values=check_values)


def _direction(model: VAE, x: Tensor, noise: Tensor, beta: float) -> Tensor:
    """GRAE with d log(1 + ‖Ju‖²/β) for one random direction u of length one in place of a column."""
    h = model.posterior(x).mean
    u = torch.nn.functional.normalize(noise, dim=-1)
    g, pushed = geometry.push(model.decoder, h, u.unsqueeze(0))
    return objectives.grae_column(Gaussian().log_prob(x, g), -pushed.square().sum(-1).mT, h, beta)


def _sampled(model: VAE, x: Tensor, noise: Tensor, beta: float) -> Tensor:
    """The β-VAE loss with the formula's diagonal Σ, so that models without a Σ of their own can be compared."""
    h = model.posterior(x).mean
    with torch.no_grad():
        g, J = geometry.linearise(model.decoder, h)
        hessian = geometry.gauss_newton(J, Gaussian().curvature(x, g))
        best = posteriors.optimal_covariance(hessian, beta, "diagonal")
    q = Posterior(h, best.diagonal(dim1=-2, dim2=-1).sqrt())
    return objectives.beta_vae(Gaussian().log_prob(x, model.decoder(q.sample(noise))), q.kl(), beta)


def gradient_noise(model: VAE, x: Tensor, beta: float, draws: int) -> dict[str, float]:
    """The variance of the gradient over draws of the noise alone, summed over the weights, for the rows of x."""

    def column(*inputs: Any) -> Tensor:
        return training.OBJECTIVES["grae_column"](*inputs, likelihood=Gaussian())

    def shared(*inputs: Any) -> Tensor:
        return _shared_column(*inputs, likelihood=Gaussian())

    losses: dict[str, Callable[..., Tensor]] = {
        "own_column": column,
        "shared_column": shared,
        "direction": _direction,
        "beta_vae": _sampled,
    }
    found = {}
    for name, loss in losses.items():
        generator = torch.Generator().manual_seed(0)
        gradients = []
        for _ in range(draws):
            noise = torch.randn(len(x), model.d, generator=generator, dtype=x.dtype)
            parts = torch.autograd.grad(loss(model, x, noise, beta), list(model.parameters()), allow_unused=True)
            gradients.append(torch.cat([part.flatten() for part in parts if part is not None]))
        found[f"noise_{name}"] = float(torch.stack(gradients).var(0).sum())
    return found


def _bernoulli(job: Job, data: Dataset, device: str) -> dict[str, float]:
    """How far −I is from H in the mean form, for a decoder of logits: by pixels, and as JᵀHJ.

    `near` is the share of pixels whose curvature is within a tenth of −1, `near_white` that of the white ones; `off` is
    ‖Jᵀ(H + I)J‖/‖JᵀHJ‖ in the Frobenius norm, averaged over the images, `off_logits` the same for JᵀHJ in logits.
    """
    grey = job["pixels"] == "grey"
    halves = [
        (half / data.scale).clamp(0, 1) if grey else (half >= data.scale / 2).to(half)
        for half in (data.train, data.test)
    ]
    model = networks.mlp_vae(
        data.n, job["latents"], hidden=job["hidden"], activation=job["activation"], seed=job["seed"]
    ).to(data.train.dtype)
    fit = training.fit(
        model,
        halves[0],
        beta=job["beta"],
        seed=job["seed"],
        likelihood=Bernoulli(),
        steps=job["steps"],
        learning_rate=job["learning_rate"],
        optimiser=job["optimiser"],
        batch_size=job["batch_size"],
        device=device,
    )
    with torch.no_grad():
        x = halves[1]
        a, J = geometry.linearise(model.decoder, model.posterior(x).mean)
        mean = torch.sigmoid(a).clamp(1e-6, 1 - 1e-6)
        H = Bernoulli("mean").curvature(x, mean)
        near = (H + 1).abs() <= 0.1
        slopes = (mean * (1 - mean)).unsqueeze(-1) * J
        exact = geometry.gauss_newton(slopes, H)
        off = (exact + slopes.mT @ slopes).norm(dim=(-2, -1)) / exact.norm(dim=(-2, -1))
        logits = geometry.gauss_newton(J, Bernoulli().curvature(x, a))
        off_logits = (logits + J.mT @ J).norm(dim=(-2, -1)) / logits.norm(dim=(-2, -1))
    last = fit.losses[-max(1, len(fit.losses) // 10) :]
    return {
        "train_loss": float(last.mean()),
        "near": float(near.double().mean()),
        "near_white": float(near[x >= 0.999].double().mean()),
        "off": float(off.mean()),
        "off_logits": float(off_logits.mean()),
    }


def evaluate(rows: Sequence[Row]) -> list[Row]:
    """For each kind of model, β and length: the means over the seeds of every number, with their standard errors.

    The errors of one row, which come from its draws, are in those between the seeds already and are left out.
    `noise_deviation` is the standard deviation of the true loss over trainings that differ in the noise alone.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["state"] == "done":
            groups.setdefault(_kind(row["job"]), []).append(row)
    table = []
    for kind, found in sorted(groups.items()):
        control = kind[0]
        line: Row = dict(zip(_KIND, kind, strict=True)) | {"seeds": len(found)}
        for name, first in found[0]["numbers"].items():
            if not name.endswith("_error") and not isinstance(first, list):
                values = [row["numbers"][name] for row in found if name in row["numbers"]]
                line |= {name: fmean(values), f"{name}_error": standard_error(values)}
        if control == "noise":
            losses = [row["numbers"]["beta_vae_diagonal"] for row in found]
            line["noise_deviation"] = stdev(losses) if len(losses) > 1 else None
        table.append(line)
    return table


_KIND = ("control", "objective", "optimiser", "activation", "pixels", "beta", "steps")


def _kind(job: Job) -> tuple[Any, ...]:
    return tuple(job[name] for name in _KIND)


_TINY = {**CORE, "hidden": [8], "latents": 4, "beta": 0.4, "steps": 12, "batch_size": 16}
_TINY_JOBS = [
    {**_TINY, "control": "core"},
    {**_TINY, "control": "shared", "objective": "grae_column"},
    {**_TINY, "control": "optimiser", "objective": "grae_column", "optimiser": "adam", "activation": "relu"},
    *({**_TINY, "control": "bernoulli", "pixels": pixels, "steps": 100} for pixels in PIXELS),
]

EXPERIMENT = Experiment(
    name="digits-long",
    question="What do the small models of the chapters say when they are trained for long?",
    data="digits",
    settings={"samples": 16, "draws": 64},
    jobs={_key(job): job for job in _jobs()},
    run=run,
    trainings=lambda job: [] if job["control"] in ("bernoulli", "shared") else [job],
    evaluate=evaluate,
    number="beta_vae_diagonal",
    tiny_jobs={_key(job): job for job in _TINY_JOBS},
    tiny_settings={"samples": 4, "draws": 3},
)
