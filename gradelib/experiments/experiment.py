"""What an experiment is: a question, a grid of jobs, one function that does a job, and one that evaluates the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gradelib import datasets
from gradelib.datasets import Dataset

Job = Mapping[str, Any]  # what JSON can hold
Row = dict[str, Any]
Outcome = tuple[dict[str, Any], dict[str, Any]]  # numbers, and nested lists that become arrays of float32

TINY_DIGITS = 6  # the digits of a tiny run that are compared; float64 gives them on every processor


@dataclass(frozen=True)
class Experiment:
    """A recorded experiment.

    `settings` is what all jobs share besides their own, `jobs` maps the key of each row to its job, the most telling
    first. `data` names the data set, unless a job has a `data` of its own. `run(job, settings, data, device)` does one
    job. `evaluate(rows)` turns rows into the table of the answer. `number` is what `confirm` compares. `tiny_jobs` and
    `tiny_settings` go through every branch of `run`, on `tiny_data` of scikit-learn. `trainings(job)` are
    the jobs that `run` gives to `models.train`, one after another.
    """

    name: str
    question: str
    data: str
    settings: Mapping[str, Any]
    jobs: Mapping[str, Job]
    run: Callable[[Job, Mapping[str, Any], Dataset, str], Outcome]
    evaluate: Callable[[Sequence[Row]], list[Row]]
    number: str
    tiny_jobs: Mapping[str, Job]
    tiny_settings: Mapping[str, Any]
    trainings: Callable[[Job], list[Job]] = lambda job: [job]
    tiny_data: Callable[[], Dataset] = lambda: few_digits()

    def data_of(self, job: Job) -> str:
        """The name of the data set of a job."""
        return str(job.get("data", self.data))

    def tiny(self) -> dict[str, str]:
        """The printed digits of the tiny run, in float64 on the CPU, by job and number."""
        data = self.tiny_data()
        found: dict[str, str] = {}
        for key, job in self.tiny_jobs.items():
            for part in self.run(job, self.tiny_settings, data, "cpu"):
                found |= {f"{key} {name}": _printed(value) for name, value in part.items() if "seconds" not in name}
        return found


def few_digits() -> Dataset:
    """A small part of the digits in float64."""
    whole = datasets.load("digits", torch.float64)
    return Dataset(
        name="few digits",
        train=whole.train[:200],
        test=whole.test[:40],
        train_labels=whole.train_labels[:200],
        test_labels=whole.test_labels[:40],
        image_shape=whole.image_shape,
        scale=whole.scale,
    )


def _printed(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_printed(part) for part in value)
    return f"{value:.{TINY_DIGITS}g}" if isinstance(value, float) else str(value)
