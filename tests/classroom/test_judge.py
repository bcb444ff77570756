"""Marking a submission gives what the notebook's own `check` gives; whatever the file is, it ends in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from corpora import some_of
from handed_in import ASKED, FORMULA, FUNCTION, SET_UP, code, hand_in

from gradelib import check, exercises
from gradelib.classroom import Limits, Marked, Marker, SandboxError, assignment, grade, sandbox, sandbox_problem
from gradelib.marker.check import mark
from gradelib.marker.result import Result

BOOK = Path(__file__).parents[2] / "book"
REASON = sandbox_problem()
SEED = 20261122
QUICK_CHAPTER = 12

needs_sandbox = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture(scope="module")
def marker() -> Iterator[Marker]:
    with Marker([*ASKED, "opt-cov"], seed=SEED, sandbox=REASON is None) as warm:
        yield warm


def of(marked: Marked, name: str) -> Result:
    return next(result for result in marked.marks if result.exercise == name)


def answered(marker: Marker, folder: Path, *cells: str) -> Result:
    """The mark for `opt-cov`."""
    return of(marker.mark(hand_in(folder, SET_UP, *cells)), "opt-cov")


# What is right, wrong or missing


def test_right_answers_get_full_marks(marker: Marker, tmp_path: Path) -> None:
    marked = marker.mark(hand_in(tmp_path, SET_UP, FORMULA, FUNCTION))
    assert marked.learner == "ada"
    assert marked.problem is None
    assert [m.exercise for m in marked.marks] == [*ASKED, "opt-cov"]
    assert [m.state for m in marked.marks] == ["correct", "correct", "unanswered"]
    assert [m.score for m in marked.marks] == [1, 1, 0]
    assert marked.marks[2].text == "No cell of this notebook gives an answer to this exercise."
    assert marked.sandboxed is (REASON is None)


def test_the_digest_and_the_name_are_those_of_the_file(marker: Marker, tmp_path: Path) -> None:
    from hashlib import sha256

    path = hand_in(tmp_path, SET_UP, FORMULA)
    marked = marker.mark(path, "Ada Lovelace")
    assert marked.learner == "Ada Lovelace"
    assert marked.sha256 == sha256(path.read_bytes()).hexdigest()


def test_the_same_seed_gives_the_same_marks(marker: Marker, tmp_path: Path) -> None:
    path = hand_in(tmp_path, SET_UP, 'check("opt-cov", "inv(I_d + T(J)@J/beta)")', FUNCTION.replace("beta + m", "m"))
    assert marker.mark(path) == marker.mark(path)


ANSWERS = {
    "right function": "lambda J, H, beta: torch.linalg.inv(torch.eye(J.shape[1]) - J.T @ H @ J / beta)",
    "right text": '"inv(I_d - T(J)@H@J/beta)"',
    "known mistake": '"inv(I_d - beta*T(J)@H@J)"',
    "mistake in a function": "lambda J, H, beta: torch.linalg.inv(torch.eye(J.shape[1]) - beta * J.T @ H @ J)",
    "wrong text": '"inv(I_d)"',
    "unreadable text": '"inv(I_d - JJ)"',
    "endless text": '"a" * 5000',
    "number": "3",
    "tensor": "torch.eye(3)",
    "array": "torch.eye(3).numpy()",
    "complex": "torch.eye(3) * 1j",
    "huge tensor": "torch.ones(1).expand(10**10)",
    "sympy": "sp.Inverse(sp.MatrixSymbol('S', 3, 3))",
    "sympy's factorial": "sp.factorial(sp.Symbol('beta'))",
    "dictionary": "{1: 2}",
    "stub": "...",
    "parameter": "lambda J, H, bta: J",
    "keyword-only": "lambda *, J: J",
    "wrong shape": "lambda J, H, beta: J",
    "wrong dtype": "lambda J, H, beta: torch.linalg.inv(torch.eye(J.shape[1]) - J.T @ H @ J / beta).float()",
    "nothing": "lambda J, H, beta: print(J)",
    "dots": "lambda J, H, beta: [...][0]",
    "list": "lambda J, H, beta: [J]",
    "generator": "lambda J, H, beta: (yield J)",
    "not a number": "lambda J, H, beta: torch.full((J.shape[1], J.shape[1]), float('nan'))",
    "infinite loop": "lambda J, H, beta: [0 for _ in iter(int, 1)]",
    "error": "lambda J, H, beta: J @ J",
    "missing name": "lambda J, H, beta: nonsense",
    "changed input": "lambda J, H, beta: J.mul_(2)",
    "random": "lambda J, H, beta: torch.linalg.inv(torch.eye(J.shape[1]) - J.T @ H @ J / beta) + 1e-12*torch.rand(())",
    "detached": "lambda J, H, beta: torch.linalg.inv(torch.eye(J.shape[1]) - (J.T @ H @ J / beta).detach())",
    "detached from one": "lambda J, H, beta: torch.linalg.inv(torch.eye(J.shape[1]) - J.T @ H.detach() @ J / beta)",
    "outside": "lambda J, H: torch.eye(J.shape[1]) / (beta if True else 1)",
    "80 GB": "lambda J, H, beta: torch.zeros(10**10)",
    "exit": "lambda J, H, beta: __import__('os')._exit(0)",
    "sparse": "lambda J, H, beta: torch.eye(J.shape[1]).to_sparse()",
    "meta": "lambda J, H, beta: torch.empty(J.shape[1], J.shape[1], device='meta')",
    "empty": "lambda J, H, beta: J[:0]",
    "type": "type",
    "torch function": "torch.inverse",
    "infinite gradient": (
        "lambda J, H, beta: torch.linalg.inv(torch.eye(J.shape[1]) - J.T @ H @ J / beta) + (J - J).abs().sqrt().sum()"
    ),
}


@pytest.mark.sampled
@pytest.mark.parametrize(
    "name",
    [
        *some_of([name for name in ANSWERS if name != "infinite loop"], 7),
        pytest.param("infinite loop", marks=pytest.mark.slow),
    ],
)
def test_the_learner_reads_what_the_notebook_says(marker: Marker, tmp_path: Path, name: str) -> None:
    """Sentence for sentence: the marker's judge and the notebook's are one, though the function is far away."""
    import sympy
    import torch

    there = answered(marker, tmp_path, f"import sympy as sp\nbeta = 2.0\ncheck('opt-cov', {ANSWERS[name]})")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        answer = eval(ANSWERS[name], {"torch": torch, "sp": sympy, "beta": 2.0})
        here = mark(exercises.get("opt-cov"), answer, seed=SEED)
    finally:
        torch.set_default_dtype(before)
    here = replace(here, text=here.text.replace("in its line 1 ", "in its line 3 "))
    assert there == here


def test_a_huge_result_costs_the_judge_no_memory(marker: Marker, tmp_path: Path) -> None:
    cell = "check('opt-cov', lambda J, H, beta: torch.ones(1).expand(5 * 10**10))"
    resource = pytest.importorskip("resource")  # not on Windows, where nothing is marked
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "has shape (50000000000,)" in answered(marker, tmp_path, cell).text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kilobytes


def test_gradelibs_own_function_gets_no_points(marker: Marker, tmp_path: Path) -> None:
    result = answered(
        marker, tmp_path, "from gradelib.posteriors import optimal_covariance\ncheck('opt-cov', optimal_covariance)"
    )
    assert result.state == "incorrect"
    assert result.score == 0
    assert result.text == "This is a function of gradelib itself; write one of your own."


def test_the_public_seed_is_not_the_judges(tmp_path: Path) -> None:
    """A function that is right only at the points that everyone can see is wrong here."""
    answer = "lambda w, beta: beta / (beta + w**2) if round(float(w), 6) in {known} else w"
    from gradelib.marker.compare import points

    known = {round(float(point.values()["w"]), 6) for point in points(exercises.get("opt-var-1d").inputs, 0)}
    path = hand_in(tmp_path, SET_UP, f"check('opt-var-1d', {answer.format(known=known)})")
    with Marker(["opt-var-1d"], seed=SEED, sandbox=REASON is None) as private:
        assert private.mark(path).marks[0].state == "incorrect"


# Which cells are run


def test_the_whole_notebook_is_run_in_ipython(marker: Marker, tmp_path: Path) -> None:
    cells = [
        "%matplotlib inline\n%load_ext autoreload\nsign = get_ipython().run_line_magic('who_ls', '')  # is it IPython?",
        "!true\n%time rate = 1.0\nimport asyncio\nawait asyncio.sleep(0.01)",
        "%%capture shown\nprint('x')",
        "def best(J, H, beta):\n    return helper(J, H, beta)",
        "def helper(J, H, beta):\n    return torch.linalg.inv(torch.eye(J.shape[1]) - rate * J.T @ H @ J / beta)",
        "assert shown.stdout == 'x\\n' and _ is not None and In[1] and 'torch' in sign\ncheck('opt-cov', best)",
    ]
    assert answered(marker, tmp_path, "3", *cells)


def test_solutions_do_not_count(marker: Marker, tmp_path: Path) -> None:
    untagged = code("# @title Solution of exercise 6.3: the code above, to run\n" + FUNCTION)
    marked = marker.mark(hand_in(tmp_path, SET_UP, 'check("opt-var-1d", ...)', code(FORMULA, "solution"), untagged))
    assert [of(marked, name).state for name in ASKED] == ["unanswered"] * 2
    assert "the cell of the solution does not count" in of(marked, "optimal-variances").text


def test_the_last_answer_counts_and_a_stub_below_takes_none_back(marker: Marker, tmp_path: Path) -> None:
    wrong, stub = 'check("opt-var-1d", "1/(1 + beta*w**2)")', 'check("opt-var-1d", ...)'
    assert of(marker.mark(hand_in(tmp_path, SET_UP, wrong, FORMULA, stub)), "opt-var-1d")
    assert not of(marker.mark(hand_in(tmp_path, SET_UP, FORMULA, wrong)), "opt-var-1d")


def test_a_function_is_marked_as_it_was_when_it_was_handed_over(marker: Marker, tmp_path: Path) -> None:
    cells = "scale = 1.0\ncheck('opt-var-1d', lambda w, beta: scale * beta / (beta + w**2))", "scale = 2.0\n" + FUNCTION
    assert of(marker.mark(hand_in(tmp_path, SET_UP, *cells)), "opt-var-1d")


def test_a_failing_cell_is_named_and_the_others_count(marker: Marker, tmp_path: Path) -> None:
    marked = marker.mark(hand_in(tmp_path, SET_UP, "check('opt-cov', nonsense)", FORMULA, "check('optimal-variances',"))
    assert of(marked, "opt-var-1d")
    assert "code cell 2 stopped with “NameError”" in of(marked, "opt-cov").text
    assert of(marked, "opt-cov").state == "unreadable"
    assert "code cell 4 stopped with “SyntaxError”" in of(marked, "optimal-variances").text
    assert marked.problem is None


def test_a_failing_cell_is_not_blamed_for_an_exercise_that_is_not_there(marker: Marker, tmp_path: Path) -> None:
    marked = marker.mark(hand_in(tmp_path, SET_UP, "check('opt-cov', nonsense)"))
    assert of(marked, "opt-var-1d").text == "No cell of this notebook gives an answer to this exercise."


@pytest.fixture(scope="module")
def whole_book() -> Iterator[Marker]:
    with Marker(seed=SEED, sandbox=REASON is None) as warm:
        yield warm


@pytest.mark.sampled
@pytest.mark.parametrize("number", some_of(range(1, 13), 2))
def test_the_books_solutions_get_full_marks(whole_book: Marker, tmp_path: Path, number: int) -> None:
    [path] = assignment.write(tmp_path, "all", [number], only_exercises=True)
    marked = whole_book.mark(path)
    assert marked.problem is None
    assert [m for m in marked.marks if not m] == []
    assert len(marked.marks) >= 3


@pytest.mark.slow
def test_a_whole_chapter_is_marked_on_the_exercises_that_it_poses(whole_book: Marker, tmp_path: Path) -> None:
    """With solutions in the places of its stubs, and with its experiments, as its reader would hand it in."""
    [path] = BOOK.glob(f"{QUICK_CHAPTER:02d}-*.ipynb")
    notebook = json.loads(path.read_text())
    for stub, solution in zip(tagged(notebook, "exercise"), tagged(notebook, "solution"), strict=True):
        stub["source"] = solution["source"]
    (tmp_path / path.name).write_text(json.dumps(notebook))
    marked = whole_book.mark(tmp_path / path.name)
    assert marked.problem is None
    assert [m for m in marked.marks if not m] == []
    sources = ["".join(cell["source"]) for cell in tagged(notebook, "exercise")]
    assert all(sum(f'"{m.exercise}"' in source for source in sources) == 1 for m in marked.marks)
    assert len(marked.marks) == len(sources)


def tagged(notebook: dict, tag: str) -> list[dict]:
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


# Files that are no notebooks


def v3(folder: Path) -> Path:
    path = folder / "old.ipynb"
    path.write_text(json.dumps({"nbformat": 3, "worksheets": [], "metadata": {}}))
    return path


def link(folder: Path) -> Path:
    (folder / "link.ipynb").symlink_to(hand_in(folder, SET_UP, FORMULA))
    return folder / "link.ipynb"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.ipynb")
    return folder / "pipe.ipynb"


def holding(content: str | bytes):
    def make(folder: Path) -> Path:
        path = folder / "x.ipynb"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


FILES = {
    "empty": (holding(" \n"), "The file is empty."),
    "cut off": (holding('{"nbformat": 4, "cells": [{"cell_type"'), "cannot be read as JSON"),
    "binary": (holding(bytes(range(256))), "cannot be read as JSON"),
    "deep": (holding("[" * 10**6), "cannot be read as JSON"),
    "long number": (holding('{"nbformat": ' + "9" * 10**5 + "}"), "cannot be read as JSON"),
    "list": (holding("[]"), "This is JSON, but no notebook."),
    "other JSON": (holding('{"a": 1}'), "This is JSON, but no notebook."),
    "no cells": (holding('{"nbformat": 4, "cells": 3}'), "no list of cells"),
    "strange cells": (
        holding('{"nbformat": 4, "cells": [3, null, {"cell_type": "code", "source": 5}]}'),
        "never calls",
    ),
    "huge": (holding(b" " * (10**7 + 1)), "more than 10 MB"),
    "format 3": (v3, "This notebook has format 3; open it in today's Jupyter"),
    "link": (link, "This is a link to another place"),
    "pipe": (pipe, "This is no regular file."),
    "folder": (lambda folder: folder, "This is a folder."),
    "missing": (lambda folder: folder / "none.ipynb", "The file cannot be opened: No such file or directory."),
    "no check": (lambda folder: hand_in(folder, "print(1)"), "never calls check"),
    "nothing but errors": (lambda folder: hand_in(folder, 'look("a", "0")'), "code cell 1 stopped with “NameError”"),
    "another chapter": (
        lambda folder: hand_in(folder, SET_UP, 'check("kl-diag", "0")'),
        "“kl-diag”; is it another chapter's",
    ),
    "misspelt": (lambda folder: hand_in(folder, SET_UP, 'check("opt-var1d", "0")'), "did you mean “opt-var-1d”?"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_strange_file_gets_one_sentence(marker: Marker, tmp_path: Path, name: str) -> None:
    make, sentence = FILES[name]
    marked = marker.mark(make(tmp_path))
    assert sentence in marked.problem
    assert marked.problem.endswith((".", "?"))
    assert {m.state for m in marked.marks} == {"unanswered"}
    assert sum(m.score for m in marked.marks) == 0


def test_no_exercise_an_unknown_one_and_no_sandbox_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="Did you mean 'opt-cov'"):
        Marker(["opt-cvo"], seed=1)
    with pytest.raises(ValueError, match="at least one exercise"):
        Marker([], seed=1)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxError, match="install the package bubblewrap"):
        Marker(["opt-cov"], seed=1)
    assert issubclass(SandboxError, RuntimeError)


def test_a_sandbox_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("bwrap", "setpriv"):
        (tmp_path / program).write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2; exit 1\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if sys.platform == "linux":
        assert "(No permissions to create new namespace)" in sandbox_problem()
        restriction = tmp_path / "apparmor_restrict_unprivileged_userns"
        monkeypatch.setattr(sandbox, "_APPARMOR", restriction)
        assert "does this system allow user namespaces?" in sandbox_problem()
        restriction.write_text("1\n")
        assert "AppArmor keeps it from making user namespaces" in sandbox_problem()
    monkeypatch.setattr("sys.platform", "darwin")
    assert sandbox_problem().startswith("The sandbox needs Linux")


def test_where_no_process_can_be_forked_nothing_is_marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "fork")
    for sealed in (True, False):
        with pytest.raises(SandboxError, match=r"^Marking notebooks needs Linux or macOS, .*\.$"):
            Marker(["opt-cov"], seed=1, sandbox=sealed)
    hand_in(tmp_path, SET_UP, FORMULA)
    with pytest.raises(RuntimeError, match="needs Linux or macOS"):
        grade.grade(tmp_path, tmp_path / "out", sandbox=False)


# The ends of things


@pytest.mark.slow
def test_without_a_sandbox_the_marks_are_the_same_and_say_so(tmp_path: Path) -> None:
    limits = Limits(seconds=3)
    with Marker(ASKED, seed=SEED, sandbox=False, limits=limits) as open_marker:
        marked = open_marker.mark(hand_in(tmp_path, SET_UP, FORMULA, FUNCTION))
        assert all(marked.marks)
        assert marked.sandboxed is False
        endless = open_marker.mark(hand_in(tmp_path, SET_UP, FORMULA, FUNCTION + "\nwhile True: pass"))
        assert endless.problem == "Code cell 3 was still running after 3 seconds of computing; it was interrupted."
        assert all(endless.marks)  # both answers were given before


@pytest.mark.slow
@needs_sandbox
def test_a_warm_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with Marker(["opt-var-1d"], seed=SEED) as mine:
        assert mine.mark(hand_in(tmp_path, SET_UP, FORMULA)).marks[0]
        mine._fork_server._process.kill()
        mine._fork_server._process.wait()
        assert mine.mark(hand_in(tmp_path, SET_UP, FORMULA)).marks[0]


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to look for processes")
@pytest.mark.parametrize(
    "sealed", [pytest.param(True, marks=needs_sandbox), pytest.param(False, marks=pytest.mark.slow)]
)
def test_when_the_judge_is_killed_nothing_of_it_lives_on(tmp_path: Path, sealed: bool) -> None:
    path = hand_in(tmp_path, SET_UP, FORMULA + "\nwhile True: pass")
    script = f"""
        from pathlib import Path
        from gradelib.classroom import Marker
        with Marker(["opt-var-1d"], seed=1, sandbox={sealed}) as marker:
            marker._warm()._await_ready()
            print(marker._fork_server._process.pid, flush=True)
            marker.mark(Path({str(path)!r}))
    """
    judge = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    first = int(judge.stdout.readline())
    deadline = time.monotonic() + 60
    while len(family := descendants(first)) < 4:  # until the cell runs
        assert time.monotonic() < deadline
        time.sleep(0.1)
    judge.kill()
    judge.wait()
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in family if alive(pid)]


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in descendants(int(child)))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_package_is_light() -> None:
    code = "import sys, gradelib.classroom; print({'torch', 'sympy', 'numpy'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_check_in_the_notebook_is_untouched() -> None:
    assert check("opt-var-1d", "beta/(beta + w**2)")
    assert sandbox.Limits().seconds == 60
