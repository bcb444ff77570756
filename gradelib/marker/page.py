"""Exercises and the formula language as data for a page, where `marker.js` marks as this package does.

The page computes in float64 at the same points, so it gets the raw numbers of these points, and draws none.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from gradelib.marker.compare import points
from gradelib.marker.diagnosis import SQUARE_SIZES
from gradelib.marker.domains import ALWAYS, split
from gradelib.marker.exercise import Choice, Exercise, Mistake
from gradelib.marker.vocabulary import LANGUAGE

_SCALE = 256  # raw numbers are multiples of 1/256
_DERIVED = ("dim", "eye", "sqrt", "sqrtneg")  # what follows from the sizes, or from another input
# Sentences about answers that are no text.
_NOT_IN_THE_PAGE = ("object", "sympy_", "symbol", "no_torch", "wants_function")
_VERDICT = ("kind", "inputs", "answer", "tolerance", "options", "reasons", "right")


def language_data() -> dict[str, Any]:
    """The formula language, cut to what a page needs; where a page says something else than Python, it says that."""
    of_page = LANGUAGE["page"]
    sentences = {code: text for code, text in LANGUAGE["sentences"].items() if not code.startswith(_NOT_IN_THE_PAGE)}
    return {
        **{name: table for name, table in LANGUAGE.items() if name != "page"},
        "characters": {name: table for name, table in LANGUAGE["characters"].items() if name != "unicode"},
        "sentences": sentences | of_page["sentences"],
        "states": LANGUAGE["states"] | of_page["states"],
        "spoken": of_page["spoken"],
        "always": ALWAYS,
    }


def page_data(exercise: Exercise) -> dict[str, Any]:
    """A formula or choice exercise as data that JSON can hold; ValueError for a function exercise.

    Of a formula: its `inputs` and their domains, the right `answer`, the `mistakes` (formula, sentence, and a name if
    the formula is not its name), in `rightNames` the names in every right form and those in some, the `sizes` [n, d] of
    the points, of which the first `compared` decide and all serve the diagnosis, and in `raw`, for each input that is
    drawn, its numbers times 256, point after point. Of a choice: the keys of options and reasons in the order shown,
    the indices of the `right` pair and the sentence of each pair.
    `revision` changes with what decides whether an answer is right, and not with the words about it.
    """
    if exercise.choice is not None:
        data = _choice_data(exercise, exercise.choice)
    elif exercise.answer is not None:
        data = _formula_data(exercise)
    else:
        raise ValueError(f"Exercise {exercise.id} asks for a function, which a page cannot mark.")
    decides = json.dumps([data.get(name) for name in _VERDICT])
    return {**data, "maxScore": exercise.max_score, "revision": hashlib.sha256(decides.encode()).hexdigest()[:8]}


def _formula_data(exercise: Exercise) -> dict[str, Any]:
    compared = list(points(exercise.inputs))
    drawn = [*compared, *points(exercise.inputs, sizes=SQUARE_SIZES)]
    inputs = {name: domain for name, domain in exercise.inputs.items() if name not in ALWAYS}
    return {
        "kind": "formula",
        "inputs": inputs,
        "answer": exercise.answer,
        "mistakes": [_mistake_data(mistake) for mistake in exercise.mistakes],
        "rightNames": [sorted(names) for names in exercise.right_names],
        "tolerance": exercise.tolerance,
        "sizes": [[point.sizes["n"], point.sizes["d"]] for point in drawn],
        "compared": len(compared),
        "raw": {
            name: _whole([point.raw[name] for point in drawn])
            for name, domain in inputs.items()
            if split(domain)[0] not in _DERIVED
        },
    }


def _mistake_data(mistake: Mistake) -> list[Any]:
    return [mistake.answer, mistake.hint, *([mistake.name] if mistake.name else [])]


def _whole(arrays: list[Any]) -> list[int]:
    """The entries of all arrays, times 256, row by row."""
    entries = np.concatenate([np.ravel(array) for array in arrays]) * _SCALE
    whole = entries.astype(int)
    assert (whole == entries).all()
    return whole.tolist()


def _choice_data(exercise: Exercise, choice: Choice) -> dict[str, Any]:
    options, reasons = (list(labels.values()) for labels in choice.labels(exercise.id))
    right_option, right_reason = choice.right
    return {
        "kind": "choice",
        "options": options,
        "reasons": reasons,
        "right": [options.index(right_option), reasons.index(right_reason)],
        "hints": [[choice.hints.get((option, reason), "") for reason in reasons] for option in options],
    }
