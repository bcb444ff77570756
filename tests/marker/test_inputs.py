"""Inputs of real learners that an earlier marker answered wrongly; `inputs.json` says what each of them should get."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy
import torch

from gradelib import check

INPUTS = {case["id"]: case for case in json.loads(Path(__file__).with_name("inputs.json").read_text())["check"]}


def kl(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    return 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(-1)


def not_implemented(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    raise NotImplementedError()


def sympy_beta() -> Any:
    b, w = sympy.symbols("β w")
    return b / (b + w**2)


def solved() -> Any:
    beta, w, s = sympy.symbols("beta w s")
    return sympy.solve(s * (beta + w**2) - beta, s)


# What the inputs describe in Python.
OBJECTS: dict[str, Callable[[], Any]] = {
    "sympy-beta": sympy_beta,
    "solve-list": solved,
    "cosh": lambda: -1 / (4 * sympy.cosh(sympy.Symbol("a") / 2) ** 2),
    "mean-attribute": lambda: lambda mu, lv: 0.5 * (lv.exp() + mu**2 - 1 - lv).mean(),
    "not-implemented": lambda: not_implemented,
}
CORRECT = {"en-dash", "fullwidth", "lambda-letter", "lambda-word", "sympy-beta", "square-brackets", "solve-list"}
CORRECT |= {"equation", "three-lines", "semicolon", "caret", "cosh", "dot"}
TOLD = {
    "decimal-comma": ("unreadable", "0.5"),
    "half-bracket": ("unreadable", "Did you mean 1/2*(tr(S) + norm2(h) - d - logdet(S))"),
    "latex-not-raw": ("unreadable", "LaTeX"),
    "mean-attribute": ("incorrect", "averaging"),
    "not-implemented": ("unanswered", "Nothing to mark yet"),
}
BY_HAND = {"no-grad", "first-jacfwd", "three-arguments"}


def test_each_input_is_tried() -> None:
    assert CORRECT | {*TOLD} | BY_HAND == {*INPUTS}


def tried(name: str) -> Any:
    answer = OBJECTS[name]() if name in OBJECTS else INPUTS[name]["answer"]
    return check(INPUTS[name]["exercise"], answer)


@pytest.mark.parametrize("name", sorted(CORRECT))
def test_inputs_that_are_right(name: str) -> None:
    assert tried(name), tried(name)


@pytest.mark.parametrize("name", sorted(TOLD))
def test_inputs_that_are_told_what_is_wrong(name: str) -> None:
    state, words = TOLD[name]
    assert tried(name).state == state
    assert words in tried(name).text


def test_gradients_switched_off_elsewhere() -> None:
    with torch.no_grad():
        assert check("kl-standard-normal", kl)


def test_one_argument_too_many() -> None:
    assert "one answer" in check("opt-var-1d", "a", "b").text


def test_the_first_call_of_torch_func_in_a_fresh_kernel() -> None:
    script = (
        "import torch\nfrom gradelib import check\n"
        "f = lambda m, v: torch.func.jacfwd(lambda t: t*(0.5*(v.exp() + m**2 - 1 - v)).sum(-1))"
        "(torch.ones((), dtype=m.dtype))\n"
        "print(check('kl-standard-normal', f).state)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["correct"]
