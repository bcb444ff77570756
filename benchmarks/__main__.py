"""`python -m benchmarks`: run all of them or some by name, print tables, and write the numbers as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks import answers, cost, marking, quality
from benchmarks.steps import device
from benchmarks.timing import Ratio

BENCHMARKS = {
    "columns": cost.columns,
    "exact": cost.exact,
    "growth": cost.growth,
    "jacobians": cost.jacobians,
    "grid": cost.grid,
    "pythae": cost.pythae,
    "memory": cost.memory,
    "noise": quality.noise,
    "target": quality.target,
    "answers": answers.answers,
    "verdicts": answers.verdicts,
    "marking": marking.marking,
}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of: {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--rounds", type=int, default=20, help="how often each candidate takes its turn (20)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on the CPU (1)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark called {name!r}; choose from {', '.join(BENCHMARKS)}")
    torch.set_num_threads(arguments.threads)
    results: dict[str, Any] = {
        "machine": {
            "device": device(),
            "torch": torch.__version__,
            "processor": platform.machine(),
            "threads": arguments.threads,
        }
    }
    for name in arguments.names or BENCHMARKS:
        print(f"\n{name}: {BENCHMARKS[name].__doc__.splitlines()[0]}", flush=True)
        results[name] = BENCHMARKS[name](arguments.rounds)
        _show(results[name])
        if arguments.json:
            arguments.json.write_text(json.dumps(results, default=dataclasses.asdict, ensure_ascii=False, indent=1))


def _show(table: Any, indent: str = "  ") -> None:
    if not isinstance(table, Mapping):
        print(f"{indent}{table}")
        return
    for name, value in table.items():
        if isinstance(value, Mapping):
            print(f"{indent}{name}")
            _show(value, indent + "  ")
        else:
            text = (
                f"{value:.4g}"
                if isinstance(value, float)
                else str(value)
                if isinstance(value, Ratio)
                else "not reached"
            )
            print(f"{indent}{name:<44} {text}", flush=True)


if __name__ == "__main__":
    main()
