"""The values of command-line options: each is read in one way by all commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def whole_number(option: str, text: str | None, *, least: int = 0) -> int | None:
    """The number, or None where the option was not given; raises ValueError for any other text."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise ValueError(f"{option} must be a whole number of at least {least}, but it is {text!r}.")
    return int(text)


def numbers(option: str, text: str, kind: Callable[[str], Number], example: str) -> tuple[Number, ...]:
    """Numbers with commas between them; raises ValueError, with an example, for any other text."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"{option} needs numbers with commas between them, like {example}, but got {text!r}."
        ) from None


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
