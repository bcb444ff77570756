"""Rows of recorded experiments, as the tables of the chapters print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_error(row: Mapping[str, Any], name: str, form: str) -> str:
    """A number of a row, printed like ".3f" or ".1%" with its sign, ± its standard error or – where there is none.

    The error is that over seeds where the row has one, and else that over images.
    """
    error = row.get(f"{name}_seeds") or row.get(f"{name}_error")
    return f"{row[name]:+{form}} ± " + (f"{error:{form}}" if error else "–")
