"""One letter, one meaning: the letters of a chapter's numbered equations stand in its table of the notation."""

from __future__ import annotations

import re
from collections import Counter

import letters
import pytest

NOTATION = (letters.BOOK / "notation.md").read_text(encoding="utf8")
TABLES = letters.tables(NOTATION)
SYMBOLS = set().union(*map(letters.of, re.findall(r"\$[^$]+\$", NOTATION.partition("\n## Letters")[0])))
EVERYWHERE = {letter for tex, _ in TABLES["Everywhere"] for letter in letters.of(tex)} | SYMBOLS
SOURCES = letters.sources()


@pytest.mark.parametrize("chapter", SOURCES)
def test_the_letters_of_numbered_equations_are_in_the_table(chapter):
    known = EVERYWHERE | {letters.first(tex) for tex, _ in TABLES[chapter]}
    equations = letters.numbered_equations(SOURCES[chapter])
    assert equations
    unknown = {label: found for label, tex in equations.items() if (found := letters.of(tex) - known)}
    assert unknown == {}


@pytest.mark.parametrize("chapter", TABLES)
def test_a_letter_has_one_meaning(chapter):
    counted = Counter(letters.first(tex) for tex, _ in TABLES[chapter])
    assert {letter for letter, times in counted.items() if times > 1} == set()


@pytest.mark.parametrize("chapter", SOURCES)
def test_no_row_is_left_over(chapter):
    used = set().union(*map(letters.of, letters.numbered_equations(SOURCES[chapter]).values()))
    assert {letters.first(tex) for tex, _ in TABLES[chapter]} - used == set()


@pytest.mark.parametrize(
    ("tex", "found"),
    [
        (r"\mathrm{KL}(q\,\|\,p)", {"q", "p"}),
        (r"\hat P_{ii} \le \dots \tfrac12\beta", {r"\hat P", "i", r"\beta"}),
        (r"\lVert J\rVert_F^2 + L_{\mathrm{GRAE}\approx}", {"J", "L"}),
        (r"\tilde{\mathcal Q} = \mathbb E_{q\in\mathcal Q}", {r"\tilde \mathcal Q", r"\mathbb E", "q", r"\mathcal Q"}),
        (r"\frac{\mathrm d}{\mathrm dt} A \quad\text{as } t\to0", {"t", "A"}),
    ],
)
def test_letters_are_read_off_a_formula(tex, found):
    assert letters.of(tex) == found
