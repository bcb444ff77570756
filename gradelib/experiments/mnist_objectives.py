"""mnist-objectives: is GRAE≈ as good as the β-VAE that it stands for, by the β-VAE's own measure, on MNIST?

The core trains both from the same start on the same batches, for six β and five seeds. Controls that could refute what
it seems to say: other lengths, each annealed by itself, up to four times the core's for one seed; other noise for the
same start and batches; other learning rates for both; Adam in the place of Muon; tanh and ReLU; and the objectives
without the draw of a column (bound) and without Hadamard's bound (exact GRAE). Every objective is evaluated under every
model, held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from gradelib.datasets import Dataset
from gradelib.evaluation import standard_error
from gradelib.experiments import models
from gradelib.experiments.experiment import Experiment, Job, Outcome, Row

BETAS = (0.02, 0.06, 0.1, 0.4, 0.6, 0.8)
THREE = (0.02, 0.4, 0.8)  # where the controls are
BOTH = ("beta_vae", "grae_column")
STEPS, RATE, ADAM_RATE = 6000, 0.02, 0.006

CORE: Job = {
    "control": "core",
    "objective": "beta_vae",
    "family": "diagonal",
    "block": None,
    "activation": "softplus",
    "hidden": [128, 128],
    "latents": 8,
    "beta": 0.1,
    "seed": 0,
    "noise_seed": None,
    "steps": STEPS,
    "optimiser": "muon",
    "learning_rate": RATE,
    "batch_size": 128,
}


def _jobs() -> Iterator[Job]:
    yield from _core(0)
    yield from _lengths(0)
    yield from (job for seed in (1, 2) for job in _core(seed))
    for seed in range(3):
        for beta in THREE:
            for objective in ("grae_bound", "grae"):
                yield {**CORE, "control": "objective", "objective": objective, "beta": beta, "seed": seed}
        for activation in ("tanh", "relu"):
            yield from _both("activation", THREE, seed=seed, activation=activation)
        yield from _both("noise", THREE, noise_seed=1000 + seed)
        yield from _both("optimiser", BETAS, seed=seed, optimiser="adam", learning_rate=ADAM_RATE)
        yield from _lengths(seed) if seed else ()
    yield from (job for seed in (3, 4) for job in _core(seed))
    for seed in range(2):
        for rate in (RATE / 2.5, RATE * 2.5):
            yield from _both("rate", (0.1, 0.6), seed=seed, learning_rate=rate)


def _core(seed: int) -> Iterator[Job]:
    return _both("core", BETAS, seed=seed)


def _lengths(seed: int) -> Iterator[Job]:
    for steps in (STEPS // 4, STEPS // 2, 2 * STEPS, *(() if seed else (4 * STEPS,))):
        yield from _both("length", THREE, seed=seed, steps=steps)


def _both(control: str, betas: Sequence[float], **changes: Any) -> Iterator[Job]:
    for beta in betas:
        for objective in BOTH:
            yield {**CORE, "control": control, "objective": objective, "beta": beta, **changes}


def _key(job: Job) -> str:
    parts = [job["control"], job["objective"], f"beta {job['beta']:g}", f"seed {job['seed']}"]
    changed = ("activation", "noise_seed", "steps", "learning_rate")
    return ", ".join(parts + [f"{name} {job[name]}" for name in changed if job[name] != CORE[name]])


def run(job: Job, settings: Mapping[str, Any], data: Dataset, device: str) -> Outcome:
    """Train the model of a job and judge it by every objective on the held-out images."""
    trained = models.train(job, data, device)
    numbers, _ = models.judge(trained.model, data.test[: settings["held_out"]], job, settings["samples"])
    return {"train_loss": trained.train_loss, **numbers, **trained.cost}, {}


def evaluate(rows: Sequence[Row]) -> list[Row]:
    """For each network, objective and β: the held-out loss, the gap, and what GRAE≈ saves against the β-VAE, in nats.

    `loss` is the β-VAE loss with the best diagonal Σ, `gap` how far it is above GRAE≈'s own value at the same model,
    `difference` the loss less that of the β-VAE of the same seed. All are means over the seeds, with standard errors.
    `…_plateau` says whether twice the steps move the mean, over the seeds that have both, by less than its standard
    error; None where that was not tried, or where one seed has no standard error. `noise_deviation` is the standard
    deviation of the loss over trainings that differ in the noise alone, `rates` the mean loss by learning rate. The
    trainings are Muon's; `adam_…` are the same values after Adam, None where it was not tried.
    """
    found: dict[_Which, _OfSeeds] = {}
    for row in rows:
        if row["state"] == "done" and row["job"]["control"] in (
            "core",
            "objective",
            "activation",
            "length",
            "optimiser",
        ):
            found.setdefault(_which(row), {})[row["job"]["seed"]] = row["numbers"]
    table = []
    for which in sorted(found):
        if (which.optimiser, which.steps) == (CORE["optimiser"], STEPS):
            cases = (which, which._replace(steps=2 * STEPS), which._replace(optimiser="adam"))
            line: Row = {"activation": which.activation, "beta": which.beta, "objective": which.objective}
            line["seeds"] = len(found[which])
            for name, value in _VALUES.items():
                here, longer, by_adam = (
                    value(found.get(case, {}), found.get(case._replace(objective="beta_vae"), {})) for case in cases
                )
                line |= _mean(name, list(here.values())) | _mean(f"adam_{name}", list(by_adam.values()))
                line[f"{name}_plateau"] = _plateau(here, longer, line[f"{name}_error"])
            alike = [row for row in rows if row["state"] == "done" and _which(row) == which]
            table.append(line | {"noise_deviation": _noise_deviation(alike), "rates": _rates(alike)})
    return table


_OfSeeds = dict[int, dict[str, float]]  # the numbers of the models by seed


class _Which(NamedTuple):
    """What the trainings of one mean have in common."""

    optimiser: str
    activation: str
    beta: float
    objective: str
    steps: int


def _which(row: Row) -> _Which:
    return _Which(*(row["job"][name] for name in _Which._fields))


def _noise_deviation(rows: Sequence[Row]) -> float | None:
    """Over the noise-only replicates and the core's training that shares their start and batches."""
    replicates = [row for row in rows if row["job"]["control"] == "noise"]
    start = {row["job"]["seed"] for row in replicates}
    twins = [row for row in rows if row["job"]["control"] == "core" and row["job"]["seed"] in start]
    losses = [row["numbers"]["beta_vae_diagonal"] for row in replicates + twins]
    return stdev(losses) if len(losses) > 1 and replicates else None


def _rates(rows: Sequence[Row]) -> dict[float, float]:
    """The mean loss by learning rate, over the seeds that were trained with every rate; empty where one rate was."""
    losses: dict[float, dict[int, float]] = {}
    for row in rows:
        if row["job"]["control"] in ("core", "rate"):
            of_seeds = losses.setdefault(row["job"]["learning_rate"], {})
            of_seeds[row["job"]["seed"]] = row["numbers"]["beta_vae_diagonal"]
    shared = set.intersection(*(set(found) for found in losses.values())) if len(losses) > 1 else set()
    return {rate: fmean(losses[rate][seed] for seed in shared) for rate in sorted(losses)} if shared else {}


def _loss(models_of: _OfSeeds, base: _OfSeeds) -> dict[int, float]:
    return {seed: numbers["beta_vae_diagonal"] for seed, numbers in models_of.items()}


def _gap(models_of: _OfSeeds, base: _OfSeeds) -> dict[int, float]:
    return {seed: numbers["beta_vae_diagonal"] - numbers["grae_bound"] for seed, numbers in models_of.items()}


def _difference(models_of: _OfSeeds, base: _OfSeeds) -> dict[int, float]:
    losses, others = _loss(models_of, base), _loss(base, base)
    return {seed: loss - others[seed] for seed, loss in losses.items() if seed in others}


_VALUES = {"loss": _loss, "gap": _gap, "difference": _difference}


def _mean(name: str, values: Sequence[float]) -> Row:
    """The mean and its standard error; None where there are not enough values."""
    return {name: fmean(values) if values else None, f"{name}_error": standard_error(values)}


def _plateau(short: Mapping[int, float], long: Mapping[int, float], error: float | None) -> bool | None:
    """Whether the mean moves by less than `error` from the short to the long trainings."""
    moves = [long[seed] - value for seed, value in short.items() if seed in long]
    return abs(fmean(moves)) < error if moves and error is not None else None


_TINY = {**CORE, "hidden": [8], "latents": 3, "steps": 12, "batch_size": 16}
_TINY_JOBS = [
    _TINY,
    {**_TINY, "objective": "grae_column"},
    {**_TINY, "objective": "grae_bound", "control": "objective"},
    {**_TINY, "objective": "grae", "control": "objective"},
    {**_TINY, "activation": "tanh", "control": "activation"},
    {**_TINY, "activation": "relu", "control": "activation"},
    {**_TINY, "noise_seed": 1000, "control": "noise"},
]

EXPERIMENT = Experiment(
    name="mnist-objectives",
    question="Is GRAE≈ as good as the β-VAE that it stands for, by the β-VAE's own measure, on MNIST?",
    data="mnist",
    settings={"held_out": 10000, "samples": 16},
    jobs={_key(job): job for job in _jobs()},
    run=run,
    evaluate=evaluate,
    number="beta_vae_diagonal",
    tiny_jobs={_key(job): job for job in _TINY_JOBS},
    tiny_settings={"held_out": 40, "samples": 4},
)
