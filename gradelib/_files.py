"""Atomic writes: whoever reads a file finds a whole one, whatever happens to the process that writes it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished"  # the ending of a file that is being written, or that a killed process left behind


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8, and replace the old one in one step; its folder must exist."""
    with _draft(path, content) as draft:
        os.replace(draft, path)


def create_atomically(path: Path, content: str | bytes) -> None:
    """Write a file unless it is there: of several processes that do so at a time the first wins."""
    with _draft(path, content) as draft:
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        except OSError:  # some file systems have no hard links
            if not path.exists():
                os.replace(draft, path)


@contextmanager
def _draft(path: Path, content: str | bytes) -> Iterator[Path]:
    """A temporary file beside `path`; its name is unique, as two processes may write the same file at a time."""
    draft = path.with_name(f".{uuid.uuid4().hex}{UNFINISHED}")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
