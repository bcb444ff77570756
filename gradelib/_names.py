"""Unknown names are answered with the nearest right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` most likely meant, or None where nothing is near."""
    near = difflib.get_close_matches(str(name), list(options), n=1, cutoff=0.5)
    return near[0] if near else None


def one_of(kind: str, name: str, options: Iterable[str]) -> str:
    """Return `name` if it is one of `options`; otherwise raise ValueError with the nearest right one."""
    options = list(options)
    if name in options:
        return name
    near = nearest(name, options)
    hint = f"Did you mean {near!r}?" if near else f"Choose one of {', '.join(map(repr, options))}."
    raise ValueError(f"There is no {kind} called {name!r}. {hint}")
