"""What all tests share: the built book, and a browser to look at it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corpora import sampling
from engines import KINDS, Engine
from filelock import FileLock
from order import place

if TYPE_CHECKING:
    from benchmarks.browser import Browser

ROOT = Path(__file__).parent.parent
# Firefox and WebKit are tried by `make test-all` alone.
MARKS = dict.fromkeys(set(KINDS) - {"chromium"}, (pytest.mark.engines,))


def pytest_configure(config: pytest.Config) -> None:
    sampling.whole = config.getoption("--whole-corpus")
    sampling.seed = config.getoption("--sample-seed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long; `make quick` has an order of its own."""
    if not config.getoption("--within"):
        items.sort(key=lambda item: place(item.nodeid.partition("::")[0]))


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium with a fresh profile; the tests that want one are skipped where there is none."""
    from benchmarks.browser import MISSING, chromium

    if MISSING:
        pytest.skip(MISSING)
    with chromium() as running:
        yield running


@pytest.fixture(scope="module", params=[pytest.param(name, marks=MARKS.get(name, ())) for name in KINDS])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn; the tests of one that is not there are skipped."""
    if reason := KINDS[request.param].missing:
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="module")
def engine(engine_name: str) -> Iterator[Engine]:
    """A browser of each engine with a fresh profile, one for a module."""
    with KINDS[engine_name].running() as running:
        yield running
