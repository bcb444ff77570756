"""Banks: a teacher's own exercises are read, tried, varied, and known to `check`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from gradelib import check, exercises
from gradelib.cli import main
from gradelib.exercises import banks
from gradelib.exercises.bank import Bank
from gradelib.exercises.trial import tried
from gradelib.marker.check import mark

REGRESSION = Path(banks.__path__[0], "regression.py")
HEAD = "from gradelib.marker.exercise import Choice, Exercise, Mistake\n"
ONE = "EXERCISES = [Exercise(id='double', prompt='Twice a?', inputs={'a': 'pos'}, answer='2*a')]\n"


@pytest.fixture(autouse=True)
def no_bank() -> Iterator[None]:
    """Each test begins and ends with the book's exercises alone."""
    yield
    exercises._of_banks.clear()
    exercises._handed_in.clear()


def bank(source: str) -> Bank:
    return Bank("mine.py", HEAD + source)


# Reading


def test_check_knows_the_exercises_of_a_bank_that_is_used() -> None:
    assert check("slope", "dot(x, y)/norm2(x)").state == "unreadable"
    assert exercises.use(REGRESSION) == ("slope", "ridge", "confidence")
    assert check("slope", "dot(x, y)/norm2(x)")
    assert check("slope", "sum(y)/sum(x)").mistake == "sum(y)/sum(x)"
    assert {"slope", "opt-cov"} <= {*exercises.ids()}
    assert "Did you mean 'slope'?" in check("slopes", "1").text


def test_a_bank_that_is_used_again_takes_its_own_place() -> None:
    exercises.use(bank(ONE))
    exercises.use(bank(ONE.replace("2*a", "3*a").replace("double", "triple")))
    assert "double" not in exercises.ids()
    assert check("triple", "3*a")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "needs a list EXERCISES"),
        ("EXERCISES = []", "needs a list EXERCISES"),
        ("EXERCISES = [3]", "one is a int"),
        ("EXERCISES = [", "in line 2 with a SyntaxError"),
        ("\n\n1/0", "stops in line 4 with a ZeroDivisionError"),
        ("EXERCISES = [Exercise(id='a', prompt='', inputs={})]", "stops in line 2 with a ValueError"),
        (ONE.replace("double", "Twice two"), "small letters, digits and dashes"),
        (ONE.replace("double", "opt-cov"), "the id 'opt-cov' already"),
        (ONE + "EXERCISES *= 2", "two exercises with the id 'double'"),
        ("EXERCISES = [lambda draw: None]", "must return an Exercise"),
        ("EXERCISES = [lambda draw: draw.nothing()]", "stops in line 2 with a AttributeError"),
    ],
)
def test_what_is_no_bank_is_told_in_a_sentence(
    source: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(ValueError, match=words):
        exercises.use(bank(source))
    file = tmp_path / "mine.py"
    file.write_text(HEAD + source)
    assert main(["bank", "test", str(file)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_bank_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["bank", "test", str(tmp_path / "none.py")]) == 2
    assert "none.py: No such file" in capsys.readouterr().err


def test_two_banks_cannot_share_an_id() -> None:
    exercises.use(bank(ONE))
    with pytest.raises(ValueError, match="'double' already"):
        exercises.use(Bank("other.py", HEAD + ONE))
    assert check("double", "a + a")


# Variants


def test_each_learner_has_a_variant_and_keeps_it() -> None:
    made = {
        learner: Bank.read(REGRESSION).exercises(learner)[2].answer for learner in ("ada", "bob", "eve", "zoe", "kim")
    }
    assert len({*made.values()}) > 2
    for learner, answer in made.items():
        exercises.use(REGRESSION, f" {learner.upper()} ")
        assert check("confidence", answer)
        others = [other for other in made.values() if other != answer]
        assert not any(check("confidence", other) for other in others)


def test_variants_do_not_depend_on_the_other_exercises_or_on_the_random_state() -> None:
    source = "def many(draw): return Exercise(id='many', prompt='?', inputs={}, answer=str(draw.randrange(10**6)))\n"
    alone = bank(source + "EXERCISES = [many]").exercises("ada")[0].answer
    random.seed(5)
    other = "def other(draw): return Exercise(id='other', prompt='?', inputs={}, answer=str(draw.random()))\n"
    assert bank(source + other + "EXERCISES = [other, many]").exercises("ada")[1].answer == alone


# Trying


def faults(source: str) -> str:
    [exercise] = bank(source).exercises()
    found = tried(exercise)
    return " ".join(found.faults)


def gaps(source: str) -> str:
    [exercise] = bank(source).exercises()
    return " ".join(tried(exercise).gaps)


def test_the_bank_on_regression_has_no_faults(capsys: pytest.CaptureFixture) -> None:
    assert main(["bank", "test", str(REGRESSION)]) == 0
    said = capsys.readouterr().out
    assert "✓ ridge: 4 right forms, 5 mistakes" in said
    assert "3 exercises, none with faults." in said
    assert "confidence" in said
    assert "3 more right forms" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("answer='2*a', mistakes=[Mistake('a + a', 'No.')]", "The mistake a + a equals the answer."),
        ("answer='2*a', mistakes=[Mistake('a*3', 'No.'), Mistake('3*a', 'Not.')]", "3*a equals the mistake a*3"),
        ("answer='2*a', also_right=['3*a']", "The right form 3*a is marked: "),
        ("answer='2*b'", "There is no “b”"),
        ("answer='log(-a)'", "no value"),
        ("answer='2*a', mistakes=[Mistake('2*', 'No.')]", "The mistake 2* does not get its hint"),
        ("answer='2*a', mistakes=[Mistake('3*a', 'It is 2*a.')]", "The hint on 3*a says the answer."),
        ("function=lambda a: 2*a", "its function must return a tensor"),
    ],
)
def test_faults_of_exercises_are_found(change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = ONE.replace("answer='2*a'", change)
    assert words in faults(source)
    file = tmp_path / "mine.py"
    file.write_text(HEAD + source)
    assert main(["bank", "test", str(file)]) == 1
    assert words in capsys.readouterr().out


def test_what_an_exercise_lacks_is_said() -> None:
    lacks = gaps("EXERCISES = [Exercise(id='c', prompt='', inputs={'a': 'pos', 'b': 'pos'}, answer='2*a')]")
    for words in ("no prompt", "3 more right forms", "5 more known mistakes", "does not depend on b"):
        assert words in lacks
    assert "is no sentence" in gaps(ONE.replace("answer='2*a'", "answer='2*a', mistakes=[Mistake('a', 'no')]"))
    assert (
        gaps(
            "EXERCISES = [Exercise(id='c', prompt='?', inputs={}, choice=Choice("
            "{'a': 'A', 'b': 'B'}, {'r': 'R'}, right=('a', 'r'), hints={('b', 'r'): 'Why?'}))]"
        )
        == ""
    )


def test_a_fault_of_one_variant_is_found(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = (
        "def sum_of(draw):\n"
        "    many = draw.randrange(3)\n"
        "    return Exercise(id='sum-of', prompt='?', inputs={'a': 'pos'}, answer='2*a',\n"
        "                    mistakes=[Mistake(f'{many}*a', 'No.')])\n"
        "EXERCISES = [sum_of]\n"
    )
    file = tmp_path / "mine.py"
    file.write_text(HEAD + source)
    assert main(["bank", "test", str(file)]) == 1
    assert "The mistake 2*a equals the answer." in capsys.readouterr().out


# Handing out


def test_notebooks_for_learners_hold_their_variants_and_no_answers(tmp_path: Path) -> None:
    out = tmp_path / "week1"
    assert main(["bank", "write", str(REGRESSION), "--learner", "ada,bob,eve", "--out", str(out)]) == 0
    texts = {path.stem: path.read_text() for path in sorted(out.iterdir())}
    assert [*texts] == ["ada", "bob", "eve"]
    for learner, text in texts.items():
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        sources = "".join(cell.source for cell in notebook.cells)
        for exercise in Bank.read(REGRESSION).exercises(learner):
            assert exercise.prompt in sources
            assert not any(str(form) in sources for form in (exercise.answer, *exercise.mistakes))
    assert texts["ada"] != texts["eve"]
    assert main(["bank", "write", str(REGRESSION), "--learner", "ada", "--out", str(out)]) == 2
    assert main(["bank", "write", str(REGRESSION), "--learner", "../ada", "--out", str(out)]) == 2


def test_a_notebook_that_was_handed_out_runs_where_the_bank_is_not(tmp_path: Path) -> None:
    main(["bank", "write", str(REGRESSION), "--learner", "ada", "--out", str(tmp_path)])
    exercises._of_banks.clear()
    scope: dict[str, object] = {}
    for cell in nbformat.read(tmp_path / "ada.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, scope)
    assert "No answer yet" in str(check("slope", ...))
    result = check("slope", "dot(x, y)")
    assert result
    assert "Handed in" in str(result)
    assert "Handed in" in result._repr_html_()
    exercises.use(REGRESSION)
    assert check("slope", "dot(x, y)").state == "incorrect"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["slope", "dot(x, y)/norm2(x)"], 0, "✓ Correct"),
        (["slope", "dot(x, y)/n"], 1, "Double all x"),
        (["confidence", "1.96*s/sqrt(49)", "--learner", "Ada"], 0, "✓ Correct"),
        (["confidence", "1.96*s/sqrt(49)", "--learner", "bob"], 1, "✗ Not yet"),
        (["opt-var-1d", "beta/(beta + w**2)"], 0, "✓ Correct"),
    ],
)
def test_check_on_the_command_line(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["check", *arguments, "--bank", str(REGRESSION)]) == code
    assert words in capsys.readouterr().out


def test_an_exercise_of_the_bank_takes_fewer_than_fifteen_lines() -> None:
    lines = REGRESSION.read_text(encoding="utf8").splitlines()
    for start, name in itertools.product(range(len(lines)), ("slope", "ridge")):
        if lines[start] == f"{name} = Exercise(":
            assert lines.index(")", start) - start + 1 <= 15


def test_the_answers_of_the_bank_are_those_of_numpy() -> None:
    import numpy as np

    draw = np.random.default_rng(0)
    X, y, lam = draw.normal(size=(9, 3)), draw.normal(size=9), 0.7
    slope, ridge, confidence = Bank.read(REGRESSION).exercises("ada")
    values = {"x": X[:, 0], "y": y, "n": 9, "d": 3}
    assert np.isclose(slope.formula.evaluate(values), np.linalg.lstsq(X[:, :1], y, rcond=None)[0][0])
    stacked = np.vstack([X, np.sqrt(lam) * np.eye(3)])
    least = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros(3)]), rcond=None)[0]
    assert np.allclose(ridge.formula.evaluate({"X": X, "y": y, "lam": lam, "I_d": np.eye(3)}), least)
    assert mark(confidence, "1.96*s/7")
