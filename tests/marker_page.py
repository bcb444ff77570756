"""The page's marker in a real browser: the script as it is served, one empty page, many answers at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import minify
from marker_corpus import CHOICES, FORMULAS, Case, as_json

from gradelib.marker.page import language_data, page_data

if TYPE_CHECKING:
    from benchmarks.browser import Browser

SCRIPT = Path(__file__).parent.parent / "book" / "_static" / "scripts" / "marker.js"
BATCH = 500
_LOAD = """
const { language, exercises } = JSON.parse(arguments[0]);
window.marker = GradeMarker.load(language, exercises);
"""
_EACH = "return JSON.stringify(JSON.parse(arguments[0]).map(([id, text]) => marker.%s(id, text)));"


def served_script() -> str:
    """The script without comments, as the pages carry it."""
    return minify.string("application/javascript", SCRIPT.read_text(encoding="utf8"))


class MarkerPage:
    """A page that was opened from a file, with the marker loaded for all exercises."""

    def __init__(self, browser: Browser, folder: Path, script: str) -> None:
        self.browser = browser
        (folder / "marker.js").write_text(script, encoding="utf8")
        page = folder / "page.html"
        page.write_text(
            '<!doctype html><meta charset="utf-8"><title>t</title><script src="marker.js"></script>', "utf8"
        )
        requests, errors = browser.open(page)
        assert not requests
        assert not errors, errors
        self.load_book()

    def load_book(self) -> None:
        """Load all exercises of the book anew."""
        self.load({exercise.id: page_data(exercise) for exercise in (*FORMULAS, *CHOICES)})

    def load(self, exercises: Mapping[str, Any]) -> None:
        """Load these exercises in place of the book's."""
        self.browser.run(_LOAD, as_json({"language": language_data(), "exercises": exercises}))

    def mark(self, cases: Iterable[Case]) -> list[dict[str, Any]]:
        return self._each("mark", cases)

    def preview(self, cases: Iterable[Case]) -> list[dict[str, Any]]:
        return self._each("preview", cases)

    def _each(self, method: str, cases: Iterable[Case]) -> list[dict[str, Any]]:
        asked = [(case.exercise, case.text) for case in cases]
        found: list[dict[str, Any]] = []
        for start in range(0, len(asked), BATCH):
            found += json.loads(self.browser.run(_EACH % method, as_json(asked[start : start + BATCH])))
        return found
