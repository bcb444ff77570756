"""The words of the formula language: one JSON file, which the page's reader loads too, and the errors that quote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LANGUAGE: dict[str, Any] = json.loads(Path(__file__).with_name("language.json").read_text(encoding="utf8"))
LIMITS: Mapping[str, int] = LANGUAGE["limits"]
# Whether each function works on a number or vector, a vector, a matrix, or a square matrix.
FUNCTIONS: Mapping[str, str] = LANGUAGE["functions"]
_SENTENCES: Mapping[str, str] = LANGUAGE["sentences"]
_PHRASES: Mapping[str, str] = LANGUAGE["phrases"]


def sentence(code: str, **fields: object) -> str:
    """The sentence with this code, its fields filled in."""
    return _SENTENCES[code].format(**fields)


def phrase(code: str, **fields: object) -> str:
    """The part of a sentence with this code, its fields filled in."""
    return _PHRASES[code].format(**fields)


class AnswerError(ValueError):
    """Something is wrong with a formula. `code` names its sentence in `language.json`; the message is that sentence."""

    def __init__(self, code: str, **fields: object) -> None:
        super().__init__(sentence(code, **fields))
        self.code = code

    def meant(self, mended: str) -> AnswerError:
        """The same error with a formula that may have been meant."""
        error = type(self)("meant", text=str(self), mended=mended)
        error.code = self.code
        return error

    def inside(self, part: str) -> AnswerError:
        """The same error, which says in which part of the formula it lies."""
        error = type(self)("inside", part=part, text=str(self))
        error.code = self.code
        return error


class UnreadableError(AnswerError):
    """The answer is not a formula of the language; the message says what to change."""


class ShapeError(UnreadableError):
    """The shapes in a formula do not go together."""


class UndefinedError(AnswerError):
    """A step of the formula has no finite real value at this point."""


def shown(text: str, most: int = 40) -> str:
    """A piece of a learner's text in quotes, short; what does not print is left out."""
    text = "".join(c if c.isprintable() else " " for c in text[: most + 1])
    return phrase("quoted", text=text if len(text) <= most else text[:most] + phrase("more"))


def character(sign: str) -> str:
    """A character as itself and by its number: “é” (U+00E9)."""
    number = f"U+{ord(sign):04X}"
    return phrase("character", shown=shown(sign), number=number) if sign.isprintable() else number
