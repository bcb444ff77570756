"""Long test files are begun first, short ones last."""

from __future__ import annotations

from pathlib import Path

import order
import pytest

ROOT = Path(__file__).parent.parent


def test_what_is_named_is_there():
    assert [name for name in (*order.LONG, *order.SHORT) if not (ROOT / name).exists()] == []


def test_the_long_ones_come_first_and_the_short_ones_last(request: pytest.FixtureRequest):
    names = (order.LONG[0], order.LONG[-1], "book/01-a.ipynb", "tests/marker/test_a.py")
    places = [order.place(name) for name in names]
    assert places == sorted(set(places))
    if not request.config.getoption("--within"):  # else the nearest come first
        files = [item.nodeid.partition("::")[0] for item in request.session.items]
        assert files == sorted(files, key=order.place)
