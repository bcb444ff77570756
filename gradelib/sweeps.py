"""Grids of runs: objective × β × seed × data × network, trained and judged on held-out data, in one table.

One job trains all β of one objective, data set, network and seed at once: models of one seed see the same batches, and
`training.fit_grid` takes half the time of one run after the other. Jobs go to different workers. What is in a job
follows from the grid alone, so the numbers are the same whoever does it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradelib import parallel
from gradelib._files import create_atomically, write_atomically
from gradelib._names import one_of
from gradelib._options import names, numbers

if TYPE_CHECKING:
    from torch import Tensor

    from gradelib.datasets import Dataset
    from gradelib.networks import VAE
    from gradelib.training import Fit

Row = dict[str, Any]

SETTINGS = ".settings.json"  # no job's file begins with a dot
WHICH = ("data", "network", "objective", "seed", "beta")
LOSSES = ("train_loss", "error", "code", "charge", "deterministic", "beta_vae", "standard_error", "gap", "own")
COLUMNS = (*WHICH, "state", *LOSSES, "message")

_building = threading.Lock()  # a Dask worker may do two jobs at a time, and torch has one generator for first weights


@dataclass(frozen=True)
class Settings:
    """What all runs of a sweep share. The betas are among it, because those of one job are trained together."""

    betas: tuple[float, ...]
    together: int | None = None
    activation: str = "softplus"
    latent: int = 8
    family: str = "diagonal"
    block: int | None = None
    steps: int = 2500
    learning_rate: float = 2e-3
    batch: int = 128
    columns: int = 1
    fraction: float = 1.0
    dtype: str = "float32"
    device: str = "auto"
    limit: int | None = None
    held_out: int = 1000
    samples: int = 64


@dataclass(frozen=True)
class Runs:
    """One job: the runs of one objective, data set, network and seed, for some β."""

    objective: str
    data: str
    network: str
    seed: int
    betas: tuple[float, ...]
    settings: Settings


def sweep(
    out: str | Path,
    settings: Settings,
    *,
    objectives: Sequence[str],
    seeds: Sequence[int],
    data: Sequence[str] = ("digits",),
    networks: Sequence[str] = ("mlp:64,64",),
    where: parallel.Where | None = None,
    quiet: bool = False,
) -> list[Row]:
    """Do every run of the grid that `out` does not have yet; write all that it has to `out`/table.csv and return it.

    Each network is "mlp:" with the sizes of its hidden layers or "conv:" with its width. `judge` says what the losses
    in the table are. Raises ValueError, before any work, for a grid that cannot run and for an `out` that holds results
    of other settings, RuntimeError where a job failed (the next call tries it again), and what `run_all` raises.
    """
    where = where or parallel.Where()
    jobs = grid(settings, objectives=objectives, seeds=seeds, data=data, networks=networks)
    _check_device(settings.device, where)
    for runs in dict.fromkeys(replace(runs, seed=0, betas=runs.betas[:1]) for runs in jobs.values()):
        _rehearse(runs)
    folder = Path(out) / "runs"
    _claim(folder, asdict(settings))
    done = parallel.run_all(train_and_judge, jobs, folder, where, label="sweep", quiet=quiet)
    rows = write_table(folder, Path(out) / "table.csv")
    failures = [result[parallel.FAILURE] for result in done.values() if parallel.FAILURE in result]
    if failures:
        raise RuntimeError(
            f"{len(failures)} of {len(jobs)} jobs failed, and the same command tries them again; {failures[0]}"
        )
    return rows


def grid(
    settings: Settings,
    *,
    objectives: Sequence[str],
    seeds: Sequence[int],
    data: Sequence[str] = ("digits",),
    networks: Sequence[str] = ("mlp:64,64",),
) -> dict[str, Runs]:
    """The jobs of a sweep by their names; raises ValueError for numbers out of range and for repetitions."""
    from gradelib import _input

    axes = {"objective": objectives, "beta": settings.betas, "seed": seeds, "data": data, "network": networks}
    for axis, values in axes.items():
        _check_axis(axis, values)
    for beta in settings.betas:
        _input.positive("beta", beta)
    size = len(settings.betas) if settings.together is None else _input.whole("together", settings.together)
    parts = [settings.betas[first : first + size] for first in range(0, len(settings.betas), size)]
    return {
        _key(objective, name, network, seed, part if len(parts) > 1 else None): Runs(
            objective, name, network, _input.whole("seed", seed, least=0), betas, settings
        )
        for objective, name, network, seed in product(objectives, data, networks, seeds)
        for part, betas in enumerate(parts, start=1)
    }


def _claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make `folder` the place of the results of these settings; raise ValueError where it is another's."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SETTINGS
    create_atomically(file, parallel.as_json(settings))
    there, here = json.loads(file.read_text(encoding="utf-8")), json.loads(parallel.as_json(settings))
    for name in there | here:
        if there.get(name) != here.get(name):
            raise ValueError(
                f"{folder} holds results of other settings ({name} was {there.get(name)!r} and is {here.get(name)!r}); "
                "use another folder or delete this one."
            )


def _check_axis(axis: str, values: Sequence[Any]) -> None:
    if not values:
        raise ValueError(f"A sweep needs at least one {axis}.")
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"Each {axis} must be different, but {value} is there {values.count(value)} times.")


def _key(objective: str, data: str, network: str, seed: int, part: int | None) -> str:
    network = re.sub(r"\W+", "-", network)
    return f"{objective}-{data}-{network}-seed{seed}" + (f"-part{part}" if part else "")


def _check_device(device: str, where: parallel.Where) -> None:
    import torch

    kind = one_of("device", device.split(":")[0], ["auto", "cpu", "cuda"])
    if kind == "cuda" and not where.scheduler and not torch.cuda.is_available():
        raise ValueError("torch finds no GPU on this machine; take --device cpu, or auto for one where there is one.")


def _rehearse(runs: Runs) -> None:
    """One step on few examples, on the CPU: whatever cannot run says so here, and not in a job somewhere far away."""
    import torch

    from gradelib import _input

    settings = runs.settings
    for name in ("latent", "steps", "batch", "held_out"):
        _input.whole(name, getattr(settings, name))
    _input.positive("learning_rate", settings.learning_rate)
    limit = 2 if runs.data in _pictures() else settings.limit
    few = replace(settings, steps=1, batch=2, learning_rate=1e-3, limit=limit)
    runs = replace(runs, settings=few)
    data = _load(runs.data, few.dtype, few.limit)
    for beta, fit in train(runs, data, torch.device("cpu")).items():
        judge(fit.model, data.test[:2], runs, beta)


def _pictures() -> Sequence[str]:
    from gradelib import datasets

    return list(datasets._IMAGES)


def train_and_judge(runs: Runs) -> dict[str, list[Row]]:
    """Train a model for each β, judge it on held-out data, and return the rows of the table. This is the job."""
    import torch

    from gradelib import training

    torch.set_num_threads(1)  # sums in another order would be other numbers, and the other cores have their own jobs
    data = _load(runs.data, runs.settings.dtype, runs.settings.limit)
    place = training._place(runs.settings.device)
    held_out = data.test[: runs.settings.held_out].to(place)
    fits = train(runs, data, place)
    which = {"data": runs.data, "network": runs.network, "objective": runs.objective, "seed": runs.seed}
    return {"rows": [which | {"beta": beta} | _row(runs, fit, held_out, beta) for beta, fit in fits.items()]}


@lru_cache(maxsize=1)  # a worker does one job after the other, mostly on the same data
def _load(name: str, dtype: str, limit: int | None) -> Dataset:
    import torch

    from gradelib import datasets

    kinds = {"float32": torch.float32, "float64": torch.float64}
    return datasets.load(name, kinds[one_of("dtype", dtype, kinds)], limit=limit)


def train(runs: Runs, data: Dataset, place: Any) -> dict[float, Fit | FloatingPointError]:
    """The trained models by their β, or what went wrong where the loss stopped being finite."""
    from gradelib import training

    settings, x = runs.settings, data.train.to(place)
    column = {"columns": settings.columns, "fraction": settings.fraction} if runs.objective == "grae_column" else {}
    try:
        fits = training.fit_grid(
            lambda seed: build(runs.network, data, settings, seed),
            x,
            betas=runs.betas,
            seeds=[runs.seed],
            objective=runs.objective,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch,
            device=str(place),
            **column,
        )
    except FloatingPointError as error:
        if len(runs.betas) == 1:
            return {runs.betas[0]: error}
        alone = [
            train(replace(runs, betas=(beta,)), data, place) for beta in runs.betas
        ]  # one must not cost the others
        return {beta: fit for fits in alone for beta, fit in fits.items()}
    return {beta: fit for (beta, _), fit in fits.items()}


def build(network: str, data: Dataset, settings: Settings, seed: int) -> VAE:
    """The untrained model of a seed; raises ValueError for a network that is none or does not suit the data."""
    from gradelib import networks

    kind, _, sizes = network.partition(":")
    one_of("kind of network", kind, ["mlp", "conv"])
    shared = {"activation": settings.activation, "family": settings.family, "block": settings.block, "seed": seed}
    widths = numbers("network", sizes, int, "64,64")
    with _building:
        if kind == "mlp":
            model = networks.mlp_vae(data.n, settings.latent, hidden=widths, **shared)
        elif len(widths) == 1:
            model = networks.conv_vae(data.image_shape, settings.latent, width=widths[0], **shared)
        else:
            raise ValueError(f"A convolutional network has one width, for example conv:32, not {network!r}.")
    return model.to(data.train.dtype)


def _row(runs: Runs, fit: Fit | FloatingPointError, held_out: Tensor, beta: float) -> Row:
    if isinstance(fit, FloatingPointError):
        return {"state": "diverged", "message": str(fit)}
    try:
        losses = judge(fit.model, held_out, runs, beta)
    except ValueError as error:  # the last step was the one too many
        return {"state": "diverged", "message": str(error)}
    last = fit.losses[-max(1, len(fit.losses) // 10) :]
    costs = {"train_loss": float(last.mean()), **losses}
    return {"state": "done"} | {name: x if x is None or math.isfinite(x) else None for name, x in costs.items()}


def judge(model: VAE, x: Tensor, runs: Runs, beta: float) -> dict[str, float | None]:
    """What the held-out rows of x (examples, n) cost, in nats, the constant n/2·log 2π included.

    `error` is −log p(x | h), `code` is ½β‖h‖², `charge` is the regulariser; they add up to `deterministic`, which is
    GRAE for models of the full family and GRAE≈ for the others. `beta_vae` is the β-VAE loss with the covariance that
    is best for the model, with its `standard_error`, and `gap` is how much it is above `deterministic`. `own` is the
    β-VAE loss with the encoder's own covariance, None for objectives that do not train it.
    """
    import torch

    from gradelib import evaluation
    from gradelib.likelihoods import Gaussian

    settings = runs.settings
    family = "full" if settings.family == "full" else "diagonal"
    with torch.no_grad():
        h = model.posterior(x).mean
        error = -float(Gaussian().log_prob(x, model.decoder(h)).mean())
        code = 0.5 * beta * float(h.square().sum(-1).mean())
    gap = evaluation.gap(model, x, beta=beta, family=family, samples=settings.samples)
    own = None
    if runs.objective in ("beta_vae", "taylor"):
        own, _ = evaluation.beta_vae_loss(model, x, beta=beta, samples=settings.samples)
    return {
        "error": error,
        "code": code,
        "charge": gap.deterministic - error - code,
        "deterministic": gap.deterministic,
        "beta_vae": gap.sampled,
        "standard_error": gap.error,
        "gap": gap.difference,
        "own": own,
    }


def write_table(folder: Path, file: Path) -> list[Row]:
    """Write the rows of all results in `folder` to a CSV `file`, ordered by what they are; return them.

    Shards may end at the same time, so a table that came too early for another's last result is written again.
    """
    rows, seen = [], None
    while seen != (there := sorted(folder.glob("[!.]*.json"))):
        seen = there
        found = [row for path in there for row in (parallel.read(path) or {}).get("rows", [])]
        rows = sorted(found, key=lambda row: [row[name] for name in WHICH])
        write_atomically(file, _as_csv(rows))
    return rows


def _as_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def register(commands: argparse._SubParsersAction) -> None:
    """Add `gradelib sweep` to the command line."""
    parser = commands.add_parser("sweep", help="train a grid of models into one table", description=_DESCRIPTION)
    add = parser.add_argument
    add("--out", required=True, metavar="RESULTS", help="a folder, for table.csv and one file for each job")
    add("--objective", required=True, metavar="NAMES", help="for example beta_vae,grae_column")
    add("--beta", required=True, metavar="NUMBERS", help="for example .02,.06,.1")
    add("--seed", default="0", metavar="NUMBERS", help="for example 0,1,2 (%(default)s)")
    add("--data", default="digits", metavar="NAMES", help="digits, synthetic, mnist or celeba (%(default)s)")
    add("--network", nargs="+", default=["mlp:64,64"], metavar="KIND:SIZES", help="mlp:64,64 or conv:32, or several")
    for name, kind, help_text in _SETTINGS:
        default = getattr(Settings, name)
        shown = "" if default is None else f" ({default})"
        option = "--" + name.replace("_", "-")
        add(option, type=kind, default=default, metavar="NAME" if kind is str else "N", help=help_text + shown)
    parallel.add_arguments(parser)
    parser.set_defaults(run=_run)


_DESCRIPTION = (
    "Train a model for every objective, β, seed, data set and network, and judge each on held-out data. The same "
    "command goes on where it was cut off; other objectives, seeds, data and networks may join the same folder."
)
_SETTINGS: list[tuple[str, Callable[[str], Any], str]] = [
    ("together", int, "how many β one job trains at once (all)"),
    ("activation", str, "softplus, tanh, relu or leaky_relu"),
    ("latent", int, "how many latents"),
    ("family", str, "of the posterior: diagonal, full, block or isotropic"),
    ("block", int, "the size of a block, for the block family"),
    ("steps", int, "of training"),
    ("learning_rate", float, "at the first step"),
    ("batch", int, "examples in a step"),
    ("columns", int, "of the Jacobian for each example, for grae_column"),
    ("fraction", float, "of the batch that gets columns, for grae_column"),
    ("dtype", str, "float32 or float64"),
    ("device", str, "cpu, cuda, or auto for a GPU where there is one"),
    ("limit", int, "examples of mnist and celeba (all)"),
    ("held_out", int, "held-out examples to judge by, at most"),
    ("samples", int, "draws from the posterior to judge by, an even number"),
]


def _run(namespace: argparse.Namespace) -> int:
    where = parallel.where_from(namespace)
    shared = {name: getattr(namespace, name) for name, _, _ in _SETTINGS}
    rows = sweep(
        namespace.out,
        Settings(betas=numbers("--beta", namespace.beta, float, ".02,.06"), **shared),
        objectives=names(namespace.objective),
        seeds=numbers("--seed", namespace.seed, int, "0,1,2"),
        data=names(namespace.data),
        networks=tuple(namespace.network),
        where=where,
    )
    part = " so far; the other shards add theirs" if where.shard and where.shard[1] > 1 else ""
    print(f"{Path(namespace.out) / 'table.csv'}: {len(rows)} runs{part}.")
    return 0
