"""The command line: `gradelib grade`, `check`, `bank`, `assignment` and `experiment`."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from gradelib import __version__
from gradelib._names import one_of
from gradelib.classroom import assignment, grade
from gradelib.exercises import command as bank
from gradelib.experiments import command as experiment

FAILED, MISTAKEN, INTERRUPTED = 1, 2, 130  # exit codes: what a shell expects of a failure, a wrong call and Ctrl-C


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one sentence, like everything else here."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message[:1].upper()}{message[1:]}; see '{self.prog} --help'.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    It is 0; 1 where something could not be done or marked; 2 for a wrong call. Where nothing was done, there is one
    sentence on stderr.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("gradelib: stopped; the same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"gradelib: {_sentence(error)}", file=sys.stderr)
        return MISTAKEN if isinstance(error, ValueError | FileNotFoundError | NotADirectoryError) else FAILED


def _run(arguments: list[str]) -> int:
    parser = _Parser(
        prog="gradelib",
        description="Mark the exercises of a class, or repeat recorded experiments.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gradelib {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in (grade, experiment, assignment, bank):
        module.register(commands)
    for command in commands.choices.values():
        command.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")
    if not arguments:
        parser.print_help()
        return MISTAKEN
    if not arguments[0].startswith("-"):
        _check_options(commands.choices[one_of("command", arguments[0], commands.choices)], arguments[1:])
    namespace = parser.parse_args(arguments)
    with _silence() if namespace.quiet else contextlib.nullcontext():
        return namespace.run(namespace)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No progress bars, and nothing on stdout."""
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        with open(os.devnull, "w", encoding="utf8") as nothing, contextlib.redirect_stdout(nothing):
            yield
    finally:
        os.environ.pop("TQDM_DISABLE")
        if before is not None:
            os.environ["TQDM_DISABLE"] = before


def _check_options(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Refuse an unknown option with the nearest known one; argparse alone would first ask for what is missing."""
    known = re.findall(r"(?<![\w-])--[a-z][\w-]*", parser.format_help())
    for argument in arguments:
        if argument.startswith("--") and len(argument) > 2:
            one_of("option", argument.split("=")[0], dict.fromkeys(known))


def _sentence(error: Exception) -> str:
    """What an error says, on one line; for the system's own errors, what is wrong with which file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return " ".join(str(error).split())
