"""What `check` gives back: a verdict that reads well as text, as HTML and as a truth value."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal, NamedTuple

from gradelib._colours import VERDICTS
from gradelib.marker.vocabulary import LANGUAGE, phrase

State = Literal["correct", "incorrect", "unreadable", "unanswered"]

SYMBOLS: dict[State, str] = {state: said["symbol"] for state, said in LANGUAGE["states"].items()}
WORDS: dict[State, str] = {state: said["word"] for state, said in LANGUAGE["states"].items()}
_LINE = {"correct": "solid", "incorrect": "double", "unreadable": "dashed", "unanswered": "dotted"}


class Outcome(NamedTuple):
    """What marking finds: the state, a sentence, the known mistake if there is one, and how a formula was read."""

    state: State
    text: str
    mistake: str | None = None
    read_as: str | None = None


@dataclass(frozen=True, repr=False)
class Result:
    """The verdict on one answer; true if it is correct.

    `mistake` is the known mistake that the answer makes (its formula, or a word such as "sign"), or None. `read_as` is
    the formula as it was read, with the brackets that its order of operations needs; None for other answers.
    `score` is what was reached, `max_score` what the exercise is worth.
    """

    exercise: str
    state: State
    text: str
    mistake: str | None = None
    score: float = 0
    max_score: float = 0
    read_as: str | None = None

    def __bool__(self) -> bool:
        return self.state == "correct"

    @property
    def points(self) -> float:
        """The same as `score`, which is the name to use; notebooks that were handed out before say `points`."""
        return self.score

    def __str__(self) -> str:
        return f"{self._head()} · {self.exercise}{self._points()}\n{self.text}"

    __repr__ = __str__

    def _head(self) -> str:
        return f"{SYMBOLS[self.state]} {WORDS[self.state]}"

    def _points(self) -> str:
        if not self.max_score or self.state in ("unanswered", "unreadable"):
            return ""
        unit = "point" if self.max_score == 1 else "points"
        return " · " + phrase(unit, score=f"{self.score:g}", max_score=f"{self.max_score:g}")

    def _repr_html_(self) -> str:
        """A box in the page's own colours: symbol, word and a bar whose line differs as well as its colour."""
        bar, _ = VERDICTS[self.state]
        box = (
            f"border-left:6px {_LINE[self.state]} {bar};background:color-mix(in srgb,{bar} 7%,transparent);"
            "color:inherit;font:inherit;padding:.5em .9em;margin:.5em 0;border-radius:4px;max-width:44em;"
            "overflow-wrap:anywhere;line-height:1.5"
        )
        head = f"<strong>{self._head()}</strong> · {escape(self.exercise + self._points())}"
        return f'<div role="status" style="{box}"><div>{head}</div><div>{escape(self.text)}</div></div>'


class HandedIn(Result):
    """What `check` gives where the answer key is not at hand: no verdict, and true, so that a notebook goes on."""

    def __bool__(self) -> bool:
        return True

    def _head(self) -> str:
        return "→ Handed in"


def handed_in(exercise_id: str) -> HandedIn:
    """The result for an exercise that is marked later, elsewhere."""
    return HandedIn(exercise_id, "unanswered", "This answer is marked later.")
