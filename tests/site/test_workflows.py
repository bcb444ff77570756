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
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf8"), re.MULTILINE))


def missing(script: str) -> list[str]:
    """What a script calls that is not there: targets of the Makefile and programs of the environment."""
    made = {target for line in re.findall(r"^make (.*)$", script, re.MULTILINE) for target in line.split()}
    called = set(re.findall(r"\.venv/bin/([\w-]+)", script))
    files = [word for word in re.findall(r"\b(?:tests|book|tools)/\S+", script) if not list(ROOT.glob(word))]
    return sorted(made - targets()) + sorted(name for name in called if not (BIN / name).exists()) + sorted(files)


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
    script = "make book pie-all\n.venv/bin/python -m pip\n.venv/bin/nonsense x\npytest tests/site tests/nowhere\n"
    assert missing(script) == ["pie-all", "nonsense", "tests/nowhere"]


def test_all_is_tested_with_each_python_and_once_in_three_engines() -> None:
    tested = jobs(ROOT / ".github/workflows/test.yml")
    *known, newest = tested["linux"]["strategy"]["matrix"]["python"]
    assert known == ["3.11", "3.12", "3.13"]
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(version) for version in known)
    assert tested["linux"]["continue-on-error"] == f"${{{{ matrix.python == '{newest}' }}}}"
    assert "make test" in [step.get("run") for step in tested["linux"]["steps"]]
    assert "make test-all" in [step.get("run") for step in tested["everything"]["steps"]]
    assert tested["elsewhere"]["strategy"]["matrix"]["os"] == ["macos-latest", "windows-latest"]


# --- text alone


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, encoding="utf8", check=True)
    return done.stdout.strip()


def write(folder: Path, **texts: str) -> None:
    """Write files with these names, `__` for a slash and `_` for a dot, and commit them."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A change")


@pytest.mark.parametrize(
    ("changed", "made"),
    [
        ({"book__01_md": "b"}, ["words"]),
        ({"book__01_md": "b", "book__glossary_md": "b"}, ["words"]),
        ({"book__01_md": "b", "book__01_ipynb": "b"}, []),
        ({"book__01_md": "b", "gradelib__a_py": "b"}, []),
        ({"README_md": "b"}, []),
        ({"book__extensions__01_md": "b"}, []),
    ],
)
def test_the_notebooks_follow_a_change_of_text_alone(tmp_path: Path, changed: dict[str, str], made: list[str]) -> None:
    """On the merge commit that GitHub makes for a pull request, with a stand-in for `make`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    write(folder, book__01_md="a", book__01_ipynb="a", README_md="a")
    git(folder, "switch", "--quiet", "--create", "other")
    write(folder, **changed)
    git(folder, "switch", "--quiet", "main")
    write(folder, gradelib__later_py="what main has besides does not count")
    git(folder, "merge", "--quiet", "--no-ff", "--no-edit", "other")
    (tmp_path / "make").write_text('#!/bin/sh\necho "$@" >> asked\n', encoding="utf8")
    (tmp_path / "make").chmod(0o755)
    run(str(ROOT / "tools/words_of_text.sh"), folder, PATH=f"{tmp_path}:/usr/bin:/bin")
    asked = folder / "asked"
    assert (asked.read_text(encoding="utf8").split() if asked.exists() else []) == made


@pytest.mark.parametrize("changed", [True, False])
def test_notebooks_that_followed_are_committed_and_that_commit_goes_on(tmp_path: Path, changed: bool) -> None:
    """With a folder in place of GitHub's repository."""
    origin, folder = tmp_path / "origin", tmp_path / "checkout"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch", "main")
    write(origin, book__01_md="a", book__01_ipynb="a")
    git(origin, "config", "receive.denyCurrentBranch", "ignore")
    git(tmp_path, "clone", "--quiet", str(origin), str(folder))
    if changed:
        (folder / "book/01.ipynb").write_text("b", encoding="utf8")
    (folder / ".venv").mkdir()  # what `make words` leaves besides, and is committed by nobody
    script = step("words", "Commit them", "publish").replace("https://x-access-token:$TOKEN@$REMOTE", str(origin))
    done = run(script, folder, PATH="/usr/bin:/bin", GITHUB_REF="refs/heads/main", GITHUB_OUTPUT=str(tmp_path / "said"))
    assert (done.returncode, done.stderr) == (0, "")
    head = git(origin, "rev-parse", "main")
    assert (tmp_path / "said").read_text(encoding="utf8") == f"commit={head}\n"
    assert git(origin, "log", "--format=%s", "main").splitlines()[:-1] == ["Notebooks follow the text"] * changed
    assert git(origin, "show", "main:book/01.ipynb") == ("b" if changed else "a")


def test_nobody_elses_code_runs_where_something_may_be_written() -> None:
    """What a pull request brings runs with a token that reads; only main's own code may write."""
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf8"))
        assert "pull_request_target" not in workflow[True]  # YAML reads `on` so
        assert workflow["permissions"] == {"contents": "read"}
        if "pull_request" in workflow[True]:
            assert not any("permissions" in job for job in workflow["jobs"].values())


def test_a_fork_publishes_nothing() -> None:
    """What all other jobs wait for, one after another, is not for forks."""
    published = jobs(ROOT / ".github/workflows/publish.yml").values()
    assert [job["if"] for job in published if "needs" not in job] == ["${{ !github.event.repository.fork }}"]
    assert not any("always()" in job.get("if", "") for job in published)


# --- publishing


def test_pages_are_published_after_the_tests_with_the_pdf() -> None:
    published = jobs(ROOT / ".github/workflows/publish.yml")
    commit = "${{ needs.words.outputs.commit }}"
    assert published["test"] == {
        "name": "Test",
        "needs": "words",
        "uses": "./.github/workflows/test.yml",
        "with": {"ref": commit},
    }
    assert (published["build"]["needs"], published["deploy"]["needs"]) == (["words", "test"], "build")
    assert published["build"]["steps"][0]["with"]["ref"] == commit
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


def step(job: str, name: str = "", workflow: str = "weekly") -> str:
    """The script of a step: of that name, or the last one."""
    steps = jobs(ROOT / f".github/workflows/{workflow}.yml")[job]["steps"]
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
