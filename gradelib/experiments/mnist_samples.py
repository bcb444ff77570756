"""mnist-samples: do the β-VAE and GRAE≈ generate alike?

One job trains several models from one start and compares what they make of the same z. That two decoders are alike says
nothing by itself. So beside GRAE≈ stand: the β-VAE with other noise alone, another seed, the charge deleted (the error
and the price of the codes alone), the plain autoencoder, and RAE. How good the samples are is a Fréchet distance in the
features of a classifier, with its floor (between two halves of the data) and its spread over draws, and precision and
recall, for z from the prior, from a Gaussian with the moments of the aggregated posterior, and from the clouds N(h, Σ)
themselves, with the formula's Σ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from gradelib import evaluation, geometry, posteriors
from gradelib.datasets import Dataset
from gradelib.evaluation import standard_error
from gradelib.experiments import models
from gradelib.experiments.experiment import Experiment, Job, Outcome, Row
from gradelib.experiments.mnist_objectives import BETAS, CORE, STEPS, THREE
from gradelib.experiments.models import Numbers
from gradelib.likelihoods import Gaussian
from gradelib.networks import VAE

KINDS: dict[str, dict[str, Any]] = {
    "beta_vae": {"objective": "beta_vae"},
    "grae": {"objective": "grae_column"},
    "no_charge": {"objective": "autoencoder", "codes": 1.0},
    "noise": {"objective": "beta_vae", "noise_seed": 1000},
    "seed": {"objective": "beta_vae", "seed": 100},
    "plain": {"objective": "autoencoder"},
    "rae": {"objective": "rae"},
}
PAIR, CORE_KINDS = ["beta_vae", "grae"], ["beta_vae", "grae", "no_charge", "noise"]
WAYS = ("prior", "gaussian", "clouds")


def _jobs() -> Iterator[Job]:
    for seed in range(3):
        for beta in BETAS:
            yield _job(beta, seed, list(KINDS) if beta in THREE else CORE_KINDS)
    for seed in range(2):
        for beta in THREE:
            for steps in (STEPS // 4, 2 * STEPS):
                yield _job(beta, seed, PAIR, "length", steps)
    yield from (_job(beta, seed, PAIR) for seed in (3, 4) for beta in BETAS)


def _job(beta: float, seed: int, kinds: Sequence[str], control: str = "core", steps: int = STEPS) -> Job:
    return {
        **CORE,
        "objective": "grae_column",
        "control": control,
        "kinds": list(kinds),
        "beta": beta,
        "seed": seed,
        "steps": steps,
    }


def _key(job: Job) -> str:
    return f"{job['control']}, beta {job['beta']:g}, seed {job['seed']}, {job['steps']} steps"


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the models of a job and compare their pictures; of seed 0 some are kept, (count, n) for each model."""
    trained, cost = models.train_each(trainings(job), data, device)
    numbers = compare(trained, job, settings, data) | cost
    arrays = {}
    if job["seed"] == 0 and job["control"] == "core":
        for kind in PAIR:
            shown = evaluation.samples(trained[kind], settings["same_z"], seed=0)[: settings["shown"]]
            arrays[f"pictures_{kind}"] = (63 * shown.clamp(0, data.scale) / data.scale).round().div(63).tolist()
    return numbers, arrays


def compare(trained: Mapping[str, VAE], job: Job, settings: Mapping[str, Any], data: Dataset) -> Numbers:
    """How unlike the β-VAE's the pictures of each model are, what it loses held out, and how good its samples are."""
    real = _Real(_features(data, settings["classifier_steps"]), data, settings)
    numbers: Numbers = {"floor": real.floor, "accuracy": real.accuracy}
    same_z = {kind: evaluation.samples(model, settings["same_z"], seed=0) for kind, model in trained.items()}
    for kind, model in trained.items():
        if kind != "beta_vae":
            numbers[f"unlike_{kind}"] = evaluation.unlikeness(same_z["beta_vae"], same_z[kind])
        judged, _ = models.judge(model, data.test[: settings["held_out"]], {**job, **KINDS[kind]}, settings["samples"])
        numbers[f"loss_{kind}"] = judged["beta_vae_diagonal"]
        for way, pictures in _pictures(model, job["beta"], data, settings):
            numbers |= {f"{name}_{kind}_{way}": value for name, value in real.judge(pictures).items()}
    return numbers


def trainings(job: Job) -> dict[str, Job]:
    """The jobs of the models of a job, by kind."""
    return {kind: training_of(kind, job) for kind in job["kinds"]}


def training_of(kind: str, job: Job) -> Job:
    """The job of one of the models of a job."""
    changes = dict(KINDS[kind])
    for name in ("seed", "noise_seed"):
        if name in changes:
            changes[name] += job["seed"]
    return {**job, **changes}


@lru_cache(maxsize=1)
def _features(data: Dataset, steps: int) -> nn.Sequential:
    return evaluation.classifier(data.train, data.train_labels, steps=steps)


class _Real:
    """The held-out pictures in the features of a classifier, and how far other pictures are from them."""

    def __init__(self, classifier: nn.Sequential, data: Dataset, settings: Mapping[str, Any]) -> None:
        self.features, self.few = classifier[:-1], settings["neighbours"]
        self.real = self.features(data.test)
        train = self.features(data.train[: len(data.test)])
        self.floor = evaluation.frechet_distance(self.real, train)
        self.accuracy = float((classifier(data.test).argmax(-1) == data.test_labels).double().mean())

    def judge(self, pictures: Sequence[Tensor]) -> dict[str, float]:
        """The Fréchet distance, its standard deviation over the draws of pictures, precision and recall."""
        found = [self.features(rows) for rows in pictures]
        distances = [evaluation.frechet_distance(self.real, rows) for rows in found]
        precision, recall = evaluation.precision_recall(self.real[: self.few], found[0][: self.few])
        spread = stdev(distances) if len(distances) > 1 else 0.0
        return {"distance": fmean(distances), "spread": spread, "precision": precision, "recall": recall}


@torch.no_grad()
def _pictures(
    model: VAE, beta: float, data: Dataset, settings: Mapping[str, Any]
) -> Iterator[tuple[str, list[Tensor]]]:
    """As many mean pictures as there are held-out ones, several times, for each way to draw z."""
    count, generator = len(data.test), torch.Generator().manual_seed(0)
    x = data.train[: settings["covariance_examples"]]
    h, factor = clouds(model, x, beta)
    moments = h.mT.cov() + (factor @ factor.mT).mean(0)
    root, mean = torch.linalg.cholesky(moments), h.mean(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=h.dtype)

    def draw(way: str) -> Tensor:
        if way == "prior":
            return normal(count, h.shape[-1])
        if way == "gaussian":
            return mean + normal(count, h.shape[-1]) @ root.mT
        rows = torch.randint(len(h), (count,), generator=generator)
        return h[rows] + (factor[rows] @ normal(count, h.shape[-1], 1)).squeeze(-1)

    for way in WAYS:
        yield way, [Gaussian().mean(model.decoder(draw(way))) for _ in range(settings["draws"])]


@torch.no_grad()
def clouds(model: VAE, x: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """The codes of the rows of x (examples, n) and the factors of the formula's diagonal Σ (examples, d, d)."""
    codes, factors = [], []
    for rows in x.split(models.CHUNK):
        h = model.posterior(rows).mean
        g, J = geometry.linearise(model.decoder, h)
        hessian = geometry.gauss_newton(J, Gaussian().curvature(rows, g))
        codes.append(h)
        factors.append(posteriors.optimal_covariance(hessian, beta, "diagonal").sqrt())
    return torch.cat(codes), torch.cat(factors)


def evaluate(rows: Sequence[Row]) -> list[Row]:
    """For each β and length: the means over the seeds of every number, with standard errors."""
    groups: dict[tuple[float, int], list[Row]] = {}
    for row in rows:
        if row["state"] == "done":
            groups.setdefault((row["job"]["beta"], row["job"]["steps"]), []).append(row)
    table = []
    for (beta, steps), found in sorted(groups.items()):
        line: Row = {"beta": beta, "steps": steps, "seeds": len(found)}
        for name in dict.fromkeys(name for row in found for name in row["numbers"]):
            values = [row["numbers"][name] for row in found if name in row["numbers"]]
            line |= {name: fmean(values), f"{name}_error": standard_error(values)}
        table.append(line)
    return table


_TINY = {**_job(0.4, 0, list(KINDS), steps=12), "hidden": [8], "latents": 3, "batch_size": 16}
_TINY_JOBS = [_TINY]

EXPERIMENT = Experiment(
    name="mnist-samples",
    question="Do the β-VAE and GRAE≈ generate alike, and what would look alike anyway?",
    data="mnist",
    settings={
        "held_out": 2000,
        "samples": 16,
        "classifier_steps": 3000,
        "same_z": 1000,
        "covariance_examples": 5000,
        "draws": 3,
        "neighbours": 2000,
        "shown": 15,
    },
    jobs={_key(job): job for job in _jobs()},
    run=run,
    trainings=lambda job: list(trainings(job).values()),
    evaluate=evaluate,
    number="distance_beta_vae_prior",
    tiny_jobs={_key(job): job for job in _TINY_JOBS},
    tiny_settings={
        "held_out": 40,
        "samples": 4,
        "classifier_steps": 20,
        "same_z": 20,
        "covariance_examples": 60,
        "draws": 2,
        "neighbours": 40,
        "shown": 1,
    },
)
