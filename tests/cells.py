"""How large a code cell may be."""

from __future__ import annotations

LONGEST_CELL, WIDEST_LINE = 16, 76  # the page shows this much without scrolling


def too_big(sources: list[str]) -> list[str]:
    """The first lines of cells with too many lines of code or with a line that is too wide."""
    return [
        source.split("\n")[0]
        for source in sources
        if sum(bool(line.strip()) for line in source.split("\n")) > LONGEST_CELL
        or max(map(len, source.split("\n"))) > WIDEST_LINE
    ]
