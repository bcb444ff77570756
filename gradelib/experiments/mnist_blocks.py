"""mnist-blocks: does a posterior with blocks shape the decoder's Jacobian in blocks, on MNIST?

Beside each model whose posterior has blocks stand the same network with a diagonal and with a full posterior, and with
full (exact) GRAE. What a decoder owes between blocks has to be judged against baselines, not against zero: random
rotations of the same decoder's latents, full GRAE, directions with the data's own covariance, and the best that one
rotation for all images can do, found by joint diagonalisation. Latents in use and the held-out loss show collapse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from gradelib import evaluation, posteriors
from gradelib.datasets import Dataset
from gradelib.experiments import models
from gradelib.experiments.experiment import Experiment, Job, Outcome, Row
from gradelib.experiments.mnist_objectives import CORE
from gradelib.experiments.rotations import best_rotation, random_rotations, turned

GRID = ((0.4, 8, 2), (1.0, 8, 2), (0.2, 8, 2), (0.6, 12, 2))  # β, d, b
FAMILIES = ("block", "diagonal", "full")
CONTROLS = ("rotated", "directions")


def _jobs() -> Iterator[Job]:
    for seed in range(5):
        for beta, d, b in GRID:
            shared = {**CORE, "latents": d, "beta": beta, "block_of_interest": b, "seed": seed}
            for family in FAMILIES:
                yield {**shared, "control": family, "family": family, "block": b if family == "block" else None}
            if seed < 3:
                yield {**shared, "control": "grae", "objective": "grae"}


def _key(job: Job) -> str:
    return (
        f"{job['control']}, beta {job['beta']:g}, d {job['latents']}, b {job['block_of_interest']}, seed {job['seed']}"
    )


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the model of a job, judge it by every objective, and compare its JᵀJ with the baselines.

    Arrays: `metric` E_x JᵀJ (d, d) and `cosines` E_x cos(J_i, J_j) (d, d), with their signs.
    """
    trained = models.train(job, data, device)
    held_out = data.test[: settings["held_out"]]
    block = job["block_of_interest"]
    numbers, metric = models.judge(trained.model, held_out, {**job, "block": block}, settings["samples"])
    metric = metric.double()
    beta, count = job["beta"], settings["baseline_examples"]
    few, others = metric[:count], metric[count : 2 * count]
    generator = torch.Generator().manual_seed(0)
    draws = settings["draws"]
    directions = _directions(data.train[: settings["covariance_examples"]], few, draws, generator)
    rotated = (turned(few, R) for R in random_rotations(job["latents"], draws, generator))
    numbers |= shape(metric, beta, block)
    for name, metrics in zip(CONTROLS, (rotated, directions), strict=True):
        numbers |= _spread(name, [shape(changed, beta, block) for changed in metrics])
    for size, name in ((1, "axes"), (block, "blocks")):
        R = best_rotation(_precision(few, beta), size)
        numbers[f"best_rotation_nats_between_{name}"] = shape(turned(others, R), beta, block)[f"nats_between_{name}"]
    arrays = {"metric": metric.mean(0).tolist(), "cosines": _cosines(metric).tolist()}
    return {"train_loss": trained.train_loss, **numbers, **trained.cost}, arrays


def shape(metric: Tensor, beta: float, block: int) -> dict[str, float]:
    """How far JᵀJ (examples, d, d) is from blocks of that size and from the diagonal.

    `nats_between_blocks` and `nats_between_axes` are what the best posterior of the family loses against the full one;
    `cosine_inside` and `cosine_outside` are the means of |E_x cos(J_i, J_j)| over the pairs in and between blocks.
    """
    d = metric.shape[-1]
    cosines, same = _cosines(metric).abs(), posteriors.same_block(d, block, metric.device)
    inside = same & ~torch.eye(d, dtype=torch.bool)
    return {
        "nats_between_blocks": float(evaluation.nats_between_blocks(-metric, beta, "block", block).mean()),
        "nats_between_axes": float(evaluation.nats_between_blocks(-metric, beta, "diagonal").mean()),
        "cosine_inside": float(cosines[inside].mean()),
        "cosine_outside": float(cosines[~same].mean()),
    }


def _cosines(metric: Tensor) -> Tensor:
    """E_x cos(J_i, J_j) with its sign, 0 where a column is 0: (examples, d, d) → (d, d)."""
    lengths = metric.diagonal(dim1=-2, dim2=-1).sqrt().clamp_min(torch.finfo(metric.dtype).tiny ** 0.5)
    return (metric / (lengths[..., None] * lengths[..., None, :])).mean(0)


def _precision(metric: Tensor, beta: float) -> Tensor:
    """I + JᵀJ/β: (examples, d, d) → the same."""
    return torch.eye(metric.shape[-1], dtype=metric.dtype) + metric / beta


def _directions(x: Tensor, metric: Tensor, draws: int, generator: torch.Generator) -> Iterator[Tensor]:
    """JᵀJ of columns as long as the decoder's, along directions drawn from N(0, Cov x), the same for all images."""
    centred = (x - x.mean(0)).double()
    lengths = metric.diagonal(dim1=-2, dim2=-1).sqrt()
    for _ in range(draws):
        mixture = torch.randn(len(x), metric.shape[-1], generator=generator, dtype=torch.float64)
        columns = torch.nn.functional.normalize(centred.mT @ mixture, dim=0)
        yield columns.mT @ columns * lengths[..., None] * lengths[..., None, :]


def _spread(name: str, shapes: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean and the standard deviation over the draws of a baseline."""
    numbers: dict[str, float] = {}
    for number in shapes[0]:
        values = [found[number] for found in shapes]
        numbers |= {f"{name}_{number}": fmean(values), f"{name}_{number}_deviation": stdev(values)}
    return numbers


def evaluate(rows: Sequence[Row]) -> list[Row]:
    """For each β, d, b and model: the means over the seeds of every number, and their standard deviations."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["state"] == "done":
            job = row["job"]
            groups.setdefault((job["beta"], job["latents"], job["block_of_interest"], job["control"]), []).append(row)
    return [_means(group, found) for group, found in sorted(groups.items())]


def _means(group: tuple[Any, ...], rows: Sequence[Row]) -> Row:
    table: Row = dict(zip(("beta", "latents", "block", "model"), group, strict=True)) | {"seeds": len(rows)}
    for name in rows[0]["numbers"]:
        values = [row["numbers"][name] for row in rows]
        if not isinstance(values[0], list):
            table[name] = fmean(values)
            table[f"{name}_deviation"] = stdev(values) if len(values) > 1 else None
    return table


_TINY = {**CORE, "hidden": [8], "latents": 4, "beta": 0.4, "block_of_interest": 2, "steps": 12, "batch_size": 16}
_TINY_JOBS = [
    {**_TINY, "control": "block", "family": "block", "block": 2},
    {**_TINY, "control": "diagonal"},
    {**_TINY, "control": "full", "family": "full"},
    {**_TINY, "control": "grae", "objective": "grae"},
]

EXPERIMENT = Experiment(
    name="mnist-blocks",
    question="Does a posterior with blocks shape the decoder's Jacobian in blocks, on MNIST?",
    data="mnist",
    settings={"held_out": 10000, "samples": 16, "baseline_examples": 1000, "draws": 100, "covariance_examples": 5000},
    jobs={_key(job): job for job in _jobs()},
    run=run,
    evaluate=evaluate,
    number="beta_vae_diagonal",
    tiny_jobs={_key(job): job for job in _TINY_JOBS},
    tiny_settings={"held_out": 40, "samples": 4, "baseline_examples": 20, "draws": 3, "covariance_examples": 100},
)
