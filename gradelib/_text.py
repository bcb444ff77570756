"""Cleaning of text that strangers wrote: control characters, ANSI escapes and bidirectional marks become visible."""

from __future__ import annotations

import re

# What changes the direction of writing, or is no character at all, could make one name look like another.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with its control characters, and whatever turns the direction of writing, written as escapes."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str, most: int = 300) -> str:
    """The first characters of a text, printable and without line breaks."""
    return printable(" ".join(text[:most].split()))
