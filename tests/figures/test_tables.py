"""The tables of recorded experiments say what the rows hold."""

from __future__ import annotations

import re

import pytest

from gradelib import experiments
from gradelib.figures import chapter05, chapter06
from gradelib.figures.tables import with_error

ROW = {
    "data": "digits",
    "activation": "relu",
    "family": "full",
    "beta": 0.4,
    "steps": 6000,
    "taylor_signed": -0.021,
    "taylor_signed_seeds": 0.004,
    "taylor_absolute": 0.11,
    "indefinite": 0.125,
    "variance_ratio": [0.7, 0.95, 1.3],
    "off": 0.64,
    "smallest": [0.5, 0.66, 0.8],
    "largest": [1.1, 1.53, 1.9],
    "kl": 0.0461,
    "learned_less_formula": 0.0136,
    "learned_less_formula_error": 0.002,
    "resolved": 7.6,
}


def test_a_number_stands_beside_its_error_over_seeds():
    row = {"a": 0.5, "a_seeds": 0.25, "a_error": 0.125}
    assert with_error(row, "a", ".2f") == "+0.50 ± 0.25"
    assert with_error(row, "a", ".0%") == "+50% ± 25%"


@pytest.mark.parametrize(("row", "shown"), [({"a": -1, "a_error": 0.1}, "-1.0 ± 0.1"), ({"a": -1}, "-1.0 ± –")])
def test_without_seeds_the_error_is_that_over_images_or_a_dash(row, shown):
    assert with_error(row, "a", ".1f") == shown


def test_it_is_said_how_many_rows_there_are(capsys):
    table = experiments.table("digits-long")
    found = experiments.load("digits-long")
    assert table == found.table
    assert capsys.readouterr().out.startswith(f"{len(found.rows)} of {len(found.rows) + len(found.missing)} rows")


@pytest.mark.parametrize(
    ("table", "numbers"),
    [
        (chapter05.table_of, ["0.4", "6000", "-2.1%", "0.4%", "11%", "12.5%"]),
        (
            chapter06.table_by_family,
            ["0.4", "6000", "0.70", "0.95", "1.30", "64%", "0.66", "1.53", "0.046", "+0.0136", "0.0020"],
        ),
        (chapter06.table_by_length, ["0.4", "6000", "7.6", "64%", "0.046", "+0.0136", "0.0020"]),
    ],
)
def test_a_line_holds_the_numbers_of_its_row(table, numbers):
    _, line = table([ROW]).splitlines()
    assert re.findall(r"[+-]?\d[\d.]*%?", line) == numbers


def test_a_row_without_the_exact_hessian_gets_a_dash():
    assert chapter05.table_of([ROW]).endswith("–")
    assert chapter05.table_of([ROW | {"exact_less_formula": 0.2}]).endswith("+0.2000 ± –")
