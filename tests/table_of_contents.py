"""The pages of the book, known before it is built."""

from __future__ import annotations

from pathlib import Path

import yaml

from book.extensions import is_chapter

_TOC = Path(__file__).parent.parent / "_toc.yml"


def files() -> list[str]:
    """All files of the table of contents, without suffix, in its order."""
    return _below(yaml.safe_load(_TOC.read_text(encoding="utf-8")))


def pages() -> list[str]:
    """All pages of the built book: those of its files, and those that Sphinx adds."""
    return [f"{name}.html" for name in (*files(), "index", "genindex", "search")]


def chapters() -> list[str]:
    """The pages of the numbered chapters."""
    return [f"{name}.html" for name in files() if is_chapter(name)]


def _below(entry: dict) -> list[str]:
    parts = [item for key in ("parts", "chapters", "sections") for item in entry.get(key, [])]
    own = [entry[key] for key in ("root", "file") if key in entry]
    return own + [name for part in parts for name in _below(part)]
