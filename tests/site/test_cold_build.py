"""The book from a fresh checkout: no outputs, no pages and no stamps of an earlier build stand in for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.page_audit import html_pages, parse

ROOT = Path(__file__).parents[2]


def check_out(target: Path) -> None:
    """Copy what git would hand on, as it is in the working tree; the environment stays the one that is there."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / ".venv").symlink_to(ROOT / ".venv")


def texts(book: Path) -> dict[str, str]:
    """The words of each page, but for how long its code ran; a stream may arrive in one piece or in two."""
    pages = {page.relative_to(book).as_posix(): parse(page) for page in html_pages(book)}
    timeless = {name: re.sub(r"\d+ s\b", "", page.get_text(" ")) for name, page in pages.items()}
    return {name: " ".join(text.split()) for name, text in timeless.items()}


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout of git")
def test_a_fresh_checkout_builds_the_same_pages(built_book, tmp_path):
    check_out(tmp_path)
    done = subprocess.run(["make", "book"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Executing 0 notebook(s)" not in done.stdout
    assert texts(tmp_path / "_build/html") == texts(built_book)
