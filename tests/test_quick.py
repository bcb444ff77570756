"""What `make quick` runs after an edit: the nearest tests first, and the notebook of an edited chapter."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import quick

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("file", "first"),
    [
        ("tests/marker/test_compare.py", "tests/marker/test_compare.py"),
        ("gradelib/marker/compare.py", "tests/marker/test_compare.py"),
        ("gradelib/_files.py", "tests/experiments/test_atomic_writes.py"),
        ("gradelib/exercises/chapter06.py", "tests/marker/test_exercises.py"),
        ("gradelib/figures/chapter06.py", "tests/figures/test_chapter06.py"),
        ("tests/corpora.py", "tests/classroom/test_judge.py"),
        ("book/extensions/page/fonts.py", "tests/site/test_fonts.py"),
        ("book/06-optimal-covariance.md", "tests/notebooks/test_chapters.py"),
        ("book/_static/scripts/marker.js", "tests/page_marker/test_marking.py"),
        ("book/claims.yml", "tests/evidence/test_claims.py"),
        (".github/workflows/test.yml", "tests/site/test_workflows.py"),
    ],
)
def test_the_nearest_tests_come_first(file, first):
    assert quick.chosen_tests([file])[0] == first


def test_what_concerns_no_test_chooses_none():
    assert quick.chosen_tests(["LICENSE", "book/experiments.md"]) == []


def test_the_tests_that_are_named_for_files_exist():
    named = {test for tests in quick.TESTS_OF.values() for test in tests} | {*quick.OF_CHAPTERS}
    assert [test for test in sorted(named) if not (ROOT / test).exists()] == []
    assert [start for start in quick.TESTS_OF if not (ROOT / start).exists() and not list(ROOT.glob(f"{start}*"))] == []


def test_the_notebook_of_an_edited_chapter_is_run():
    files = ["book/06-optimal-covariance.md", "book/06-optimal-covariance.ipynb", "book/glossary.md", "book/99-none.md"]
    assert quick.notebooks_of(files) == ["book/06-optimal-covariance.ipynb"]


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("from gradelib.marker import compare", True),
        ("from gradelib.marker.compare import points", True),
        ("    import gradelib.marker.compare", True),
        ("from gradelib.marker import (\n    check,\n    compare,\n)", True),
        ("from gradelib.marker import check", False),
        ("from gradelib.marker.compared import x", False),
        ("# import gradelib.marker.compare", False),
    ],
)
def test_an_import_names_a_module(text, does):
    assert quick.names("gradelib.marker.compare", text) is does


def test_a_single_file_is_tested_in_one_process(monkeypatch):
    monkeypatch.setattr(quick.os, "cpu_count", lambda: 2)
    assert [quick.workers(["file"] * many) for many in (1, 2, 9)] == [0, 2, 3]


def test_what_changed_since_main_and_what_is_new_is_found(tmp_path):
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    def write(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)

    git("init", "--initial-branch=main")
    for name in ("same", "committed", "edited"):
        write(name, "a")
    git("add", ".")
    git("commit", "-m", "a")
    git("switch", "-c", "branch")
    write("committed", "b")
    git("commit", "-am", "b")
    write("edited", "b")
    write("new", "b")
    assert sorted(quick.changed(tmp_path)) == ["committed", "edited", "new"]
    git("branch", "-D", "main")
    assert sorted(quick.changed(tmp_path)) == ["edited", "new"]


def test_no_test_is_begun_when_the_time_is_up(tmp_path):
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_two.py").write_text("import time\ndef test_a(): time.sleep(3)\ndef test_b(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path, "--within=2", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed, 1 skipped" in done.stdout
