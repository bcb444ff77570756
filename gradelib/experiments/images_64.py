"""images-64: does it hold for large colour pictures?

The recipe for pictures of 64×64 pixels in three colours, such as CelebA's, with convolutional networks. What it says of
quality needs no labels: the features of a picture are its first principal components, those of the training pictures.
Samples and Jacobians are made a few pictures at a time, so that memory does not grow with their number. It was run on
patches of two photographs; the held-out ones come from a region of their own. For CelebA itself, which asks for a GPU:

    data = datasets.load("celeba", limit=20_000)
    images_64.run({**job, "data": "celeba"}, images_64.EXPERIMENT.settings, data, "cuda")

One job trains the β-VAE and GRAE≈ from one start, and the β-VAE again with other noise alone, as the scale of what two
trainings differ by anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gradelib import datasets, evaluation
from gradelib.datasets import Dataset
from gradelib.experiments import mnist_samples, models
from gradelib.experiments.experiment import Experiment, Job, Outcome
from gradelib.experiments.mnist_objectives import CORE as ON_MNIST
from gradelib.likelihoods import Gaussian
from gradelib.networks import VAE

STEPS = 1500
KINDS = ("beta_vae", "grae", "noise")
CORE: Job = {
    **{name: value for name, value in ON_MNIST.items() if name != "hidden"},
    "objective": "grae_column",
    "width": 16,
    "latents": 16,
    "batch_size": 32,
    "steps": STEPS,
    "kinds": list(KINDS),
}


def _jobs() -> Iterator[Job]:
    for seed in range(3):
        for beta in (0.4, 1.6):
            yield {**CORE, "beta": beta, "seed": seed}
            yield {**CORE, "control": "length", "beta": beta, "seed": seed, "steps": STEPS // 2}


def _key(job: Job) -> str:
    return f"{job['control']}, beta {job['beta']:g}, seed {job['seed']}, {job['steps']} steps"


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the models of a job and compare their losses and pictures; of seed 0 some are kept, (count, n) for each."""
    chunk = settings["chunk"]
    features = principal_features(data.train[: settings["covariance_examples"]], settings["components"])
    real = features(data.test)
    numbers: dict[str, Any] = {"floor": evaluation.frechet_distance(real, features(data.train[-len(data.test) :]))}
    trained, cost = models.train_each(mnist_samples.trainings(job), data, device)
    shown = {}
    for kind, model in trained.items():
        judged, _ = models.judge(model, data.test, mnist_samples.training_of(kind, job), settings["samples"], chunk)
        numbers[f"loss_{kind}"], numbers[f"active_{kind}"] = judged["beta_vae_diagonal"], judged["active"]
        numbers[f"gap_{kind}"] = judged["beta_vae_diagonal"] - judged["grae_bound"]
        codes = torch.cat([model.posterior(rows).mean for rows in data.train[: len(real)].split(chunk)])
        for way, z in draws(codes.detach(), settings["count"]):
            pictures = torch.cat([features(rows) for rows in decoded(model, z, chunk)])
            numbers[f"distance_{kind}_{way}"] = evaluation.frechet_distance(real, pictures)
        z = torch.randn(settings["same_z"], model.d, generator=torch.Generator().manual_seed(0), dtype=codes.dtype)
        shown[kind] = torch.cat(list(decoded(model, z, chunk)))
    for kind in job["kinds"][1:]:
        numbers[f"unlike_{kind}"] = evaluation.unlikeness(shown["beta_vae"], shown[kind])
    arrays = {}
    if job["seed"] == 0 and job["control"] == "core":
        few = {kind: shown[kind][: settings["shown"]].clamp(0, 1) for kind in KINDS[:2]}
        arrays = {f"pictures_{kind}": (63 * rows).round().div(63).tolist() for kind, rows in few.items()}
    return numbers | cost, arrays


def principal_features(x: Tensor, components: int) -> Callable[[Tensor], Tensor]:
    """Features that need no labels: a picture's coordinates along the first principal components of x (examples, n)."""
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean) @ (x - mean).mT)
    directions = (x - mean).mT @ (vectors[:, -components:] / values[-components:].sqrt())
    return lambda pictures: (pictures - mean) @ directions


def draws(codes: Tensor, count: int) -> Iterator[tuple[str, Tensor]]:
    """Codes from the prior, and from a Gaussian with the moments of `codes` (examples, d): (count, d) each."""
    generator = torch.Generator().manual_seed(0)
    for way in ("prior", "gaussian"):
        z = torch.randn(count, codes.shape[-1], generator=generator, dtype=codes.dtype)
        yield way, z if way == "prior" else codes.mean(0) + z @ torch.linalg.cholesky(codes.mT.cov()).mT


@torch.no_grad()
def decoded(model: VAE, z: Tensor, chunk: int) -> Iterator[Tensor]:
    """The mean pictures of z (count, d), `chunk` of them at a time."""
    for rows in z.split(chunk):
        yield Gaussian().mean(model.decoder(rows))


def few_patches() -> Dataset:
    """A small part of the patches in float64."""
    whole = datasets.load("patches", torch.float64)
    halves = {name: getattr(whole, name)[:40] for name in ("train", "train_labels")}
    halves |= {name: getattr(whole, name)[:10] for name in ("test", "test_labels")}
    return replace(whole, name="few patches", **halves)


_TINY = {**CORE, "width": 2, "latents": 3, "beta": 0.4, "steps": 40, "batch_size": 4}

EXPERIMENT = Experiment(
    name="images-64",
    question="Does it hold for large colour pictures?",
    data="patches",
    settings={
        "samples": 16,
        "chunk": 50,
        "components": 64,
        "covariance_examples": 2000,
        "count": 1000,
        "same_z": 200,
        "shown": 6,
    },
    jobs={_key(job): job for job in _jobs()},
    run=run,
    trainings=lambda job: list(mnist_samples.trainings(job).values()),
    evaluate=mnist_samples.evaluate,
    number="loss_grae",
    tiny_jobs={_key(_TINY): _TINY},
    tiny_settings={
        "samples": 4,
        "chunk": 4,
        "components": 3,
        "covariance_examples": 20,
        "count": 12,
        "same_z": 6,
        "shown": 0,
    },
    tiny_data=few_patches,
)
