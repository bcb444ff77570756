"""The answer key and the marker of the book *On Implicit Regularization in β-VAEs*.

`import gradelib` is light: a submodule, and torch with it, is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBMODULES = (
    "marker",
    "claims",
    "datasets",
    "equations",
    "evaluation",
    "exercises",
    "figures",
    "geometry",
    "likelihoods",
    "classroom",
    "networks",
    "objectives",
    "posteriors",
    "training",
)

__all__ = ["check", *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name == "check":
        from gradelib.marker.check import check

        return check
    if name in _SUBMODULES:
        return importlib.import_module(f"gradelib.{name}")
    raise AttributeError(f"module 'gradelib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
