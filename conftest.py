"""How pytest runs the book: the notebooks' kernels inherit this environment and these rules of comparison."""

from __future__ import annotations

import math
import os
import time
from datetime import date

import pytest

from gradelib._kernel import ENVIRONMENT
from gradelib.records import MIME_TYPE

DEADLINE = pytest.StashKey[float]()

for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "write the pictures of the sheet of formulas, to be looked at (tests/site/test_formula_sheet.py)"
    parser.addoption("--write-references", action="store_true", help=words)
    parser.addoption("--whole-corpus", action="store_true", help="try corpora as a whole, and not a sample of each")
    parser.addoption("--within", type=float, help="begin no test after so many seconds (for `make quick`)")
    words = "draw the samples of corpora with this number; that of today's date by default"
    parser.addoption("--sample-seed", type=int, default=int(f"{date.today():%Y%m%d}"), help=words)


def pytest_collection_finish(session: pytest.Session) -> None:
    seconds = session.config.getoption("--within")
    session.config.stash[DEADLINE] = time.monotonic() + seconds if seconds else math.inf


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.monotonic() > item.config.stash[DEADLINE]:
        pytest.skip(f"not begun within {item.config.getoption('--within'):.0f} seconds")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Compare what a notebook says in words, which is all that it stores; the other forms say the same."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("text/html", "image/svg+xml", MIME_TYPE)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """As many as there are processors: with one more they take as long, and more of the processors' time."""
    return os.cpu_count() or 1


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("--whole-corpus"):
        return "corpora: whole"
    return f"corpora: samples; the same ones again with --sample-seed {config.getoption('--sample-seed')}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests have measured: what they print themselves is lost in a worker process."""
    measured = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "measured"
    ]
    if measured:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(sorted(measured)))
