"""The workflows, as far as they can be tried away from GitHub: their scripts, what these call, a linter's opinion."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from book.extensions.page.downloads import FOLDER, PDF_NAME

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
BIN = Path(sys.executable).parent
ZIZMOR = shutil.which("zizmor", path=str(BIN)) or shutil.which("zizmor")


def jobs(path: Path) -> dict[str, dict]:
    return yaml.safe_load(path.read_text(encoding="utf8"))["jobs"]


def scripts(path: Path) -> list[str]:
    return [step["run"] for job in jobs(path).values() for step in job.get("steps", ()) if "run" in step]


def targets() -> set[str]:
    """What the Makefile can make."""
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf8"), re.MULTILINE))


def missing(script: str) -> list[str]:
    """What a script calls that is not there: targets of the Makefile and programs of the environment."""
    made = {target for line in re.findall(r"^make (.*)$", script, re.MULTILINE) for target in line.split()}
    called = set(re.findall(r"\.venv/bin/([\w-]+)", script))
    return sorted(made - targets()) + sorted(name for name in called if not (BIN / name).exists())


def run(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does."""
    path = folder / "step.sh"
    path.write_text(script, encoding="utf8")
    return subprocess.run(
        ["bash", "-e", path], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_steps_can_be_read_and_find_what_they_call(path: Path) -> None:
    assert scripts(path)
    for script in scripts(path):
        read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, "")
        assert missing(script) == []


def test_a_step_that_calls_what_is_not_there_is_found() -> None:
    assert missing("make book pie\n.venv/bin/python -m pip\n.venv/bin/nonsense x\n") == ["pie", "nonsense"]


def test_every_push_is_tested_on_both_systems_with_each_python() -> None:
    matrix = jobs(ROOT / ".github/workflows/test.yml")["test"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(version) for version in matrix["python"])


def test_pages_are_published_after_the_tests_with_the_pdf() -> None:
    published = jobs(ROOT / ".github/workflows/publish.yml")
    assert published["test"] == {"name": "Test", "uses": "./.github/workflows/test.yml"}
    assert (published["build"]["needs"], published["deploy"]["needs"]) == ("test", "build")
    made = [step.get("run") for step in published["build"]["steps"]]
    assert made.index("make pdf") < made.index("make book")
    assert f"test -s _build/html/{FOLDER}/{PDF_NAME}" in made


@pytest.mark.skipif(ZIZMOR is None, reason="needs zizmor (pip install zizmor)")
def test_the_linter_finds_nothing() -> None:
    found = subprocess.run([ZIZMOR, "--offline", *WORKFLOWS], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.skipif(ZIZMOR is None, reason="needs zizmor (pip install zizmor)")
def test_the_linter_would_find_something(tmp_path: Path) -> None:
    """An action that is named by a tag, which may move."""
    text = WORKFLOWS[0].read_text(encoding="utf8")
    (tmp_path / "spoilt.yml").write_text(re.sub(r"actions/checkout@\w+", "actions/checkout@main", text))
    found = subprocess.run([ZIZMOR, "--offline", tmp_path / "spoilt.yml"], capture_output=True, text=True, check=False)
    assert found.returncode > 0
    assert "unpinned-uses" in found.stdout


# --- what the weekly run does


def step(job: str, name: str = "") -> str:
    """The script of a step of the weekly run: of that name, or the last one."""
    steps = jobs(ROOT / ".github/workflows/weekly.yml")[job]["steps"]
    return next(one["run"] for one in reversed(steps) if not name or one.get("name") == name)


@pytest.mark.skipif(sys.platform != "linux", reason="the step runs on Linux, with GNU's sed")
def test_the_weekly_run_lifts_every_pin(tmp_path: Path) -> None:
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    assert run(step("newest", "Lift the pins"), tmp_path, PATH="/usr/bin:/bin").returncode == 0
    lines = (tmp_path / "requirements.txt").read_text(encoding="utf8").splitlines()
    wanted = [Requirement(line.partition("#")[0]) for line in lines if line and not line.startswith("#")]
    assert len(wanted) > 20
    bounds = {one.name: {part.operator for part in one.specifier} for one in wanted}
    assert {name: kinds for name, kinds in bounds.items() if kinds != {">="}} == {"jupyter-book": {">=", "<"}}


GH = """#!/bin/sh
case "$2" in
  list) printf '%s\\n' "$OPEN" ;;
  create) printf '%s|' "$@" >> asked ;;
esac
"""


@pytest.mark.parametrize(
    ("open_issues", "asked"),
    [
        ("Another thing", "issue|create|--title|The weekly run fails|--body|The log|"),
        ("", "issue|create|--title|The weekly run fails|--body|The log|"),
        ("Another thing\nThe weekly run fails", ""),
    ],
)
def test_one_issue_is_opened_while_none_is_open(tmp_path: Path, open_issues: str, asked: str) -> None:
    """With a stand-in for GitHub's program, which says what issues are open and writes down what it is asked."""
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    title = jobs(ROOT / ".github/workflows/weekly.yml")["report"]["env"]["TITLE"]
    path = f"{tmp_path}:/usr/bin:/bin"
    done = run(step("report"), tmp_path, PATH=path, TITLE=title, BODY="The log", OPEN=open_issues)
    assert (done.returncode, done.stderr) == (0, "")
    assert ((tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else "") == asked


def test_the_weekly_report_waits_for_all_that_can_fail() -> None:
    weekly = jobs(ROOT / ".github/workflows/weekly.yml")
    report = weekly.pop("report")
    assert set(report["needs"]) == set(weekly)
    assert report["if"] == "failure()"
    assert all(f"needs.{name}.result" in report["env"]["BODY"] for name in weekly)
