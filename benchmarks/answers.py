"""Marking one answer: how long a check takes, and whether its verdict depends on what else the machine does."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gradelib import exercises
from gradelib.marker.check import mark
from gradelib.marker.exercise import Exercise

_RIGHT, _WRONG = "'correct'", "'incorrect'"
LOADS = (0, 8)
RUNS = 6
# In a fresh kernel: every solution and mistake of the function exercises, each at two seeds; the first call of
# `torch.func`; an endless loop.
_ANSWERS = """
import torch
from gradelib import exercises
from gradelib.marker.check import mark

def first(m, v):
    one = torch.ones((), dtype=m.dtype)
    return torch.func.jacfwd(lambda t: t*(0.5*(v.exp() + m**2 - 1 - v)).sum(-1))(one)

def endless(m, v):
    while True:
        pass

kl = exercises.get("kl-standard-normal")
results = [mark(kl, first), mark(kl, endless)]
for exercise in exercises.every():
    if exercise.function:
        given = [exercise.reference, *exercise.also_right, *(mistake.answer for mistake in exercise.mistakes)]
        results += [mark(exercise, answer, seed=seed) for answer in given for seed in (0, 1)]
print([(result.exercise, result.state, result.mistake, result.text) for result in results])
"""


def answers(rounds: int) -> dict[str, Any]:
    """Milliseconds for one check, after the first: the median over all exercises, and the slowest of them."""
    formulas = [exercise for exercise in exercises.every() if exercise.answer]
    functions = [exercise for exercise in exercises.every() if exercise.function]
    return {
        "a right formula": _spread(formulas, lambda e: e.also_right[0], rounds),
        "a formula with a known mistake": _spread(formulas, lambda e: e.mistakes[-1].answer, rounds),
        "a formula that is like nothing known": _spread(formulas, lambda e: f"({e.answer})*7 + sqrt(3)", rounds),
        "a formula with a product left out": _spread(formulas, lambda e: f"2({e.answer})", rounds),
        "a right function": _spread(functions, lambda e: e.also_right[0], rounds),
        "a function with a known mistake": _spread(functions, lambda e: e.mistakes[0].answer, rounds),
    }


def _spread(marked: list[Exercise], answer: Callable[[Exercise], Any], rounds: int) -> dict[str, float]:
    medians = []
    for exercise in marked:
        given = answer(exercise)
        mark(exercise, given)
        medians.append(statistics.median(_milliseconds(lambda e=exercise, a=given: mark(e, a)) for _ in range(rounds)))
    return {"median": statistics.median(medians), "slowest": max(medians)}


def _milliseconds(run: Callable[[], object]) -> float:
    """CPU time of this process and of its children, so that other work on the machine does not count."""
    start = os.times()
    ticks = time.process_time()
    run()
    end = os.times()
    children = (end.children_user - start.children_user) + (end.children_system - start.children_system)
    return 1e3 * (time.process_time() - ticks + children)


def verdicts(rounds: int) -> dict[str, Any]:
    """Up to six runs of all right and wrong functions in fresh kernels, at load 0 and 8: one set of verdicts."""
    table: dict[str, Any] = {}
    found = set()
    for load in LOADS:
        with _busy(load):
            for run in range(1, min(rounds, RUNS) + 1):
                start = time.perf_counter()
                command = [sys.executable, "-c", _ANSWERS]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                found.add(said)
                table[f"load {load}, run {run}"] = {
                    "seconds": time.perf_counter() - start,
                    "right": float(said.count(_RIGHT)),
                    "wrong": float(said.count(_WRONG)),
                    "different sets of verdicts so far": float(len(found)),
                }
    return table


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
