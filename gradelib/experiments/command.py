"""`gradelib experiment`: list the recorded experiments, run what is missing of them, or confirm one."""

from __future__ import annotations

import argparse
from pathlib import Path

from gradelib import parallel
from gradelib._names import one_of

ACTIONS = ("list", "run", "confirm")
_DESCRIPTION = (
    "list says what is recorded. run does the jobs that are missing, of one experiment or of all, and prints an "
    "estimate first; killed at any moment, the same command goes on. confirm runs three random jobs again and says "
    "whether the recorded rows still hold."
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `gradelib experiment` to the command line."""
    parser = commands.add_parser(
        "experiment", help="list, run or confirm recorded experiments", description=_DESCRIPTION
    )
    add = parser.add_argument
    add("action", metavar="ACTION", help="list, run or confirm")
    add("name", nargs="?", metavar="NAME", help="of the experiment; without it, list and run take all")
    add("--minutes", metavar="M", help="no job starts later than that")
    add("--source", metavar="FOLDER", help="the four IDX files of MNIST, as torchvision leaves them, on each worker")
    add(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, or auto: GRADELIB_DEVICE, or the CPU (%(default)s)"
    )
    add("--out", metavar="FOLDER", help="the recorded files, where they are not those of the package")
    parallel.add_arguments(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from gradelib import experiments
    from gradelib.experiments import running

    one_of("action", options.action, ACTIONS)
    if options.name is None and options.action == "confirm":
        raise ValueError(f"confirm needs the name of an experiment, one of {', '.join(experiments.NAMES)}.")
    chosen = [experiments.find(name) for name in ([options.name] if options.name else experiments.NAMES)]
    folder = Path(options.out) if options.out else None
    if options.action == "list":
        for experiment in chosen:
            print(running.summary(experiment, folder))
        return 0
    how = {"source": options.source, "device": options.device, "folder": folder}
    where = parallel.where_from(options)
    if options.action == "confirm":
        return 0 if running.confirm(chosen[0], where, **how) else 1
    minutes = _minutes(options.minutes)
    for experiment in chosen:
        running.run(experiment, where, minutes=minutes, **how)
    return 0


def _minutes(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 < minutes < float("inf"):
        raise ValueError(f"--minutes must be a number above 0, but it is {text!r}.")
    return minutes
