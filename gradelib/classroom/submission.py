"""From a file that a stranger handed in to the sources of its cells, or one sentence on why there are none."""

from __future__ import annotations

import json
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

MOST_BYTES = 10 * 10**6


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


def cells_of(content: bytes) -> tuple[tuple[int, str], ...]:
    """The code cells, without those that hold the book's solutions; raises `SubmissionError`."""
    return tuple((number, _source(cell)) for number, cell in _code(content) if "solution" not in _tags(cell))


def posing(content: bytes) -> tuple[str, ...]:
    """The sources of the cells whose tags say that they pose an exercise; raises `SubmissionError`.

    Some editors lose tags: where no cell has this one, all may pose.
    """
    tagged = tuple(_source(cell) for _, cell in _code(content) if "exercise" in _tags(cell))
    return tagged or tuple(source for _, source in cells_of(content))


def _code(content: bytes) -> list[tuple[int, dict[str, Any]]]:
    if len(content) > MOST_BYTES:
        raise SubmissionError("The file has more than 10 MB; clear the notebook's outputs and save it again.")
    if not content.strip():
        raise SubmissionError("The file is empty.")
    notebook = _parsed(content)
    code = [cell for cell in notebook["cells"] if _is(cell, dict) and cell.get("cell_type") == "code"]
    return list(enumerate(code, 1))


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
