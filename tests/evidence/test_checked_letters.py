"""The formula of an exact check has the letters of its equation, or the report says what its own stand for."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

import checked_letters
import letters
import pytest
import yaml
from chapter_cells import code_of

STAND_FOR: dict[str, dict[str, str]] = yaml.safe_load((letters.BOOK / "exceptions.yml").read_text(encoding="utf8"))[
    "letters"
]
CHAPTERS = [f"{number:02}" for number in range(1, len(letters.sources()) + 1)]
EQUATIONS = {
    label: tex for text in letters.sources().values() for label, tex in letters.numbered_equations(text).items()
}
# What an equation means without writing it: of what a letter is made, an index, sizes, the example and its code.
MADE_OF = {"P": r"I J H \beta", "M": "J H", "L": r"g J H I \beta p", r"\mathcal L": r"g J H I \beta p q"}
UNDERSTOOD = {"i", "x", "h", "n", "d", "I", r"\pi", "p", "e"}


def unexplained(label: str, found: set[str]) -> set[str]:
    there = letters.of(EQUATIONS[label])
    made = {part for letter, parts in MADE_OF.items() if letter in there for part in parts.split()}
    return found - there - made - UNDERSTOOD


of_checks = lru_cache(checked_letters.of_checks)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_check_has_the_letters_of_its_equation(chapter):
    found = {label: unexplained(label, used) for label, used in of_checks(chapter).items()}
    strange = {label: left for label, used in found.items() if (left := used - set(STAND_FOR.get(label, {})))}
    assert strange == {}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_exact_check_is_left_out(chapter):
    stated = re.findall(r"\b(?:exact|by_squares)\(\s*\"(eq-[\w-]+)\"", "\n".join(code_of(chapter)))
    assert stated
    assert set(of_checks(chapter)) == set(stated)


def test_nothing_is_explained_that_needs_no_words():
    checks = {label: used for chapter in CHAPTERS for label, used in of_checks(chapter).items()}
    assert set(STAND_FOR) - set(checks) == set()
    idle = {label: set(words) - unexplained(label, checks[label]) for label, words in STAND_FOR.items()}
    assert {label: left for label, left in idle.items() if left} == {}


CELLS = """
import sympy as sp
from gradelib.equations import limit
from gradelib.exact import by_squares, exact
P, other = "(I_d + T(J)@J)", "H"
def left(J, lam): return J.T * J * lam + sp.Symbol(unread)
limit("eq-a", "beta", "0", to="0")
display(exact("eq-a", left, f"lam*{P.replace('J', 'V')}", V="matrix:n,d", lam="pos", symbols={"V": "W"}))
by_squares("eq-b", "2*u1*sqrt(lam)", "beta*tr(Q)", "w**2", lam="pos", u="real", u1="real", w="real", Q="sqrt:S")
exact("eq-c", sp.Symbol("k")**2, "m**2", m=sp.Symbol("k"))
unread = train()
"""


def test_formulas_are_read_as_they_are_put_together_and_nothing_else_runs():
    assert checked_letters.letters_of(ast.parse(CELLS).body, "a chapter") == {
        "eq-a": {"I", "W", r"\lambda"},
        "eq-b": {"u", r"\lambda", r"\beta", r"\Sigma", "w"},
        "eq-c": {"m"},
    }
