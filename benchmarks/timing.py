"""Candidates that take turns, and the ratios between them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Ratio:
    """A median ratio of times with the quartiles around it, and the median time itself in milliseconds."""

    median: float
    low: float
    high: float
    milliseconds: float

    def __str__(self) -> str:
        return f"{self.median:6.2f} × ({self.low:.2f} – {self.high:.2f}), {self.milliseconds:.2f} ms"


def now() -> float:
    """Seconds that this process has computed: on a GPU by the clock, on one CPU thread without what others took."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(run: Callable[[], object], repeats: int = 1) -> float:
    """How long one of `repeats` runs takes."""
    start = now()
    for _ in range(repeats):
        run()
    return (now() - start) / repeats


def ratios(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int, repeats: int = 1, warm_up: int = 1
) -> dict[str, Ratio]:
    """Each candidate against the first: in each round they run one after another, `repeats` times each."""
    for run in candidates.values():
        for _ in range(warm_up):
            run()
    times = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            times[name].append(seconds(run, repeats))
    base = times[next(iter(candidates))]
    return {name: _ratio([t / b for t, b in zip(taken, base, strict=True)], taken) for name, taken in times.items()}


def growth(sizes: list[int], milliseconds: list[float]) -> float:
    """The exponent p in time ∝ size^p, by least squares on a double logarithmic scale."""
    x, y = ([math.log(v) for v in values] for values in (sizes, milliseconds))
    return statistics.linear_regression(x, y).slope


def _ratio(values: list[float], taken: list[float]) -> Ratio:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Ratio(median, low, high, 1e3 * statistics.median(taken))
