"""From a file that a stranger handed in to the sources of its cells, or one sentence on why there are none."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

MOST_BYTES = 10 * 10**6
_SOLUTION_TITLE = "# @title Solution of exercise"


class SubmissionError(ValueError):
    """The file is no notebook that can be marked; the message says why."""


def fetch(path: Path) -> tuple[bytes, str]:
    """The bytes of a file and their digest; of a larger file only the first ten million. Raises `SubmissionError`."""
    try:
        # Not through a link, and without waiting for the other end of a pipe.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SubmissionError(_open_error(path, error)) from None
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise SubmissionError("This is a folder." if stat.S_ISDIR(mode) else "This is no regular file.")
    with open(number, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    return content, sha256(content[:MOST_BYTES]).hexdigest()


def _open_error(path: Path, error: OSError) -> str:
    if path.is_symlink():
        return "This is a link to another place, which is not followed; hand in the notebook itself."
    return f"The file cannot be opened: {error.strerror}."


@dataclass(frozen=True)
class Cell:
    """A code cell: its number among the code cells, its source, and what the book says of it."""

    number: int
    source: str
    solution: bool = False  # of the book; a check in it does not count
    poses: bool = True

    def names(self, exercise_id: str) -> bool:
        """Whether the id stands in the source, in quotes. Only for words about what did not run: what counts is run."""
        return f'"{exercise_id}"' in self.source or f"'{exercise_id}'" in self.source


def cells_of(content: bytes) -> tuple[Cell, ...]:
    """The code cells; raises `SubmissionError`.

    A cell poses an exercise if its tags say so. Some editors lose tags: where no cell has this one, all may pose but
    those of solutions, which their title gives away, too.
    """
    found = [(number, _source(cell), _tags(cell)) for number, cell in enumerate(_code(content), 1)]
    tagged = any("exercise" in tags for _, _, tags in found)
    cells = []
    for number, source, tags in found:
        exercise = "exercise" in tags
        solution = "solution" in tags or (source.startswith(_SOLUTION_TITLE) and not exercise)
        cells.append(Cell(number, source, solution, exercise if tagged else not solution))
    return tuple(cells)


def posed(cells: Sequence[Cell], ids: Iterable[str]) -> tuple[str, ...]:
    """The exercises, of these, that the cells pose."""
    return tuple(name for name in ids if any(cell.poses and cell.names(name) for cell in cells))


def _code(content: bytes) -> list[dict[str, Any]]:
    if len(content) > MOST_BYTES:
        raise SubmissionError("The file has more than 10 MB; clear the notebook's outputs and save it again.")
    if not content.strip():
        raise SubmissionError("The file is empty.")
    notebook = _parsed(content)
    return [cell for cell in notebook["cells"] if _is(cell, dict) and cell.get("cell_type") == "code"]


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError):
        raise SubmissionError("This is no notebook: it cannot be read as JSON. Was it cut off, or renamed?") from None
    if not _is(notebook, dict) or not _is(notebook.get("nbformat"), int):
        raise SubmissionError("This is JSON, but no notebook.")
    if notebook["nbformat"] != 4:
        version = notebook["nbformat"]
        raise SubmissionError(
            f"This notebook has format {version}; open it in today's Jupyter, save it, and hand it in again."
        )
    if not _is(notebook.get("cells"), list):
        raise SubmissionError("This notebook has no list of cells.")
    return notebook


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    if _is(source, list) and all(_is(line, str) for line in source):
        source = "".join(source)
    # A lone surrogate is legal in JSON, but is no text.
    return source.encode(errors="replace").decode() if _is(source, str) else ""


def _tags(cell: dict[str, Any]) -> list[Any]:
    metadata = cell.get("metadata")
    tags: Any = metadata.get("tags") if isinstance(metadata, dict) else None
    return tags if isinstance(tags, list) else []


def _is(value: Any, kind: type) -> bool:
    return type(value) is kind
