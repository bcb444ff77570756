"""digits-samples: do the small models of chapter 11 generate alike on 8×8 digits, soon and late?

The recipe of `mnist-samples` with the chapter's own network, for 300 steps and for many more: what is true of short
trainings alone? Beside its numbers stand, for each model: where the codes lie and how wide their clouds are, the nats
that a Gaussian prior with the moments of the aggregated posterior would save, and how unlike the β-VAE's its pictures
are when each model draws from such a Gaussian of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from gradelib import evaluation
from gradelib.datasets import Dataset
from gradelib.experiments import mnist_samples, models
from gradelib.experiments.experiment import Experiment, Job, Outcome
from gradelib.experiments.mnist_objectives import BETAS
from gradelib.experiments.mnist_objectives import CORE as ON_MNIST
from gradelib.experiments.mnist_samples import CORE_KINDS, KINDS, trainings
from gradelib.experiments.models import Numbers
from gradelib.networks import VAE
from gradelib.posteriors import kl_to_standard_normal

STEPS, LONGER = 300, (1200, 4800)
CORE: Job = {**ON_MNIST, "objective": "grae_column", "data": "digits", "hidden": [40], "batch_size": 64}


def _jobs() -> Iterator[Job]:
    for seed in range(5):
        yield from (_job(beta, seed, STEPS) for beta in BETAS)
    for steps in LONGER:
        yield from (_job(beta, seed, steps) for seed in range(3) for beta in BETAS)


def _job(beta: float, seed: int, steps: int) -> Job:
    kinds = list(KINDS) if steps == STEPS else [*CORE_KINDS, "seed"]
    control = "core" if steps == STEPS else "length"
    return {**CORE, "control": control, "kinds": kinds, "beta": beta, "seed": seed, "steps": steps}


def _key(job: Job) -> str:
    return f"beta {job['beta']:g}, seed {job['seed']}, {job['steps']} steps"


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the models of a job, compare their pictures, and say where their codes lie."""
    trained, cost = models.train_each(trainings(job), data, device)
    numbers = mnist_samples.compare(trained, job, settings, data) | cost
    return numbers | places(trained, job["beta"], data.train, settings["same_z"]), {}


def places(trained: Mapping[str, VAE], beta: float, x: Tensor, count: int) -> Numbers:
    """Of each model on the rows of x (examples, n), with the formula's Σ: where z lies, and pictures drawn there.

    `codes_…` is E h² and `clouds_…` E Σ_ii, both averaged over the latents, `mismatch_…` is KL(N(h̄, V) ‖ N(0, I)) in
    nats with V = cov(h) + E Σ, and `unlike_own_…` the unlikeness to the β-VAE of `count` pictures, each model's from
    its own N(h̄, V), for the same noise.
    """
    numbers: Numbers = {}
    own = {}
    for kind, model in trained.items():
        h, factor = mnist_samples.clouds(model, x, beta)
        spread = (factor @ factor.mT).mean(0)
        moments = h.mean(0), h.mT.cov(correction=0) + spread
        numbers[f"codes_{kind}"] = float(h.square().mean())
        numbers[f"clouds_{kind}"] = float(spread.diagonal().mean())
        numbers[f"mismatch_{kind}"] = float(kl_to_standard_normal(*moments))
        own[kind] = evaluation.samples(model, count, moments=moments)
        if kind != "beta_vae":
            numbers[f"unlike_own_{kind}"] = evaluation.unlikeness(own["beta_vae"], own[kind])
    return numbers


_TINY = {**_job(0.4, 0, STEPS), "hidden": [8], "latents": 3, "batch_size": 16, "steps": 12}

EXPERIMENT = Experiment(
    name="digits-samples",
    question="Do the small models of chapter 11 generate alike, soon and late?",
    data="digits",
    settings={
        "held_out": 297,
        "samples": 16,
        "classifier_steps": 600,
        "same_z": 1000,
        "covariance_examples": 1500,
        "draws": 8,
        "neighbours": 297,
    },
    jobs={_key(job): job for job in _jobs()},
    run=run,
    trainings=lambda job: list(trainings(job).values()),
    evaluate=mnist_samples.evaluate,
    number="unlike_grae",
    tiny_jobs={_key(_TINY): _TINY},
    tiny_settings=mnist_samples.EXPERIMENT.tiny_settings,
)
