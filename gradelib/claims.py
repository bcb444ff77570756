"""Claims of the paper that a chapter measures: each is the last line of a cell, and a row of the ledger.

    claim("learned-covariance", 0.97 < ratio < 1.02, f"median ratio {ratio:.2f}",
          length="1500 steps, 3 seeds", control="the same with a full posterior")

The cell fails where the claim does not hold. Where it holds, the lines it prints say what was measured, how long and on
what, and which control could have refuted it. The build of the book puts these words into the row of `book/claims.yml`
that names the claim as its evidence.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from gradelib import records


class ClaimError(AssertionError):
    """A claim that the measurement does not bear out."""


@dataclass(frozen=True)
class Claim:
    """A claim that held, with the words that say what was measured."""

    name: str
    measured: str
    length: str
    control: str

    def __str__(self) -> str:
        return f"▪ {self.name} · {self.measured}\n  length: {self.length}\n  control: {self.control}"

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return records.mimebundle("claim", self.name, str(self), asdict(self))


def claim(name: str, holds: object, measured: str, *, length: str, control: str) -> Claim:
    """Assert that the claim `name` holds, and say what was measured, with the numbers.

    `holds` is a comparison, so a bool of Python, numpy or torch. `length` says how long was trained, on what, with how
    many seeds, or that nothing was; `control` what was compared that could have refuted the claim. Raises ClaimError
    where it is false, and ValueError where the lines would say nothing: a name that no row can have, a truth value that
    is none, words without a number, no length or no control.
    """
    if not re.fullmatch(r"(?!eq-)[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"The name of a claim is made of small letters, digits and single hyphens, unlike {name!r}.")
    if not isinstance(holds, bool) and not str(getattr(holds, "dtype", "")).endswith("bool"):
        raise ValueError(f"Whether {name} holds is True or False, but this is a {type(holds).__name__}.")
    if not re.search(r"\d", measured):
        raise ValueError(f"The words for {name} give no number: {measured!r}.")
    for what, words in (("length", length), ("control", control)):
        if not words.strip():
            raise ValueError(f"The {what} of {name} is empty; where there was none, say so.")
    if not holds:
        raise ClaimError(f"{name} does not hold: {measured}")
    return Claim(name, *(" ".join(words.split()) for words in (measured, length, control)))
