"""race: what does determinism buy? Steps, passes and seconds until the β-VAE's own best held-out loss is reached.

GRAE≈ draws no noise for its codes, so its steps are quieter but dearer. The target L* is the best mean held-out loss
that the β-VAE reaches with any of the optimisers, rates and lengths here. Each side then takes its own best optimiser
and rate. A length is a training of its own, annealed to its end, and never a point on a longer curve. What a
step costs is measured apart, model by model, the sides taking turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from gradelib.datasets import Dataset
from gradelib.evaluation import standard_error
from gradelib.experiments import models
from gradelib.experiments.experiment import Experiment, Job, Outcome, Row

SIDES: dict[str, dict[str, Any]] = {
    "beta_vae": {"objective": "beta_vae"},
    "grae_column": {"objective": "grae_column", "fraction": 1.0},
    "grae_quarter": {"objective": "grae_column", "fraction": 0.25},
    "grae_eighth": {"objective": "grae_column", "fraction": 0.125},
}
RATES = {"adam": (2e-3, 6e-3, 1.8e-2), "muon": (0.01, 0.02, 0.04), "soap": (3e-3, 6e-3, 1.2e-2)}
LENGTHS = (300, 600, 1000, 2000)
CORE: dict[str, Any] = {"activation": "softplus", "latents": 8, "batch_size": 128}
ON_DIGITS = {**CORE, "data": "digits", "hidden": [64, 64], "betas": [0.02, 0.06, 0.1, 0.4, 0.6, 0.8]}
ON_MNIST = {**CORE, "data": "mnist5k", "hidden": [128, 128], "betas": [0.1, 0.4]}
PACE_STEPS = 100


def _jobs() -> Iterator[Job]:
    for grid, seeds in ((ON_DIGITS, 3), (ON_MNIST, 2)):
        for optimiser, rates in RATES.items():
            yield _job(grid, "pace", "beta_vae", optimiser, rates[1], PACE_STEPS, 0)
        for seed in range(seeds):
            for optimiser, rates in RATES.items():
                for rate in rates:
                    for steps in LENGTHS:
                        for side in SIDES:
                            yield _job(grid, side, side, optimiser, rate, steps, seed)


def _job(grid: Job, control: str, side: str, optimiser: str, rate: float, steps: int, seed: int) -> Job:
    chosen = {"control": control, **SIDES[side], "optimiser": optimiser, "learning_rate": rate}
    return {**grid, **chosen, "steps": steps, "seed": seed}


def _key(job: Job) -> str:
    if job["control"] == "pace":
        return f"pace, {job['data']}, {job['optimiser']}"
    what = f"{job['control']}, {job['data']}, {job['optimiser']} {job['learning_rate']:g}"
    return f"{what}, {job['steps']} steps, seed {job['seed']}"


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the models of a job, one for each β, and judge them on held-out images; or measure what a step costs."""
    if job["control"] == "pace":
        return _pace(job, data, device), {}
    losses, used, cost = [], [], {"seconds": 0.0, "cpu_seconds": 0.0}
    for one in trainings(job):
        trained = models.train(one, data, device)
        numbers, _ = models.judge(trained.model.to(data.test.device), data.test, one, settings["samples"])
        losses.append(numbers["beta_vae_diagonal"])
        used.append(numbers["active"])
        cost = {name: cost[name] + trained.cost[name] for name in cost}
    return {"losses": losses, "active": used, "mean_loss": fmean(losses), **cost}, {}


def trainings(job: Job) -> list[Job]:
    """The jobs of the models of a job, one for each β; none where it measures what a step costs."""
    if job["control"] == "pace":
        return []
    return [{**job, "family": "diagonal", "block": None, "noise_seed": None, "beta": beta} for beta in job["betas"]]


def _pace(job: Job, data: Dataset, device: str) -> dict[str, float]:
    """CPU milliseconds of one step of one model, the least of five turns, side by side."""
    found = dict.fromkeys(SIDES, math.inf)
    for _ in range(5):
        for side, options in SIDES.items():
            one = trainings({**job, **options, "control": side})[0]
            spent = models.train(one, data, device).cost["cpu_seconds"]
            found[side] = min(found[side], 1000 * spent / job["steps"])
    return {f"{side}_milliseconds": value for side, value in found.items()}


# --- the answer

_Curve = dict[int, list[float]]  # the losses of the seeds by length


def evaluate(rows: Sequence[Row]) -> list[Row]:
    """For each data set, β and side: what it takes to reach L*, the β-VAE's best mean held-out loss.

    `target` is L* and `target_error` its standard error over the seeds. `steps`, `passes` and `seconds` are the fewest
    with the side's own best optimiser and rate, interpolated between lengths on a scale of logarithms; None where none
    reaches L*. `best` is the side's best mean loss at any length, `best_of` which training gave it.
    """
    curves: dict[tuple[str, float, str], dict[tuple[str, float], _Curve]] = {}
    pace: dict[tuple[str, str, str], float] = {}
    for row in rows:
        job, numbers = row["job"], row.get("numbers", {})
        if row["state"] == "done" and job["control"] == "pace":
            pace |= {(job["data"], job["optimiser"], side): numbers[f"{side}_milliseconds"] for side in SIDES}
        elif row["state"] == "done":
            for beta, loss in zip(job["betas"], numbers["losses"], strict=True):
                of_side = curves.setdefault((job["data"], beta, job["control"]), {})
                curve = of_side.setdefault((job["optimiser"], job["learning_rate"]), {})
                curve.setdefault(job["steps"], []).append(loss)
    table = []
    for data, beta in sorted({(data, beta) for data, beta, _ in curves}):
        target = _best(curves.get((data, beta, "beta_vae"), {}))
        if target is not None:
            found = {side: curves[data, beta, side] for side in SIDES if (data, beta, side) in curves}
            table += [_line(data, beta, side, of_side, target, pace) for side, of_side in found.items()]
    return table


def _best(of_side: Mapping[tuple[str, float], _Curve]) -> tuple[list[float], str] | None:
    """The losses of the seeds of the best training, and which it is."""
    trainings = [
        (losses, f"{optimiser} {rate:g}, {steps} steps")
        for (optimiser, rate), curve in of_side.items()
        for steps, losses in curve.items()
    ]
    return min(trainings, key=lambda found: fmean(found[0]), default=None)


def _line(
    data: str,
    beta: float,
    side: str,
    of_side: Mapping[tuple[str, float], _Curve],
    target: tuple[list[float], str],
    pace: Mapping[tuple[str, str, str], float],
) -> Row:
    goal, best = fmean(target[0]), _best(of_side)
    assert best is not None
    needs = [(steps_to(curve, goal), optimiser) for (optimiser, _), curve in of_side.items()]
    reached = [(steps, optimiser) for steps, optimiser in needs if steps is not None]
    steps = min((steps for steps, _ in reached), default=None)
    options = SIDES[side]
    of_step = models.passes(options["objective"], CORE["latents"], options.get("fraction", 1.0))
    seconds = [n * pace[data, name, side] / 1000 for n, name in reached if (data, name, side) in pace]
    return {
        "data": data,
        "beta": beta,
        "side": side,
        "target": goal,
        "target_error": standard_error(target[0]),
        "steps": steps,
        "passes": None if steps is None else steps * of_step,
        "seconds": min(seconds, default=None),
        "best": fmean(best[0]),
        "best_error": standard_error(best[0]),
        "best_of": best[1],
        "seeds": len(best[0]),
    }


def steps_to(curve: Mapping[int, Sequence[float]], goal: float) -> float | None:
    """The steps at which the mean loss comes down to `goal`; None where it does not.

    Between two lengths the loss is taken as linear in the logarithm of the steps. Where the shortest is good enough it
    is the answer, as nothing shorter was tried.
    """
    before: tuple[int, float] | None = None
    for steps in sorted(curve):
        loss = fmean(curve[steps])
        if loss <= goal:
            if before is None or before[1] <= loss:
                return float(steps)
            share = (before[1] - goal) / (before[1] - loss)
            return math.exp(math.log(before[0]) + share * (math.log(steps) - math.log(before[0])))
        before = steps, loss
    return None


_TINY = {**ON_DIGITS, "hidden": [8], "latents": 3, "betas": [0.1, 0.8], "steps": 12, "batch_size": 16, "seed": 0}
_TINY_JOBS = [
    {**_TINY, "control": side, **SIDES[side], "optimiser": optimiser, "learning_rate": RATES[optimiser][1]}
    for side, optimiser in (
        ("beta_vae", "adam"),
        ("beta_vae", "soap"),
        ("grae_column", "muon"),
        ("grae_quarter", "soap"),
    )
]

EXPERIMENT = Experiment(
    name="race",
    question="What does determinism buy: how soon does GRAE≈ reach the β-VAE's best held-out loss?",
    data="digits",
    settings={"samples": 16},
    jobs={_key(job): job for job in _jobs()},
    run=run,
    trainings=trainings,
    evaluate=evaluate,
    number="mean_loss",
    tiny_jobs={_key(job): job for job in _TINY_JOBS},
    tiny_settings={"samples": 4},
)
