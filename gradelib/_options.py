"""The values of command-line options: each is read in one way by all commands."""

from __future__ import annotations


def whole_number(option: str, text: str | None, *, least: int = 0) -> int | None:
    """The number, or None where the option was not given; raises ValueError for any other text."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise ValueError(f"{option} must be a whole number of at least {least}, but it is {text!r}.")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
