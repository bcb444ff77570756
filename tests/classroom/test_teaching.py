"""The page for teachers: what it assigns exists, and its cells keep to the measure of a chapter's."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import jupytext
import pytest
from cells import too_big

from gradelib import exercises
from gradelib.classroom import assignment, grade
from gradelib.exercises import command as bank
from gradelib.experiments import command as experiment

PAGE = Path(__file__).parents[2] / "book" / "teaching.md"


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


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise ValueError(message)


def understood(text: str) -> list[str]:
    """The commands that the text tells to type, read as the command line reads them; ValueError for a wrong one."""
    parser = Parser(allow_abbrev=False)
    commands = parser.add_subparsers(parser_class=Parser, required=True)
    for module in (grade, experiment, assignment, bank):
        module.register(commands)
    found = re.findall(r"(?:^|`)gradelib ([^`\n]+--[^`\n]+)", text.replace("\\\n", ""), re.MULTILINE)
    for line in found:
        parser.parse_args(shlex.split(line))
    return [line.split()[0] for line in found]


def code() -> list[str]:
    return [cell.source for cell in jupytext.read(PAGE).cells if cell.cell_type == "code"]


def test_its_cells_are_small():
    assert too_big(code()) == []


def test_the_commands_on_it_are_understood():
    text = PAGE.read_text(encoding="utf8")
    assert {"grade", "experiment"} <= set(understood(text))
    for wrong in (text.replace("--shard 1/8", "--part 1/8"), text.replace("--scheduler tcp", "tcp")):
        with pytest.raises(ValueError, match="unrecognized arguments"):
            understood(wrong)


def test_it_can_be_built_on_a_machine_without_bubblewrap_and_says_the_same_each_time():
    marking = [source for source in code() if '"grade"' in source]
    assert marking
    assert all('"--no-sandbox"' in source and '"--seed"' in source for source in marking)


def test_it_is_no_chapter():
    """The exporter writes a notebook for each chapter, and the theme a launch button for each kernel."""
    assert not PAGE.name[0].isdigit()
    assert "kernelspec" not in PAGE.read_text(encoding="utf8").split("---")[1]
