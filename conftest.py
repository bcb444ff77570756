"""How pytest runs the book: the notebooks' kernels inherit this environment and these rules of comparison."""

from __future__ import annotations

import os

import pytest

from gradelib._kernel import ENVIRONMENT
from gradelib.records import MIME_TYPE

for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "write the pictures of the sheet of formulas, to be looked at (tests/site/test_formula_sheet.py)"
    parser.addoption("--write-references", action="store_true", help=words)
    parser.addoption("--whole-corpus", action="store_true", help="try the page's marker on all answers, not a sample")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Compare what a notebook says in words, which is all that it stores; the other forms say the same."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("text/html", "image/svg+xml", MIME_TYPE)


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
