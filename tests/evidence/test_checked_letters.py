"""The formula of an exact check has the letters of its equation, or the report says what its own stand for."""

from __future__ import annotations

import checked_letters
import letters
import pytest
import yaml

STAND_FOR: dict[str, dict[str, str]] = yaml.safe_load((letters.BOOK / "exceptions.yml").read_text(encoding="utf8"))[
    "letters"
]
CHECKS = {chapter: checked_letters.of_checks(text) for chapter, text in letters.sources().items()}
EQUATIONS = {
    label: tex for text in letters.sources().values() for label, tex in letters.numbered_equations(text).items()
}
# What an equation means without writing it: of what a letter is made, sizes, the example and its code.
MADE_OF = {"P": r"I J H \beta", "M": "J H", "L": r"g J H I \beta p", r"\mathcal L": r"g J H I \beta p"}
UNDERSTOOD = {"x", "h", "n", "d", "I", r"\pi", "p", "e"}


def unexplained(label: str, found: set[str]) -> set[str]:
    there = letters.of(EQUATIONS[label])
    made = {part for letter, parts in MADE_OF.items() if letter in there for part in parts.split()}
    return found - there - made - UNDERSTOOD


@pytest.mark.parametrize("chapter", CHECKS)
def test_a_check_has_the_letters_of_its_equation(chapter):
    assert CHECKS[chapter]
    found = {label: unexplained(label, used) for label, used in CHECKS[chapter].items()}
    strange = {label: left for label, used in found.items() if (left := used - set(STAND_FOR.get(label, {})))}
    assert strange == {}


@pytest.mark.parametrize("chapter", CHECKS)
def test_nothing_is_explained_that_needs_no_words(chapter):
    told = {label: STAND_FOR[label] for label in CHECKS[chapter] if label in STAND_FOR}
    idle = {label: set(words) - unexplained(label, CHECKS[chapter][label]) for label, words in told.items()}
    assert {label: left for label, left in idle.items() if left} == {}


def test_only_checks_are_explained():
    assert set(STAND_FOR) - set().union(*CHECKS.values()) == set()


def test_formulas_are_read_with_their_names_and_symbols():
    cell = """```{code-cell} ipython3
:tags: [hide-input]
P = "(I_d + T(J)@J)"
def left(J): return J
half = f"tr{P}/2"
display(exact("eq-a", left, f"{half} - logdet({P.format(1)})", lam="pos", symbols={"J": "W"}))
by_squares("eq-b", "2*u1*sqrt(lam)", "beta", "w_2**2", Q="sqrt:S")
```
"""
    assert checked_letters.of_checks(cell) == {"eq-a": {"I", "W"}, "eq-b": {"u", r"\lambda", r"\beta", "w"}}
