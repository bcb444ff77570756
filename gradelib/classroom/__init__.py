"""Marking a class: many notebooks that strangers wrote, in one warm process that is sealed off from everything.

    with Marker(["opt-cov", "optimal-variances"], seed=2026) as marker:
        for path in sorted(folder.glob("*.ipynb")):
            print(marker.mark(path))

Each notebook is run from top to bottom in IPython, in a sandbox whose fork server has imported torch and sympy once.
Marks come from the judge, outside: it reads the formulas that were checked, and sends input points to the functions and
gets numbers back. Its seed, and the answers to a teacher's own exercises, never come in.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradelib.marker.result import Result

_PLACES = {
    **{"Marker": "judge", "Limits": "sandbox", "SandboxError": "sandbox"},
    **{"sandbox_problem": "sandbox", "system_problem": "sandbox"},
}

__all__ = ["Limits", "Marked", "Marker", "SandboxError", "sandbox_problem", "system_problem"]


@dataclass(frozen=True)
class Marked:
    """One submission: a mark for each exercise, in the order asked, and under its id the answer as it was given.

    `problem` is one sentence if the file could not be marked as it should (broken, huge, empty, stopped, …), else None.
    `sha256` is that of the file, or of its first 10 MB where it is larger; empty where there was nothing to read.
    """

    learner: str
    sha256: str
    marks: tuple[Result, ...]
    problem: str | None
    sandboxed: bool
    answers: Mapping[str, str] = field(default_factory=dict)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"gradelib.classroom.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'gradelib.classroom' has no attribute {name!r}")
