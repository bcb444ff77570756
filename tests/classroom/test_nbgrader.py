"""An assignment on its whole way through nbgrader itself: generated, filled in by a class, marked, exported.

nbgrader brings Jupyter's server along, which slows every notebook down, so it does not live among the packages of the
book. It gets an environment of its own, which sees them, and is removed with the test's folder.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from colab import colab, site_packages
from nbformat import NotebookNode

from gradelib.classroom import assignment

pytestmark = pytest.mark.slow  # it installs; what is written for nbgrader is tested in `test_assignment.py`
ROOT = Path(__file__).parents[2]
NBGRADER = "nbgrader==0.9.6"
# What it imports when it runs without a browser: Jupyter's lab and notebook are not among it.
NEEDS = ["alembic", "rapidfuzz", "jupyter-server"]
FILE = "06-optimal-covariance.ipynb"
POSED = ("opt-var-1d", "inverse-metric", "optimal-variances", "which-comparison")

RIGHT = """\
def optimal_variances(J, curvature, beta):
    import sys, warnings
    warnings.warn("this goes to stderr")
    print("so does this", file=sys.stderr)
    return 1 / (1 - (J**2 * curvature[..., None]).sum(-2) / beta)
"""
WITHOUT_CURVATURE = "def optimal_variances(J, curvature, beta):\n    return 1 / (1 + (J**2).sum(-2) / beta)\n"
WITHOUT_END = "def optimal_variances(J, curvature, beta):\n    return (J +\n"
CLASS = {
    "ada": ('answer = "1/(1 + w**2/beta)"\n', 'answer = "beta*(inv(S) - I_d)"\n', RIGHT, 'choice = "B2"\n'),
    "bob": ('answer = "1/(1 + beta*w**2)"\n', 'answer = "inv(S) - I_d"\n', WITHOUT_CURVATURE, 'choice = "A1"\n'),
    "eve": ("answer = ...\n", 'answer = "beta*(inv(S) + 3)"\n', WITHOUT_END, "choice = ...\n"),
}
# Formulas that were typed into the call earn what the learner was told.
CLASS["fay"] = (
    'answer = ...\ncheck("opt-var-1d", "1/(1 + w**2/beta)")',
    'answer = "beta*(inv(S) - I_d)"\ncheck("inverse-metric", "inv(S) - I_d")',
    "def mine(J, curvature, beta):\n    return 1 / (1 - (J**2 * curvature[..., None]).sum(-2) / beta)\n"
    'check("optimal-variances", mine)',
    'choice = ...\ncheck("which-comparison", "B2")',
)
SCORES = {"ada": [1, 1, 1, 1], "bob": [0.5, 0.5, 0.5, 0.5], "eve": [0, 0, 0, 0], "fay": [1, 0.5, 1, 1]}
READ_GRADES = """\
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as gradebook:
    submissions = gradebook.assignment_submissions("ps1")
    print(json.dumps({s.student.id: {g.name: g.score for n in s.notebooks for g in n.grades} for s in submissions}))
"""


def environment(folder: Path) -> Path:
    """An environment with nbgrader and the working tree; the test is skipped where pip cannot install it."""
    made = colab(folder)
    (site_packages(made) / "book.pth").write_text(f"{ROOT}\n", encoding="utf8")
    flags = ["--quiet", "--no-cache-dir", "--no-compile", "--only-binary=:all:"]
    pip = [str(made / "bin/python"), "-m", "pip", "install", *flags]
    for what in (["--no-deps", NBGRADER], NEEDS):
        done = subprocess.run([*pip, *what], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs {NBGRADER}, which pip cannot install here: {done.stderr.strip()[-200:]}")
    return made


def fill_in(released: Path, target: Path, answers: tuple[str, ...]) -> None:
    """Hand in a notebook with these answers; a locked cell is tampered with, too."""
    notebook = nbformat.read(released, as_version=4)
    for cell, answer in zip(cells(notebook, "solution"), answers, strict=True):
        cell.source = answer if "check(" in answer else answer + cell.source[cell.source.index("check(") :]
    cells(notebook, "grade")[0].source = "1.0"
    target.parent.mkdir(parents=True)
    nbformat.write(notebook, target)


def cells(notebook: NotebookNode, kind: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get(kind)]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A course after its first assignment: its folder, and what nbgrader's gradebook says."""
    folder = tmp_path_factory.mktemp("nbgrader")
    binaries = environment(folder) / "bin"
    course, home = folder / "course", folder / "home"
    home.mkdir()
    # nbgrader calls a script of one of its packages; nothing is to be left in the home of who runs the test.
    variables = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}
    variables |= {"IPYTHONDIR": str(home), "JUPYTER_DATA_DIR": str(home), "JUPYTER_CONFIG_DIR": str(home)}

    def python(*arguments: str) -> str:
        command = [str(binaries / "python"), *arguments]
        done = subprocess.run(command, cwd=course, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    assignment.write(course, "ps1", [6], only_exercises=True, known_mistake=0.5, seed=7)
    python("-m", "nbgrader", "generate_assignment", "ps1")
    for student, answers in CLASS.items():
        fill_in(course / "release/ps1" / FILE, course / "submitted" / student / "ps1" / FILE, answers)
    python("-m", "nbgrader", "autograde", "ps1")
    python("-m", "nbgrader", "export", "--to", "grades.csv")
    return SimpleNamespace(folder=course, grades=json.loads(python("-c", READ_GRADES)))


def test_the_source_is_complete_and_the_release_has_stubs_alone(course: SimpleNamespace) -> None:
    source, release = (course.folder / part / "ps1" / FILE for part in ("source", "release"))
    assert "beta/(beta + w**2)" in source.read_text(encoding="utf8")
    text = release.read_text(encoding="utf8")
    for secret in ("beta/(beta + w**2)", "inv(S) - I_d", "beta + m", "credit", "seed=", "BEGIN", "NotImplementedError"):
        assert secret not in text, secret
    filled = cells(nbformat.read(release, as_version=4), "solution")
    assert [cell.source.count("...") for cell in filled] == [1, 1, 1, 1]
    assert all(assignment.STUB in cell.source for cell in filled)


def test_every_answer_earns_what_it_deserves(course: SimpleNamespace) -> None:
    """Right answers all, known mistakes half; a stub, another wrong answer and a broken cell nothing."""
    assert course.grades == {student: dict(zip(POSED, scores, strict=True)) for student, scores in SCORES.items()}


def test_the_exported_table_has_the_sums(course: SimpleNamespace) -> None:
    with open(course.folder / "grades.csv", newline="", encoding="utf8") as file:
        rows = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}
    assert rows == {student: (sum(scores), 4) for student, scores in SCORES.items()}


def test_the_marked_notebook_says_why(course: SimpleNamespace) -> None:
    notebook = nbformat.read(course.folder / "autograded/bob/ps1" / FILE, as_version=4)
    [hint, number] = cells(notebook, "grade")[0].outputs
    assert hint.text == "✗ Not yet · opt-var-1d · 0.5 of 1 point\nAs beta grows, the variance should go to 1.\n"
    assert number.data["text/plain"] == "0.5"
