"""A class that has a teacher's own exercises: each learner marked in their own variant, the key never inside."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from gradelib import check, exercises
from gradelib.classroom import assignment, grade, sandbox_problem
from gradelib.cli import main
from gradelib.exercises import banks
from gradelib.exercises.bank import Bank

pytestmark = pytest.mark.slow  # `test_grade.py` marks a class, `test_banks.py` tries a bank

REGRESSION = Path(banks.__path__[0], "regression.py")
SLOPE, RIDGE = "dot(x, y)/norm2(x)", "inv(T(X)@X + lam*I_d)@T(X)@y"


@pytest.fixture(autouse=True)
def no_bank() -> Iterator[None]:
    yield
    exercises._of_banks.clear()
    exercises._handed_in.clear()


def fill(path: Path, *answers: str) -> None:
    """Write the answers into the stubs of a notebook that was handed out, in their order."""
    notebook, left = nbformat.read(path, as_version=4), [*answers]
    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            cell.source = cell.source.replace("...", repr(left.pop(0)) if left[0] else "...")
    nbformat.write(notebook, path)


def right_variant(learner: str) -> str:
    answer = Bank.read(REGRESSION).exercises(learner)[2].answer
    assert answer
    return answer


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada is right; Bob makes known mistakes; Eve hands in Ada's numbers; Zoe also checks an exercise of the book."""
    folder = tmp_path_factory.mktemp("class")
    learners = "ada,bob,eve,zoe"
    assert main(["bank", "write", str(REGRESSION), "--learner", learners, "--out", str(folder / "week")]) == 0
    fill(folder / "week/ada.ipynb", SLOPE, RIDGE, right_variant("ada"))
    fill(folder / "week/bob.ipynb", "sum(y)/sum(x)", "inv(T(X)@X)@T(X)@y", right_variant("bob").replace("1.96*", ""))
    fill(folder / "week/eve.ipynb", SLOPE, "inv(X", right_variant("ada"))
    fill(folder / "week/zoe.ipynb", SLOPE, RIDGE, right_variant("zoe"))
    notebook = nbformat.read(folder / "week/zoe.ipynb", as_version=4)
    book = nbformat.v4.new_code_cell('check("opt-var-1d", "beta/(beta + w**2)")', metadata={"tags": ["exercise"]})
    notebook.cells.append(book)
    nbformat.write(notebook, folder / "week/zoe.ipynb")
    command = ["grade", str(folder / "week"), "--out", str(folder / "results"), "--bank", str(REGRESSION)]
    command += ["--seed", "7", "--known-mistake", "0", *(["--no-sandbox"] if sandbox_problem() else [])]
    assert main(command) == 0
    return folder / "results"


def test_each_learner_is_marked_in_their_own_variant(results: Path) -> None:
    table = {
        row["student_id"]: row for row in csv.DictReader((results / "marks.csv").read_text("utf-8-sig").splitlines())
    }
    points = {name: [float(row[one] or 0) for one in ("slope", "ridge", "confidence")] for name, row in table.items()}
    assert points["ada"] == points["zoe"] == [1, 1, 1]
    assert points["bob"] == [0, 0, 0]
    assert points["eve"] == [1, 0, 0]
    assert table["zoe"]["opt-var-1d"] == "1"


def test_a_learners_page_has_the_question_of_that_learner(results: Path) -> None:
    for learner in ("ada", "bob", "zoe"):
        prompt = Bank.read(REGRESSION).exercises(learner)[2].prompt
        assert prompt in (results / f"reports/{learner}.html").read_text()


def test_known_mistakes_of_variants_are_counted_under_one_name(results: Path) -> None:
    items = {item["exercise"]: item for item in json.loads((results / "class.json").read_text())["exercises"]}
    made = [mistake["mistake"] for mistake in items["confidence"]["mistakes"]]
    assert "one standard error" in made
    assert items["slope"]["mistakes"][0]["mistake"] == "sum(y)/sum(x)"


def test_marks_of_another_bank_are_not_these() -> None:
    one = grade.Settings(None, 7, True, Bank("a.py", "EXERCISES = []"))
    other = grade.Settings(None, 7, True, Bank("a.py", "EXERCISES = [1]"))
    assert len({one.key, other.key, grade.Settings(None, 7, True).key}) == 3


def test_a_variant_is_kept_under_its_learner() -> None:
    varied = grade.Settings(None, 7, True, Bank.read(REGRESSION))
    fixed = grade.Settings(None, 7, True)
    ada, bob = (grade.HandedIn("x.ipynb", name, "digest") for name in ("ada", "bob"))
    assert ada.key(varied) != bob.key(varied)
    assert ada.key(fixed) == bob.key(fixed) == "digest"


# nbgrader


FIXED = REGRESSION.read_text(encoding="utf8").replace("slope, ridge, confidence]", "slope, ridge]")


def test_an_assignment_of_a_bank_is_handed_out_and_marked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bank = tmp_path / "mine.py"
    bank.write_text(FIXED)
    command = ["assignment", "--out", str(tmp_path / "course"), "--name", "ps1", "--bank", str(bank), "--seed", "3"]
    assert main(command) == 0
    assert main(command) == 2
    notebook = nbformat.read(tmp_path / "course/source/ps1/mine.ipynb", as_version=4)
    nbformat.validate(notebook)
    ids = [cell.metadata["nbgrader"]["grade_id"] for cell in notebook.cells]
    assert ids == ["imports", *(f"{one}{part}" for one in ("slope", "ridge") for part in ("-question", "-answer", ""))]
    exercises._of_banks.clear()
    scope: dict[str, object] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, scope)
    said = capsys.readouterr().out
    assert said.count("✓ Correct") == 2
    assert "1 of 1 point" in said


def test_an_assignment_may_mix_a_bank_and_chapters(tmp_path: Path) -> None:
    bank = tmp_path / "mine.py"
    bank.write_text(FIXED)
    written = assignment.write(tmp_path / "course", "ps1", marked=["ridge", "opt-var-1d"], bank=bank, seed=1)
    assert [path.name for path in written] == ["mine.ipynb", "06-optimal-covariance.ipynb"]
    assert "slope" not in written[0].read_text()


def test_what_varies_is_no_assignment(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["assignment", "--out", str(tmp_path), "--name", "ps1", "--bank", str(REGRESSION)]
    assert main(command) == 2
    assert "gradelib bank write" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_credit_marks_an_exercise_of_a_bank() -> None:
    assert assignment.credit("slope", SLOPE, bank=str(REGRESSION)) == 1
    assert assignment.credit("slope", "sum(y)/sum(x)", bank=str(REGRESSION)) == 0.5
    assert check("slope", SLOPE)
