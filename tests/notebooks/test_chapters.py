"""What every chapter owes its reader, read off its source and its executed notebook."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import jupytext
import nbformat
import pytest
import torch
from cells import too_big

from book.extensions import chapter_sources
from gradelib import exercises, networks, training

CHAPTERS = chapter_sources(Path(__file__).parents[2])
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def code_cells(chapter: Path) -> list:
    return [cell for cell in jupytext.read(chapter).cells if cell.cell_type == "code"]


def tagged(chapter: Path, tag: str) -> list:
    cells = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4).cells
    return [cell for cell in cells if tag in cell.metadata.get("tags", [])]


def said(cell) -> str:
    return "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)


@each_chapter
def test_cells_are_small(chapter):
    assert too_big([cell.source for cell in code_cells(chapter)]) == []


def test_a_big_cell_is_found():
    assert too_big(["a = 1\n" * 17, "wide = " + "1" * 80, "fine = 1"]) == ["a = 1", "wide = " + "1" * 80]


@each_chapter
def test_chapter_opens_with_its_question_and_ends_with_a_summary(chapter):
    text = chapter.read_text(encoding="utf-8")
    opening = re.search(r"^# [^\n]+\?\n\n(.+?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert opening, "the title is a question, with a paragraph of its own below it"
    assert opening[1].endswith("?"), "the opening line is a question"
    for part in ("After this chapter you can", "What you need", "What the paper says", "## Summary", "{cite"):
        assert part in text, part


@each_chapter
def test_each_training_takes_its_device_from_the_first_cell_with_torch(chapter):
    sources = [cell.source for cell in code_cells(chapter)]
    first = next(source for source in sources if "import torch" in source)
    devices = {device_of(call) for source in sources for call in trainings(source)}
    assert all(re.search(rf"^{device} = ", first, re.MULTILINE) for device in devices)
    assert len(devices) <= 1


def trainings(source: str) -> list[ast.Call]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) in ("training.fit", "training.fit_grid")]


def device_of(call: ast.Call) -> str:
    return next((ast.unparse(given.value) for given in call.keywords if given.arg == "device"), "none is given")


@each_chapter
def test_exercises_are_known_and_each_has_a_stub_and_a_solution(chapter):
    known = {exercise.id for exercise in exercises.every()}
    asked = [re.findall(r'check\("([\w-]+)"', cell.source) for cell in code_cells(chapter)]
    assert {name for names in asked for name in names} <= known
    stubs, solutions = (
        [re.search(r'check\("([\w-]+)"', cell.source)[1] for cell in tagged(chapter, tag)]
        for tag in ("exercise", "solution")
    )
    assert stubs == solutions
    assert len(stubs) >= (2 if chapter.stem.startswith("12") else 3)


@each_chapter
def test_untouched_stubs_are_unanswered_and_solutions_correct(chapter):
    # nbval compares these stored outputs with a fresh run
    assert [cell.source for cell in tagged(chapter, "exercise") if not said(cell).startswith("○ No answer yet")] == []
    assert [cell.source for cell in tagged(chapter, "solution") if not said(cell).startswith("✓ Correct")] == []


@each_chapter
def test_chapter_has_a_live_figure(chapter):
    assert any("live.explore(" in cell.source for cell in code_cells(chapter))


def test_the_program_that_no_cell_runs_would_run(monkeypatch, tmp_path):
    """Chapter 11 shows how to train on CelebA; here it does so for one step, on a few random pictures of that shape."""
    text = next(path for path in CHAPTERS if path.stem == "11-samples").read_text(encoding="utf-8")
    [program] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    short = {"steps": 1, "batch_size": 2, "seeds": range(1)}
    pictures = torch.rand(4, 64 * 64 * 3)
    names = {
        "torch": torch,
        "networks": networks,
        "datasets": SimpleNamespace(load=lambda _, dtype: SimpleNamespace(train=pictures.to(dtype))),
        "training": SimpleNamespace(fit_grid=lambda *given, **more: training.fit_grid(*given, **more | short)),
        "slides": (0.4,),
        "fits": {},
    }
    monkeypatch.chdir(tmp_path)  # it leaves checkpoints
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # as the chapter's first cell does
    try:
        exec(program, names)
    finally:
        torch.set_default_dtype(before)
    for name in ("β-VAE", "GRAE≈"):
        assert names["fits"][name][0.4, 0].losses.isfinite().all()
