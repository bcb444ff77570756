"""The first cell of every notebook."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from book.extensions.notebooks.notebook import set_up_cell


def run_set_up(monkeypatch: pytest.MonkeyPatch, *, present: bool, status: int = 0) -> tuple[list[list[str]], str]:
    """Run the first cell where gradelib is present or not; the commands it gave and what it said."""
    commands, said = [], io.StringIO()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if present else None)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: commands.append(command) or SimpleNamespace(returncode=status)
    )
    with contextlib.redirect_stdout(said):
        exec(set_up_cell("https://github.com/someone/planted", "main").source, {})
    return commands, said.getvalue()


def test_the_set_up_does_nothing_where_gradelib_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_set_up(monkeypatch, present=True) == ([], "")


def test_the_set_up_installs_gradelib_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    [command], said = run_set_up(monkeypatch, present=False)
    assert said == ""
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--no-deps" in command
    assert command[-1] == "https://github.com/someone/planted/archive/refs/heads/main.zip"


def test_the_set_up_says_one_sentence_when_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    _, said = run_set_up(monkeypatch, present=False, status=1)
    assert said.startswith("The set-up could not fetch https://github.com/someone/planted/")
    assert said.count("\n") == 1
