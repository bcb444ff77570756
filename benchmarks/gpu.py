"""`python -m benchmarks.gpu`: what a GPU gives and costs, within eight minutes, without a network, into one JSON file.

First it compares a GPU's training with the CPU's, then it measures milliseconds a step and memory of every objective
over latents and batch sizes, then it does rows of the recorded experiments until the time is up, several groups of jobs
at a time, each of which trains its models side by side. `--take FILE` merges the rows of such a file into the recorded
ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from gradelib import experiments, networks, parallel, training
from gradelib._files import write_atomically
from gradelib.experiments import provenance, running
from gradelib.experiments.store import Store

PARTS = ("agreement", "speed", "rows")
OBJECTIVES = ("beta_vae", "taylor", "grae", "grae_bound", "grae_column", "autoencoder", "rae")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large and how long everything is; minutes count from the start of the program."""

    hidden: tuple[int, ...] = (512, 512)
    latents: tuple[int, ...] = (8, 32, 128)
    batches: tuple[int, ...] = (64, 128, 512, 2048)
    steps: int = 100
    agreement_steps: int = 60
    speed_until: float = 3.0
    rows_until: float = 7.0


TINY = Sizes(hidden=(8,), latents=(2,), batches=(4,), steps=3, agreement_steps=5, rows_until=0.0)


def agreement(device: str, sizes: Sizes) -> Iterator[dict[str, Any]]:
    """How far training on the device is from training on the CPU: losses and weights, relative to the largest."""
    for dtype, objective, optimiser in product(("float64", "float32"), OBJECTIVES, ("adam", "muon")):
        fits = [_fit(objective, optimiser, place, dtype, sizes) for place in ("cpu", device)]
        losses = [fit.losses.double() for fit in fits]
        weights = [torch.nn.utils.parameters_to_vector(fit.model.parameters()).detach().double() for fit in fits]
        yield {
            "dtype": dtype,
            "objective": objective,
            "optimiser": optimiser,
            "losses": float((losses[0] - losses[1]).abs().max() / losses[0].abs().max()),
            "weights": float((weights[0] - weights[1]).abs().max() / weights[0].abs().max()),
        }


def _fit(objective: str, optimiser: str, device: str, dtype: str, sizes: Sizes) -> training.Fit:
    x = torch.rand(500, 784, generator=torch.Generator().manual_seed(0)).to(getattr(torch, dtype))
    model = networks.mlp_vae(784, sizes.latents[0], hidden=sizes.hidden).to(x.dtype)
    return training.fit(
        model,
        x,
        beta=0.4,
        objective=objective,
        optimiser=optimiser,
        learning_rate=1e-3,
        steps=sizes.agreement_steps,
        device=device,
    )


def speed(device: str, sizes: Sizes, started: float) -> Iterator[dict[str, Any]]:
    """Milliseconds a step of `training.fit`, and the most memory it held in MB, for each objective, d and batch."""
    x = torch.rand(4096, 784, generator=torch.Generator().manual_seed(0))
    for d, batch, objective in product(sizes.latents, sizes.batches, OBJECTIVES):
        row: dict[str, Any] = {"objective": objective, "latents": d, "batch": batch}
        if time.perf_counter() - started > 60 * sizes.speed_until:
            yield row | {"not measured": "the time was up"}
            continue
        try:
            yield row | _measured(objective, d, batch, x, device, sizes)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            yield row | {"not measured": "out of memory"}


def _measured(objective: str, d: int, batch: int, x: torch.Tensor, device: str, sizes: Sizes) -> dict[str, Any]:
    on_gpu = device.startswith("cuda")
    options = {"beta": 0.4, "objective": objective, "batch_size": batch, "device": device}
    options |= {"optimiser": "adam", "learning_rate": 1e-4}  # the lightest step, so that the objective shows
    for steps in (min(10, sizes.steps), sizes.steps):  # the first call loads kernels
        model = networks.mlp_vae(784, d, hidden=sizes.hidden)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        before = time.perf_counter()
        training.fit(model, x, steps=steps, **options)
        milliseconds = 1e3 * (time.perf_counter() - before) / steps  # the losses are on the CPU: the GPU has finished
    memory = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else None
    return {"milliseconds": milliseconds, "megabytes": memory}


def rows(
    device: str,
    source: str,
    names: Sequence[str],
    where: parallel.Where,
    until: float,
    record: Callable[[dict[str, Any]], None],
) -> list[str]:
    """Do rows of the recorded experiments that are missing, in their order; no group begins after `until`.

    `record` gets each row. Returns a sentence for each group that failed.
    """
    groups: dict[str, dict[str, running.Task]] = {}
    for name in names:
        experiment = experiments.find(name)
        there = Store(experiment).read()[1]
        missing = {key: job for key, job in experiment.jobs.items() if key not in there}
        tasks = {key: running.Task(name, job, source, device, until) for key, job in missing.items()}
        groups |= {f"{name}, {key}": group for key, group in running.groups(tasks).items()}

    def record_all(which: str, found: dict[str, tuple[dict[str, Any], dict[str, Any]]]) -> None:
        for key, (row, arrays) in found.items():
            record({"experiment": which.split(",")[0], "key": key, "row": row, "arrays": arrays})

    failures = parallel.run_jobs(running.work_together, groups, where, record=record_all, label="rows")
    return [failure.sentence for failure in failures.values()]


def take(file: Path) -> str:
    """Merge the rows of a file that this program wrote into the recorded ones; returns what to say."""
    found = json.loads(file.read_text(encoding="utf-8"))["rows"]
    for entry in found:
        Store(experiments.find(entry["experiment"])).merge(entry["key"], entry["row"], entry["arrays"])
    return f"{len(found)} rows were merged."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; one sentence where it cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the file of the results (%(default)s)")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the program itself (%(default)s)")
    parser.add_argument("--source", help="the folder of MNIST's four IDX files; without it no rows are done")
    parser.add_argument("--tiny", action="store_true", help="so small that it takes seconds")
    parser.add_argument("--take", type=Path, metavar="FILE", help="merge the rows of FILE into the recorded ones")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="some of them only")
    parser.add_argument(
        "--experiments", nargs="+", choices=experiments.NAMES, default=experiments.NAMES, metavar="NAME"
    )
    parser.add_argument("--minutes", type=float, help=f"when rows end, from now ({Sizes.rows_until:g})")
    parser.add_argument("--workers", type=int, default=4, help="groups of rows at a time (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        if options.take:
            print(take(options.take))
            return 0
        device = str(training.place_of(options.device))
        where = parallel.Where(workers=options.workers)
    except (ValueError, OSError) as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return 2
    sizes, started = TINY if options.tiny else Sizes(), time.perf_counter()
    found: dict[str, Any] = {
        "device": provenance.device_name(torch.device(device)),
        "versions": provenance.versions(),
        "sizes": dataclasses.asdict(sizes),
        **{part: [] for part in PARTS},
    }

    def record(part: str, entry: dict[str, Any]) -> None:
        found[part].append(entry)
        write_atomically(options.out, json.dumps(found, ensure_ascii=False, indent=1))

    def report(part: str) -> None:
        print(f"{part}: {len(found[part])} entries after {time.perf_counter() - started:.0f} s", flush=True)

    for part, entries in (("agreement", agreement(device, sizes)), ("speed", speed(device, sizes, started))):
        if part in options.parts:
            for entry in entries:
                record(part, entry)
            report(part)
    if options.source and "rows" in options.parts:
        until = time.time() + 60 * (options.minutes or sizes.rows_until) - (time.perf_counter() - started)
        failures = rows(device, options.source, options.experiments, where, until, partial(record, "rows"))
        report("rows")
        for sentence in failures:
            print(sentence, file=sys.stderr)
    print(f"{options.out} has the results.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
