"""What all tests share: the built book."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the HTML book, built by `make book` (which does nothing that was done already).

    The first of several worker processes builds it. The others wait, and leave it alone.
    """
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    done = shared / "book-is-built"
    with FileLock(shared / "book.lock"):
        if not done.exists():
            build = subprocess.run(["make", "book"], cwd=ROOT, capture_output=True, text=True, check=False)
            assert build.returncode == 0, f"`make book` failed:\n{build.stdout[-3000:]}\n{build.stderr[-3000:]}"
            done.touch()
    return ROOT / "_build" / "html"
