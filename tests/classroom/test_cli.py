"""The command line: one sentence for whatever is wrong, and no torch where only help is wanted."""

import argparse
import os
import subprocess
import sys

import pytest

import gradelib
from gradelib import cli
from gradelib.experiments import running

RUN = ["experiment", "run", "mnist-blocks"]


def said(capsys, *arguments):
    """Exit code and what was said, on stdout and on stderr."""
    try:
        code = cli.main(arguments)
    except SystemExit as end:  # how argparse ends after --help
        code = end.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["experiment", "--help"], ["grade", "--help"], ["assignment", "--help"]]
)
def test_help(arguments, capsys):
    code, out, err = said(capsys, *arguments)
    assert (code, err) == (0, "")
    assert out.startswith("usage: gradelib")


def test_help_names_every_command(capsys):
    _, out, _ = said(capsys, "--help")
    for command in ("grade", "experiment", "assignment"):
        assert f"\n    {command}" in out


def test_without_a_command_there_is_help_and_an_exit_code(capsys):
    code, out, err = said(capsys)
    assert (code, err) == (2, "")
    assert out == said(capsys, "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["experment"], "There is no command called 'experment'. Did you mean 'experiment'?"),
        (
            ["zzz"],
            "There is no command called 'zzz'. Choose one of 'grade', 'experiment', 'assignment', 'bank', 'check'.",
        ),
        ([*RUN, "--minuts", "3"], "There is no option called '--minuts'. Did you mean '--minutes'?"),
        ([*RUN, "--minuts=3"], "There is no option called '--minuts'. Did you mean '--minutes'?"),
        ([*RUN, "--minute", "3"], "There is no option called '--minute'. Did you mean '--minutes'?"),
        (["experiment"], "required: ACTION; see 'gradelib experiment --help'."),
        ([*RUN, "--minutes", "few"], "--minutes must be a number above 0, but it is 'few'."),
        ([*RUN, "--minutes"], "expected one argument; see 'gradelib experiment --help'."),
        ([*RUN, "surplus"], "Unrecognized arguments: surplus"),
        (["--verbose"], "see 'gradelib --help'."),
    ],
)
def test_a_wrong_call_is_one_sentence(arguments, sentence, capsys):
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("gradelib: ")
    assert err.count("\n") == 1
    assert sentence in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("It is\n   wrong."), 2, "It is wrong."),
        (FileNotFoundError(2, "No such file or directory", "/there"), 2, "/there: No such file or directory."),
        (RuntimeError("No worker."), 1, "No worker."),
        (ImportError("Install it."), 1, "Install it."),
        (ConnectionError("No scheduler."), 1, "No scheduler."),
        (PermissionError(13, "Permission denied", "/there"), 1, "/there: Permission denied."),
        (OSError(28, "No space left on device"), 1, "No space left on device."),
    ],
)
def test_an_error_is_one_line(error, code, line, capsys, monkeypatch):
    monkeypatch.setattr(running, "run", lambda *_, **__: (_ for _ in ()).throw(error))
    assert said(capsys, *RUN) == (code, "", f"gradelib: {line}\n")


def test_the_version(capsys):
    assert said(capsys, "--version") == (0, f"gradelib {gradelib.__version__}\n", "")


@pytest.mark.parametrize("flag", ["--quiet", "-q"])
def test_quiet_is_silent_and_errors_are_told(capsys, monkeypatch, flag):
    def shows(*_, **__):
        print(f"estimate, with bars: {'TQDM_DISABLE' not in os.environ}")
        raise RuntimeError("No worker.")

    monkeypatch.setattr(running, "run", shows)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    assert said(capsys, *RUN)[1] == "estimate, with bars: True\n"
    assert said(capsys, *RUN, flag) == (1, "", "gradelib: No worker.\n")
    assert "TQDM_DISABLE" not in os.environ


def test_lists_are_written_in_one_way():
    """An option that takes several values takes them with commas between; none takes several words."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for module in (cli.grade, cli.experiment, cli.assignment):
        module.register(commands)
    actions = [(name, action) for name, one in commands.choices.items() for action in one._actions]
    assert [(name, action.dest) for name, action in actions if action.nargs in ("*", "+") or action.nargs == 2] == []
    lists = {f"{name} {action.dest}" for name, action in actions if "," in (action.metavar or "")}
    assert lists == {"grade exercises", "grade chapter", "assignment exercises", "assignment chapter"}


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(running, "run", lambda *_, **__: {}["nothing"])
    with pytest.raises(KeyError):
        cli.main(RUN)


def test_an_interrupted_run_says_that_it_goes_on(capsys, monkeypatch):
    monkeypatch.setattr(running, "run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert said(capsys, *RUN) == (130, "", "gradelib: stopped; the same command goes on from here.\n")


def test_help_and_mistakes_are_quick_to_come():
    """They need no torch, which takes seconds to import."""
    script = "import sys; from gradelib.cli import main; sys.exit(main(['experment']) + 88 * ('torch' in sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "Did you mean 'experiment'?" in run.stderr


def test_the_package_is_a_program():
    run = subprocess.run([sys.executable, "-m", "gradelib", "--help"], capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert run.stdout.startswith("usage: gradelib")
