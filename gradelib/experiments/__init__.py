"""Recorded experiments: each has a question, a grid of jobs, and rows that say where they come from.

`load(name)` gives the rows that ship with the package. `gradelib experiment run NAME` adds those that are missing.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradelib._names import one_of

if TYPE_CHECKING:
    from gradelib.experiments.experiment import Experiment, Row

NAMES = (
    "mnist-objectives",
    "fitted-variances",
    "mnist-blocks",
    "mnist-samples",
    "learned-covariance",
    "digits-long",
    "digits-samples",
    "race",
    "images-64",
)


@dataclass(frozen=True)
class Recorded:
    """What is recorded of an experiment.

    `rows` maps a key to its job, state, numbers and provenance; `arrays` maps "key name" to arrays of float32; `table`
    is the answer, as the experiment evaluates the rows. `missing` are the keys of the grid that have no row yet, and
    `stale` is what `confirm` found wrong with the rows, or None; `running.state_of` looks whether the code has changed.
    """

    name: str
    question: str
    rows: Mapping[str, Row]
    arrays: Mapping[str, NDArray[np.float32]]
    table: list[Row]
    missing: list[str]
    stale: str | None


def find(name: str) -> Experiment:
    """The experiment of that name; raises ValueError, with the nearest right name, where there is none."""
    one_of("experiment", name, NAMES)
    return importlib.import_module(f"gradelib.experiments.{name.replace('-', '_')}").EXPERIMENT


def load(name: str, folder: str | Path | None = None) -> Recorded:
    """What is recorded of an experiment, in the package or in another `folder`.

    Raises ValueError for an unknown name and for a file that is cut, altered or of other settings.
    """
    from gradelib.experiments.store import Store

    experiment = find(name)
    store = Store(experiment, Path(folder) if folder else None)
    head, rows = store.read()
    return Recorded(
        name=name,
        question=experiment.question,
        rows=rows,
        arrays=store.arrays_of(rows),
        table=experiment.evaluate(list(rows.values())),
        missing=[key for key in experiment.jobs if key not in rows],
        stale=head.get("stale"),
    )


def table(name: str) -> list[Row]:
    """The table of an experiment; how many of its rows are recorded is printed. Raises what `load` raises."""
    found = load(name)
    print(f"{len(found.rows)} of {len(found.rows) + len(found.missing)} rows of {name} are recorded")
    return found.table


def gpu_measurements() -> dict[str, Any]:
    """What `make gpu` measured on a GPU: device, versions, how it agrees with the CPU, milliseconds and megabytes."""
    from gradelib.experiments.store import FOLDER

    return dict(json.loads((FOLDER / "gpu.json").read_text(encoding="utf-8")))
