"""The page for teachers: what it assigns exists, and its cells keep to the measure of a chapter's."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
from test_chapters import too_big

from gradelib import exercises

PAGE = Path(__file__).parents[1] / "book" / "teaching.md"


def misplaced(text: str) -> list[str]:
    """Exercises in a row of a plan that none of the row's chapters has, and chapters that no row names."""
    found, named = [], set()
    for row in re.findall(r"^\|.*\{ref\}.*$", text, re.MULTILINE):
        numbers = [int(number) for number in re.findall(r"\{ref\}`(\d+) <ch-", row)]
        named.update(numbers)
        known = {exercise.id for number in numbers for exercise in exercises.of_chapter(number)}
        found += [name for name in re.findall(r"(?<!\})`([a-z\d-]+)`", row) if name not in known]
    return found + [f"chapter {number}" for number in exercises.CHAPTERS if number not in named]


def test_the_plans_assign_exercises_of_their_chapters():
    text = PAGE.read_text(encoding="utf8")
    assert misplaced(text) == []
    assert len(misplaced(text.replace("`grae-loss`", "`rotation`").replace("{ref}`12 ", "{ref}`11 "))) == 3


def test_its_cells_are_small():
    assert too_big([cell.source for cell in jupytext.read(PAGE).cells if cell.cell_type == "code"]) == []


def test_it_is_no_chapter():
    """The exporter writes a notebook for each chapter, and the theme a launch button for each kernel."""
    assert not PAGE.name[0].isdigit()
    assert "kernelspec" not in PAGE.read_text(encoding="utf8").split("---")[1]
