"""learned-covariance: is the Σ that an encoder learns the Σ of the formula?

Each model has its Σ trained. On held-out images that Σ is compared with the best of its family by the formula:
variances one by one where the latent is resolved, generalised eigenvalues of the whole matrix, and β·KL, which is what
the difference costs in the second-order objective. The true β-VAE loss then judges three choices of Σ at the same
codes: the learned one, the formula with the Gauss–Newton matrix, and the formula with the exact Hessian where that
gives a covariance at all. What the second-order expansion leaves out is recorded with its sign and without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from gradelib import geometry, posteriors
from gradelib.datasets import Dataset
from gradelib.evaluation import standard_error
from gradelib.experiments import models
from gradelib.experiments.experiment import Experiment, Job, Outcome, Row
from gradelib.experiments.mnist_objectives import CORE, STEPS
from gradelib.likelihoods import Gaussian
from gradelib.networks import VAE
from gradelib.posteriors import Posterior

RESOLVED = 0.5  # a latent is resolved where the formula leaves it at most so much of the prior's variance, on average
FAMILIES = ("diagonal", "block", "full")
BETAS = (0.1, 0.4, 0.8)
QUANTILES = (0.1, 0.5, 0.9)
ON = {"digits": {"data": "digits", "hidden": [64, 64]}, "mnist": {"data": "mnist", "hidden": [128, 128]}}


def _jobs() -> Iterator[Job]:
    for data, seeds in (("digits", 5), ("mnist", 3)):
        for seed in range(seeds):
            yield from (_job(data, family, beta, seed) for family in FAMILIES for beta in BETAS)
    for seed in range(3):
        for family in ("diagonal", "full"):
            for beta in BETAS:
                yield _job("digits", family, beta, seed, "length", steps=2 * STEPS)
        for family in FAMILIES:
            yield _job("digits", family, 0.4, seed, "activation", activation="tanh")
        yield _job("digits", "diagonal", 0.4, 0, "noise", noise_seed=1000 + seed)
        yield _job("mnist", "diagonal", 0.4, seed, "length", steps=2 * STEPS)


def _job(data: str, family: str, beta: float, seed: int, control: str = "core", **changes: Any) -> Job:
    block = 2 if family == "block" else None
    return {
        **CORE,
        **ON[data],
        "control": control,
        "family": family,
        "block": block,
        "beta": beta,
        "seed": seed,
    } | changes


def _key(job: Job) -> str:
    changed = ("activation", "noise_seed", "steps")
    parts = [job["control"], job["data"], job["family"], f"beta {job['beta']:g}", f"seed {job['seed']}"]
    return ", ".join(parts + [f"{name} {job[name]}" for name in changed if job[name] != CORE[name]])


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the model of a job and compare its Σ with the formula's, on the first held-out images."""
    trained = models.train(job, data, device)
    x = data.test[: settings["held_out"]]
    model = trained.model.to(x.device)
    judged, _ = models.judge(model, x, job, settings["samples"])
    numbers = compare(model, x, job, settings["samples"])
    return {"train_loss": trained.train_loss, **judged, **numbers, **trained.cost}, {}


@torch.no_grad()
def compare(model: VAE, x: Tensor, job: Job, samples: int) -> dict[str, Any]:
    """The model's Σ beside the formula's for the rows of x (examples, n).

    `variance_ratio` are quantiles of Σ_jj/Σ*_jj over the images and the resolved latents, `off` the share of them that
    are more than a tenth off, `resolved` how many latents those are. `smallest` and `largest` are quantiles over the
    images of the extreme eigenvalues of Σ*⁻¹Σ, `kl` is β·KL(Σ ‖ Σ*) in nats and `kl_median` its median. `taylor_signed`
    and `taylor_absolute` say how far E_q log p is from its expansion by Gauss–Newton, as shares of the mean trace term;
    `dropped_…` is the part that the exact Hessian would add. `indefinite` is the share of images whose exact Hessian
    gives no covariance; over the others, `exact_less_formula` is the true loss with the exact Hessian's Σ less that
    with the formula's, and `learned_less_formula` over all, both with the standard error over the images.
    """
    beta, own = job["beta"], model.posterior(x)
    h = own.mean
    g, J = geometry.linearise(model.decoder, h)
    kept = geometry.gauss_newton(J, Gaussian().curvature(x, g))
    dropped = geometry.dropped_term(model.decoder, h, x - g)
    best = posteriors.optimal_covariance(kept, beta, job["family"], job["block"])
    formula = Posterior(h, torch.linalg.cholesky(best))
    numbers = _alike(own, best, beta)

    def loss(q: Posterior) -> Tensor:
        return beta * q.kl() - models.expected_log_prob(model, x, q, samples)

    by_formula = loss(formula)
    numbers |= _difference("learned_less_formula", loss(own) - by_formula)
    eye = torch.eye(h.shape[-1], dtype=h.dtype, device=h.device)
    precision = posteriors.project(eye - (kept + dropped) / beta, job["family"], job["block"])
    factors, failed = torch.linalg.cholesky_ex(precision)
    definite = failed == 0
    numbers["indefinite"] = 1 - float(definite.double().mean())
    if definite.sum() > 1:
        exact = formula.factor.clone()
        exact[definite] = torch.linalg.cholesky(torch.cholesky_inverse(factors[definite]))
        numbers |= _difference("exact_less_formula", (loss(Posterior(h, exact)) - by_formula)[definite])
    trace = 0.5 * (kept * own.covariance).sum((-2, -1))
    blur = models.expected_log_prob(model, x, own, samples) + 0.5 * (x - g).square().sum(-1)
    for name, error in (("taylor", blur - trace), ("dropped", 0.5 * (dropped * own.covariance).sum((-2, -1)))):
        numbers[f"{name}_signed"] = float(error.mean() / -trace.mean())
        numbers[f"{name}_absolute"] = float(error.abs().mean() / -trace.mean())
    return numbers


def _alike(own: Posterior, best: Tensor, beta: float) -> dict[str, Any]:
    """How far the covariances of `own` are from `best` (examples, d, d)."""
    variances = best.diagonal(dim1=-2, dim2=-1)
    resolved = variances.mean(0) <= RESOLVED
    ratio = (own.variances / variances)[:, resolved].flatten()
    L = torch.linalg.cholesky(best.double())
    white = torch.linalg.solve_triangular(L, _square(own.factor).double(), upper=False)
    values = torch.linalg.eigvalsh(white @ white.mT)
    kl = beta * 0.5 * (values - 1 - values.log()).sum(-1)
    return {
        "resolved": int(resolved.sum()),
        "variance_ratio": _quantiles(ratio) if len(ratio) else [],
        "off": float(((ratio - 1).abs() > 0.1).to(ratio).mean()) if len(ratio) else 0.0,
        "smallest": _quantiles(values[:, 0]),
        "largest": _quantiles(values[:, -1]),
        "kl": float(kl.mean()),
        "kl_median": float(kl.median()),
    }


def _square(factor: Tensor) -> Tensor:
    """The factor of a posterior as (examples, d, d)."""
    return factor if factor.ndim == 3 else torch.diag_embed(factor)


def _quantiles(values: Tensor) -> list[float]:
    return torch.quantile(values.double(), torch.tensor(QUANTILES, dtype=torch.float64)).tolist()


def _difference(name: str, values: Tensor) -> dict[str, float]:
    return {name: float(values.mean()), f"{name}_error": float(values.std() / len(values) ** 0.5)}


def evaluate(rows: Sequence[Row]) -> list[Row]:
    """For each data set, network, family, β and length: the means over the seeds of every number, and their errors."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        job = row["job"]
        if row["state"] == "done" and job["control"] != "noise":
            which = (job["data"], job["activation"], job["family"], job["beta"], job["steps"])
            groups.setdefault(which, []).append(row)
    return [_means(which, found) for which, found in sorted(groups.items())]


def _means(which: tuple[Any, ...], rows: Sequence[Row]) -> Row:
    line: Row = dict(zip(("data", "activation", "family", "beta", "steps"), which, strict=True)) | {"seeds": len(rows)}
    for name in rows[0]["numbers"]:
        values = [row["numbers"][name] for row in rows if name in row["numbers"]]
        if isinstance(values[0], list):
            columns = list(zip(*values, strict=False))
            line[name] = [fmean(column) for column in columns]
        else:
            line[name] = fmean(values)
            line[f"{name}_seeds"] = standard_error(values)
    return line


_TINY = {**CORE, "data": "digits", "hidden": [8], "latents": 4, "beta": 0.4, "steps": 12, "batch_size": 16}
_TINY_JOBS = [
    {**_TINY, "control": "core", "family": "diagonal", "block": None},
    {**_TINY, "control": "core", "family": "block", "block": 2},
    {**_TINY, "control": "core", "family": "full", "block": None, "activation": "tanh"},
]

EXPERIMENT = Experiment(
    name="learned-covariance",
    question="Is the covariance that an encoder learns the one of the formula?",
    data="digits",
    settings={"held_out": 1000, "samples": 32},
    jobs={_key(job): job for job in _jobs()},
    run=run,
    evaluate=evaluate,
    number="kl",
    tiny_jobs={_key(job): job for job in _TINY_JOBS},
    tiny_settings={"held_out": 40, "samples": 4},
)
