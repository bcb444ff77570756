"""What all tests share: the built book."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def built_book() -> Path:
    """The folder of the HTML book, built by `make book` (which does nothing that was done already)."""
    build = subprocess.run(["make", "book"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert build.returncode == 0, f"`make book` failed:\n{build.stdout[-3000:]}\n{build.stderr[-3000:]}"
    return ROOT / "_build" / "html"
