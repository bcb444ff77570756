"""Chapters as nbgrader's assignments: what is taken over, what is taken away, and what an answer earns."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat import NotebookNode

from gradelib import exercises
from gradelib.classroom import assignment
from gradelib.classroom.assignment import credit, register, write

BOOK = Path(__file__).parents[2] / "book"
SOLUTION = re.compile(r"### BEGIN SOLUTION\n.*?### END SOLUTION\n", re.DOTALL)
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", re.DOTALL)


def cells(path: Path) -> list[NotebookNode]:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook.cells


def stubs(path: Path) -> list[str]:
    tagged = [cell.source for cell in cells(path) if "exercise" in cell.metadata.get("tags", [])]
    return [re.search(r'check\("([\w-]+)"', source)[1] for source in tagged]


def of(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def learners(found: list[NotebookNode]) -> list[NotebookNode]:
    """The cells as nbgrader hands them out."""
    for cell in found:
        cell.source = HIDDEN.sub("", SOLUTION.sub(f"{assignment.STUB}\n", cell.source))
    return found


def run(found: list[NotebookNode]) -> dict[str, float | None]:
    """Run the cells of exercises alone; what the counting ones end in, None where something was raised."""
    space, scores = {}, {}
    for cell in found[2:]:  # after the set-up and the title
        if cell.cell_type == "code":
            scores[of(cell)["grade_id"]] = last_value(cell.source, space)
            space["check"] = lambda *_: None  # the counting cells mark as well
    return {name: score for name, score in scores.items() if name in exercises.ids()}


def last_value(source: str, space: dict) -> object:
    try:
        tree = ast.parse(source)
        exec(compile(ast.Module(tree.body[:-1], []), "cell", "exec"), space)
        return eval(compile(ast.Expression(tree.body[-1].value), "cell", "eval"), space)
    except Exception:
        return None


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    kept = torch.get_default_dtype()
    yield
    torch.set_default_dtype(kept)


@pytest.fixture(autouse=True)
def _nothing_was_checked_before(monkeypatch):
    monkeypatch.setattr("gradelib.marker.check.handed_over", {})


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The exercises of all chapters, without the chapters."""
    folder = tmp_path_factory.mktemp("course")
    return write(folder, "drill", exercises.CHAPTERS, only_exercises=True, seed=3)


# --- what it counts


@pytest.mark.parametrize(
    ("answer", "share", "points"),
    [
        ("1/(1 + w**2/beta)", 0.5, 1),
        ("1/(1 + beta*w**2)", 0.5, 0.5),
        ("1/(1 + beta*w**2)", 0.25, 0.25),
        ("1/(1 + beta*w**2)", 0, 0),
        ("beta*w**5 + 3", 1, 0),
        ("beta/(", 1, 0),
        (..., 1, 0),
    ],
)
def test_an_answer_earns_its_share(answer, share, points, capsys):
    earned = credit("opt-var-1d", answer, known_mistake=share)
    assert (earned, type(earned)) == (points, float), "nbgrader reads the text of the number"
    said = capsys.readouterr().out
    assert "opt-var-1d" in said
    assert f"{points:g} of 1 point" in said or "No answer yet" in said or "Cannot be read" in said


def test_the_seed_is_that_of_the_test_points(monkeypatch, capsys):
    from gradelib.marker import check

    seen = []
    mark = check.mark
    monkeypatch.setattr(check, "mark", lambda *given, seed: seen.append(seed) or mark(*given, seed=seed))
    credit("opt-var-1d", "beta", seed=11)
    assert seen == [11]


def test_the_books_solutions_earn_all_points(drill, capsys):
    scores = {name: score for path in drill for name, score in run(cells(path)).items()}
    assert scores == {name: exercises.get(name).max_score for path in drill for name in stubs(BOOK / path.name)}


@pytest.mark.parametrize(
    ("cell", "points"),
    [
        ('answer = ...\ncheck("opt-var-1d", "beta/(beta + w**2)")', 1),
        ('answer = ...\ncheck("opt-var-1d", "1/(1 + beta*w**2)")', 0.5),
        ('check("opt-var-1d", "beta/(beta + w**2)")\nanswer = ...\ncheck("opt-var-1d", answer)', 1),
        ('answer = "beta/(beta + w**2)"\ncheck("opt-var-1d", "w**5")', 0),
        ('answer = "beta/(beta + w**2)"', 1),
        ('for answer in ("1", "beta/(beta + w**2)"):\n    if check("opt-var-1d", answer): break\nanswer = 3', 1),
        ('answer = lambda w, beta: beta/(beta + w**2)\ncheck("opt-var-1d", answer)\ndel answer\nanswer = ...', 1),
        ('answer = ...\ncheck("opt-var-1d", answer="beta/(beta + w**2)")', 1),
        ('mine = "beta/(beta + w**2)"\nanswer = ...\ncheck("opt-var-1d", mine)', 1),
        ('def mine(): return check("opt-var-1d", "beta/(beta + w**2)")\nanswer = ...\nmine()', 1),
        ('mine = "beta/(beta + w**2)"\ncheck("opt-var-1d", mine)', 1),
        ('answer = ...\ncheck("opt-var-1d", answer)', 0),
        ('answer = ...\ncheck("opt-var-1d", "beta/(")', 0),
        ('answer = ...\ncheck("inverse-metric", "beta*(inv(S) - I_d)")', 0),
    ],
)
def test_a_cell_counts_what_the_learner_was_told(drill, capsys, cell, points):
    from gradelib import check

    found = cells(drill[5])
    [counting] = [one for one in found if of(one).get("grade_id") == "opt-var-1d"]
    space = {"check": check}
    exec(cell, space)
    assert last_value(counting.source, space) == points


def test_untouched_stubs_earn_nothing(drill, capsys):
    """The learner's cells, with the hidden lines back in their places, as nbgrader marks them."""
    for path in drill:
        found = cells(path)
        for cell in found:
            cell.source = SOLUTION.sub("", cell.source)
        assert set(run(found).values()) == {0}


def test_a_cell_that_does_not_run_leaves_its_exercise_without_an_answer(drill, capsys):
    found = cells(drill[8])  # both are d·log(1 + c/β) in some letters
    for cell in found:
        if of(cell).get("grade_id") == "column-variance-answer":
            cell.source = "answer = ((("
    scores = run(found)
    assert scores["column-estimator"] == 1
    assert scores["column-variance"] == 0
    assert "○ No answer yet · column-variance" in capsys.readouterr().out


# --- what is handed out


def test_every_exercise_is_a_cell_to_fill_and_a_locked_one_of_its_name(drill):
    for path in drill:
        marks = [of(cell) for cell in cells(path)]
        ids = [one["grade_id"] for one in marks]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[\w-]+", name) for name in ids)
        assert all(one["schema_version"] == 3 and not one["task"] for one in marks)
        counted = {one["grade_id"]: one["points"] for one in marks if one["grade"] and one["locked"]}
        assert counted == {name: exercises.get(name).max_score for name in stubs(BOOK / path.name)}
        assert [one["grade_id"] for one in marks if one["solution"]] == [f"{name}-answer" for name in counted]


def test_learners_get_stubs_and_neither_solutions_nor_the_seed(drill):
    for path in drill:
        for cell in learners(cells(path)):
            assert "<details>" not in cell.source
            assert "solution" not in cell.metadata.get("tags", [])
            assert "seed=" not in cell.source
            assert "credit" not in cell.source
            name = of(cell)["grade_id"].removesuffix("-answer")
            if of(cell)["solution"]:
                assert "..." in cell.source
                assert f'check("{name}"' in cell.source
                assert (exercises.get(name).answer or "return") not in cell.source


def test_an_exercise_keeps_its_text_and_links_to_the_book(drill):
    texts = [cell.source for path in drill for cell in cells(path) if cell.cell_type == "markdown"]
    prompts = [text for text in texts if "Exercise" in text.partition("\n")[0]]
    assert len(prompts) == len(set(prompts)) > 50
    assert not any("](#" in text for text in texts)
    assert any("/book/08-grae.html#equation-eq-pull)" in text for text in prompts)


def test_a_whole_chapter_is_kept_and_read_only(tmp_path):
    [path] = write(tmp_path, "ps1", [7], ["metric"], seed=3)
    found = cells(path)
    kept = [c.source for c in found if of(c).get("locked") and not of(c)["grade"]]
    wanted = [
        c.source
        for c in nbformat.read(BOOK / path.name, as_version=4).cells
        if "<summary>Solution" not in c.source and not {"exercise", "solution"} & set(c.metadata.get("tags", []))
    ]
    assert kept == wanted
    assert [of(c)["grade_id"] for c in found if of(c).get("grade")] == ["metric"]
    assert [c.source.partition("\n")[0] for c in found if not of(c)] == [
        "answer = ...",
        "choice = ...",
        "choice = ...",
        "def off_diagonal_share(J):",
        "squared_length = ...",
    ], "exercises that do not count stay, to practise"
    assert all(not c.outputs for c in found if c.cell_type == "code")


def test_in_whole_chapters_every_locked_cell_has_a_name_of_its_own(tmp_path):
    for path in write(tmp_path, "all", exercises.CHAPTERS):
        ids = [of(cell)["grade_id"] for cell in cells(path) if of(cell)]
        assert len(set(ids)) == len(ids) > 60
        assert all(re.fullmatch(r"[\w-]+", name) for name in ids)


def test_the_same_seed_is_the_same_assignment_and_the_default_is_a_fresh_one(tmp_path):
    def text(name: str, **more: int) -> str:
        return write(tmp_path, name, [6], only_exercises=True, **more)[0].read_text(encoding="utf8")

    assert text("a", seed=5) == text("b", seed=5)
    assert len({text("c"), text("d"), text("e", seed=5)}) == 3


# --- the command


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    options = parser.parse_args(["assignment", *arguments])
    return options.run(options)


def test_the_command_writes_an_assignment_into_a_course(tmp_path, capsys):
    assert command("--chapter", "6,7", "--out", str(tmp_path), "--name", "ps1", "--exercises", "metric,opt-var-1d") == 0
    files = [tmp_path / "source/ps1" / name for name in ("06-optimal-covariance.ipynb", "07-block-structure.ipynb")]
    assert capsys.readouterr().out.split("\n") == [*map(str, files), ""]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*files, tmp_path / "nbgrader_config.py"}


def test_it_finds_the_chapters_of_exercises_and_takes_a_share(tmp_path, capsys):
    command("--out", str(tmp_path), "--name", "ps1", "--exercises", "metric", "--known-mistake", "0.25", "--seed", "4")
    [path] = (tmp_path / "source/ps1").iterdir()
    assert path.name == "07-block-structure.ipynb"
    assert 'credit("metric", handed_in, known_mistake=0.25, seed=4)' in path.read_text(encoding="utf8").replace(
        '\\"', '"'
    )


def test_a_courses_own_configuration_is_left_alone(tmp_path, capsys):
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    command("--chapter", "6", "--out", str(tmp_path), "--name", "ps1")
    assert (tmp_path / "nbgrader_config.py").read_text() == "c = get_config()\n"
    assert "c.ClearSolutions.code_stub" in capsys.readouterr().out


def test_notebooks_are_written_over_only_by_force(tmp_path, capsys):
    arguments = ["--chapter", "6", "--out", str(tmp_path), "--name", "ps1"]
    command(*arguments)
    path = tmp_path / "source/ps1/06-optimal-covariance.ipynb"
    path.write_text("mine")
    with pytest.raises(ValueError, match=r"06-optimal-covariance.ipynb is there already.*--force"):
        command(*arguments, "--chapter", "5,6")
    assert path.read_text() == "mine"
    assert len(list(path.parent.iterdir())) == 1, "nothing half-written"
    command(*arguments, "--force")
    assert path.read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name the chapters of the assignment by --chapter, or its exercises by --exercises."),
        (["--chapter", "13"], "There is no chapter '13'; the book has chapters 1 to 12."),
        (["--chapter", "six"], "There is no chapter 'six'; the book has chapters 1 to 12."),
        (["--exercises", "opt-var"], "There is no exercise called 'opt-var'. Did you mean 'opt-var-1d'?"),
        (["--chapter", "6", "--exercises", "metric"], "The exercise metric is not in the chapters that you named."),
        (["--chapter", "6,7", "--exercises", "metric"], "None of the exercises that you named is in chapter 6."),
        (["--exercises", "opt-cov"], "The exercise opt-cov has no cell for an answer in 06-optimal-covariance."),
        (
            ["--chapter", "6", "--known-mistake", "half"],
            "--known-mistake must be a number between 0 and 1, but it is 'half'.",
        ),
        (
            ["--chapter", "6", "--known-mistake", "2"],
            "The share for a known mistake lies between 0 and 1, but it is 2.",
        ),
        (
            ["--chapter", "6", "--known-mistake", "nan"],
            "The share for a known mistake lies between 0 and 1, but it is nan.",
        ),
        (["--chapter", "6", "--seed", "-1"], "--seed must be a whole number of at least 0, but it is '-1'."),
        (
            ["--chapter", "6", "--name", "../up"],
            "An assignment is named by letters, digits and dashes, such as ps1, but not '../up'.",
        ),
        (
            ["--chapter", "6", "--book", "nowhere"],
            "There is no notebook of chapter 6 in nowhere; name the folder book/ of a",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(arguments, sentence, tmp_path):
    course = tmp_path / "course"
    with pytest.raises((ValueError, OSError)) as error:
        command("--out", str(course), "--name", "ps1", *arguments)
    assert str(error.value).startswith(sentence)
    assert not course.exists()
