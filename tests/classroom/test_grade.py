"""A class of strangers is marked: the same marks every time, nobody stopped by another, and nothing lost on the way."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import handed_in
import pytest
from inline_executor import inline

from gradelib import classroom, exercises, parallel
from gradelib.classroom import Marked, grade, learners, submission
from gradelib.cli import main
from gradelib.marker.result import Result

ROOT = Path(__file__).parents[2]
CHAPTER = json.loads((ROOT / "book" / "06-optimal-covariance.ipynb").read_text(encoding="utf8"))
POSED = ("opt-var-1d", "inverse-metric", "optimal-variances")  # what the chapter checks besides, it answers itself
# Without its text and its experiments, which take long.
CELLS = [
    handed_in.code(handed_in.SET_UP),
    *(
        cell
        for cell in CHAPTER["cells"]
        if {"exercise", "solution"} & {*cell["metadata"].get("tags", ())}
        and any(name in "".join(cell["source"]) for name in POSED)
    ),
    handed_in.code('check("opt-cov", "the chapter itself")'),
]
SEED = 60902118
FUNCTION = """\
def optimal_variances(J, curvature, beta):
    return {}
"""
RIGHT_FUNCTION = FUNCTION.format("1 / (1 - (curvature[..., None] * J**2).sum(-2) / beta)")
RIGHT = {
    "opt-var-1d": '"1/(1 + w**2/beta)"',
    "inverse-metric": '"beta*(inv(S) - I_d)"',
    "optimal-variances": RIGHT_FUNCTION,
}
WRONG = {"opt-var-1d": '"1/(1 + beta*w**2)"', "inverse-metric": '"inv(S) - I_d"'}
WRONG["optimal-variances"] = FUNCTION.format("1 / (1 - curvature * (J * J).sum(-1) / beta)")
FAMILIAR = {
    "opt-var-1d": "1/(1 + beta*w**2)",
    "inverse-metric": "inv(S) - I_d",
    "optimal-variances": "summed_over_latents",
}


def notebook(**answers: str) -> str:
    """The chapter as its learner hands it in; what is not answered is left as it was. Names are written with _."""
    cells = json.loads(json.dumps(CELLS))
    for name, answer in answers.items():
        name = name.replace("_", "-")
        cell = next(
            c for c in cells if "exercise" in c["metadata"].get("tags", ()) and f'"{name}"' in "".join(c["source"])
        )
        call = "".join(cell["source"]).splitlines()[-1]
        cell["source"] = f"{answer}\n{call}" if answer.startswith("def") else f"answer = {answer}\n{call}"
    return json.dumps({**CHAPTER, "cells": cells})


def of(answers: dict[str, str], **more: str) -> str:
    return notebook(**{name.replace("-", "_"): answer for name, answer in answers.items()}, **more)


HANDED_IN = {
    "ada": of(RIGHT),
    "bob": of({**RIGHT, "opt-var-1d": WRONG["opt-var-1d"]}),
    "cem": of(WRONG),
    "dan": of({**RIGHT, "inverse-metric": '"beta*(inv(S) - I_d"'}),
    "eve": notebook(),
    "fay": of({"opt-var-1d": RIGHT["opt-var-1d"]}),
    "week 2/ada": of(RIGHT),
    "week 2/gül": of(
        {**RIGHT, "optimal-variances": "def optimal_variances(J, curvature, beta):\n    raise ValueError('\\ud800')"}
    ),
    "<script>alert(1)<": of({**WRONG, "opt-var-1d": "'<script>alert(2)'"}),
    "broken": of(RIGHT)[:1000],
    "empty": "",
    "foreign": '{"name": "a model", "layers": [1, 2]}',
}
FILES = 8  # to run: neither a notebook's twin nor what is no notebook


def hand_in(folder: Path, files: dict[str, str]) -> Path:
    for learner, text in files.items():
        path = folder / f"{learner}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    return folder


@cache
def walls() -> list[str]:
    """The class is marked in the sandbox wherever there can be one; all but its walls is the same without."""
    return ["--no-sandbox"] if classroom.sandbox_problem() else []


def gradelib(*arguments: Any) -> tuple[int, str, str]:
    """The command `gradelib grade`: its exit code and what it prints. Its workers stay warm for the next one."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(["grade", *map(str, arguments)])
    return code, out.getvalue(), err.getvalue()


def reports(results: Path) -> dict[str, bytes]:
    """What the class may see of the results, by name."""
    paths = [path for path in results.rglob("*") if path.is_file() and grade.MARKS not in path.parts]
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in paths if path.name != grade.SEED}


def class_data(results: Path) -> dict[str, Any]:
    return json.loads((results / "class.json").read_text(encoding="utf8"))


# --- a class, from the command line to the last report


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return hand_in(tmp_path_factory.mktemp("class"), HANDED_IN)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory) -> tuple[Path, tuple[int, str, str]]:
    results = tmp_path_factory.mktemp("out") / "results"
    return results, gradelib(folder, "--out", results, "--seed", SEED, "--workers", 2, *walls())


def test_a_class_is_marked(run):
    results, done = run
    line = f"12 submissions: 9 marked, mean 1.78 of 3 points, 3 problems. Report: {results / 'class.html'}\n"
    assert done == (1, line, ""), "some files could not be marked"


def test_every_mark_is_the_one_deserved(run):
    lines = {line["learner"]: line for line in class_data(run[0])["learners"]}
    assert list(lines) == sorted(HANDED_IN, key=str.casefold)
    states = {name: [line["states"][one] for one in POSED] for name, line in lines.items()}
    right, wrong, unreadable, empty = "correct", "incorrect", "unreadable", "unanswered"
    assert states == {
        "<script>alert(1)<": [unreadable, wrong, wrong],
        "ada": [right] * 3,
        "bob": [wrong, right, right],
        "broken": ["unmarked"] * 3,
        "cem": [wrong, wrong, wrong],
        "dan": [right, unreadable, right],
        "empty": ["unmarked"] * 3,
        "eve": [empty, empty, empty],
        "fay": [right, empty, empty],
        "foreign": ["unmarked"] * 3,
        "week 2/ada": [right] * 3,
        "week 2/gül": [right, right, wrong],
    }
    assert {name for name, line in lines.items() if line["problem"]} == {"broken", "empty", "foreign"}
    assert lines["ada"]["same_file_as"] == ["week 2/ada"]


def test_a_choice_with_its_reason_is_marked(tmp_path):
    for learner, answer in {"right": "C2", "wrong": "A1", "half": "C1", "none": "C"}.items():
        handed_in.hand_in(tmp_path, handed_in.SET_UP, f'check("what-training-leaves", "{answer}")', name=learner)
    code, _, errors = gradelib(tmp_path, "--out", tmp_path / "results", "--seed", SEED, *walls())
    assert (code, errors) == (0, "")
    (item,) = class_data(tmp_path / "results")["exercises"]
    assert {state: item[state] for state in ("correct", "incorrect", "unreadable")} == {
        "correct": 1,
        "incorrect": 2,
        "unreadable": 1,
    }
    assert all(mistake["hint"] for mistake in item["mistakes"])


def test_the_item_page_counts_states_and_mistakes(run):
    items = {item["exercise"]: item for item in class_data(run[0])["exercises"]}
    states = ("correct", "incorrect", "unreadable", "unanswered", "unmarked")
    assert tuple(items) == tuple(name for name in exercises.ids() if name in POSED)
    assert {name: [item[state] for state in states] for name, item in items.items()} == {
        "opt-var-1d": [5, 2, 1, 1, 3],
        "inverse-metric": [4, 2, 1, 2, 3],
        "optimal-variances": [4, 3, 0, 2, 3],
    }
    times = {name: {found["mistake"]: found["times"] for found in item["mistakes"]} for name, item in items.items()}
    assert times["opt-var-1d"] == {FAMILIAR["opt-var-1d"]: 2}
    assert times["inverse-metric"] == {FAMILIAR["inverse-metric"]: 2}
    assert times["optimal-variances"] == {FAMILIAR["optimal-variances"]: 2, None: 1}


def test_the_spreadsheet_has_a_row_for_each_submission(run):
    head, *lines = csv.reader((run[0] / "marks.csv").read_text(encoding="utf-8-sig").splitlines())
    assert head[1:-3] == [item["exercise"] for item in class_data(run[0])["exercises"]]
    assert {line[0]: line[-3] for line in lines} == {
        line["learner"]: "" if line["score"] is None else str(line["score"]) for line in class_data(run[0])["learners"]
    }


def test_the_same_seed_gives_the_same_bytes_on_one_worker(run, folder, tmp_path):
    again = tmp_path / "again"
    assert gradelib(folder, "--out", again, "--seed", SEED, "--workers", 1, *walls())[0] == 1
    assert reports(again) == reports(run[0])


def test_the_seed_is_in_no_report(run):
    results = run[0]
    assert int((results / grade.SEED).read_text()) == SEED
    assert [name for name, content in reports(results).items() if str(SEED).encode() in content] == []


@pytest.mark.slow
def test_every_report_says_whether_there_was_a_sandbox(run, tmp_path):
    folder = hand_in(tmp_path / "class", {"ada": HANDED_IN["eve"], "bob": ""})
    assert gradelib(folder, "--out", tmp_path / "results", "--workers", 2, "--no-sandbox")[0] == 1
    pages = [content for name, content in reports(tmp_path / "results").items() if name.endswith(".html")]
    assert len(pages) == 3
    assert all(b"ran unprotected" in content for content in pages)
    walled = [b"ran unprotected" in content for name, content in reports(run[0]).items() if name.endswith(".html")]
    assert set(walled) == {bool(walls())}


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(run, folder, tmp_path):
    """SIGKILL for the command and its workers, with some files marked and some not."""
    results = tmp_path / "results"
    arguments = ["grade", folder, "--out", results, "--seed", str(SEED), "--workers", "1", *walls()]
    killed = subprocess.Popen([sys.executable, "-m", "gradelib", *arguments], cwd=ROOT, start_new_session=True)
    while len(list(results.glob("marks/*/[!.]*.json"))) < 3:
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    before = stamps(results)
    assert 3 <= len(before) < FILES
    assert not (results / "class.html").exists()
    assert gradelib(folder, "--out", results, "--workers", 2, *walls())[0] == 1  # it remembers the seed
    after = stamps(results)
    assert {name: after[name] for name in before} == before
    assert len(after) == FILES
    assert reports(results) == reports(run[0])


def stamps(results: Path) -> dict[str, int]:
    """When the marks of each file were written."""
    return {path.name: path.stat().st_mtime_ns for path in results.glob("marks/*/[!.]*.json")}


@pytest.mark.slow
def test_shards_share_the_work_and_the_last_run_reports(run, folder, tmp_path):
    results = tmp_path / "results"
    where = (folder, "--out", results, "--seed", SEED, "--workers", 2, *walls())
    code, line, _ = gradelib(*where, "--shard", "1/2")
    assert (code, line.split(".")[0]) == (0, "Shard 1 of 2 is done; 7 of 12 submissions are marked so far")
    assert reports(results) == {}
    assert gradelib(*where, "--shard", "2/2")[0] == 0
    before = stamps(results)
    assert gradelib(*where)[0] == 1
    assert stamps(results) == before
    assert reports(results) == reports(run[0])


# --- the folder that was handed in, and the results; with a marker that only counts


def posed(content: bytes) -> tuple[str, ...]:
    return submission.posed(submission.cells_of(content), exercises.ids())


class Counting:
    """A marker that finds everything right and remembers what it was given."""

    seen: ClassVar[Counter[bytes]] = Counter()
    made: ClassVar[list[Counting]] = []

    def __init__(self, asked: tuple[str, ...] | None, *, seed: int, sandbox: bool) -> None:
        self.asked, self.seed, self.sandbox, self.closed = asked, seed, sandbox, False
        self.made.append(self)

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def mark(self, path: Path) -> Marked:
        content = path.read_bytes()
        self.seen[content] += 1
        if b"kill" in content:
            raise OSError("No space left on device")
        asked = self.asked or posed(content)
        marks = tuple(Result(name, "correct", f"Right. \ud800\x1b{self.seed}", None, 1, 1) for name in asked)
        return Marked("", sha256(content).hexdigest(), marks, None, self.sandbox)


@pytest.fixture
def counting(monkeypatch) -> type[Counting]:
    monkeypatch.setattr(parallel, "_processes", inline)
    monkeypatch.setitem(vars(classroom), "Marker", Counting)  # the real ones need not even be loaded
    monkeypatch.setitem(vars(classroom), "sandbox_problem", lambda: None)
    monkeypatch.setattr(grade, "_warm", {})
    monkeypatch.setattr(Counting, "seen", Counter())
    monkeypatch.setattr(Counting, "made", [])
    return Counting


def small(*names: str, more: str = "") -> str:
    """A notebook that poses these exercises and nothing else."""
    sources = [f'answer = ...\ncheck("{name}", answer){more}' for name in names]
    cells = [{"cell_type": "code", "metadata": {}, "source": [source]} for source in sources]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


def test_only_what_is_new_or_changed_is_marked_and_who_left_is_gone(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov"), "bob": small("opt-cov", more="#")})
    first = grade.grade(folder, tmp_path / "out")
    assert (first.line.split(",")[0], counting.seen.total()) == ("2 submissions: 2 marked", 2)
    hand_in(folder, {"ada": small("opt-cov", more="# changed"), "cem": small("opt-cov", more="# new")})
    (folder / "bob.ipynb").unlink()
    grade.grade(folder, tmp_path / "out")
    assert counting.seen.total() == 4
    assert set(counting.seen.values()) == {1}
    assert [line["learner"] for line in class_data(tmp_path / "out")["learners"]] == ["ada", "cem"]
    assert not list((tmp_path / "out").rglob("bob*"))
    grade.grade(folder, tmp_path / "out")
    assert counting.seen.total() == 4


def test_the_same_file_is_marked_once(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov"), "bob": small("opt-cov")})
    grade.grade(folder, tmp_path / "out")
    assert counting.seen.total() == 1
    lines = class_data(tmp_path / "out")["learners"]
    assert [line["same_file_as"] for line in lines] == [["bob"], ["ada"]]


def test_the_seed_is_fresh_and_private_and_kept(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov")})
    for out in ("one", "two", "two"):
        grade.grade(folder, tmp_path / out)
        hand_in(folder, {"bob": small("opt-cov", more="#" + out)})
    seeds = [int((tmp_path / out / grade.SEED).read_text()) for out in ("one", "two")]
    assert seeds[0] != seeds[1]
    assert [marker.seed for marker in counting.made] == seeds
    with pytest.raises(ValueError, match="marked with another seed"):
        grade.grade(folder, tmp_path / "one", seed=seeds[0] + 1)
    assert counting.made[0].closed  # a worker has one marker at a time


def test_other_exercises_and_another_answer_key_are_marked_anew_and_nothing_is_mixed(counting, tmp_path, monkeypatch):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov", "inverse-metric")})
    out = tmp_path / "out"
    grade.grade(folder, out)
    grade.grade(folder, out, asked=["opt-cov"])
    assert [item["exercise"] for item in class_data(out)["exercises"]] == ["opt-cov"]
    assert class_data(out)["learners"][0]["score"] == 1
    grade.grade(folder, out)
    assert (class_data(out)["learners"][0]["score"], counting.seen.total()) == (2, 2)
    grade.grade(folder, out, sandbox=False)
    assert (class_data(out)["sandboxed"], counting.seen.total()) == (False, 3)
    monkeypatch.setattr(grade, "_version", lambda: "another")
    grade.grade(folder, out)
    assert (class_data(out)["sandboxed"], counting.seen.total()) == (True, 4)


def test_a_marker_that_fails_is_a_line_in_the_report_and_is_tried_again(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov"), "bob": small("opt-cov", more="# kill")})
    graded = grade.grade(folder, tmp_path / "out")
    assert "2 submissions: 1 marked" in graded.line
    assert not graded.complete
    problem = class_data(tmp_path / "out")["learners"][1]["problem"]
    assert problem == "This file could not be marked; the same command tries again. OSError: No space left on device"
    grade.grade(folder, tmp_path / "out")
    assert sorted(counting.seen.values()) == [1, 2]


def test_a_marker_that_always_fails_ends_in_a_sentence(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"bob": small("opt-cov", more="# kill")})
    with pytest.raises(RuntimeError, match=r"No notebook could be marked. The first: .*No space left on device"):
        grade.grade(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_notebooks_are_found_wherever_they_lie(tmp_path):
    found = {"ada": "1", "a/b/cem": "2", ".hidden": "3", ".ipynb_checkpoints/ada": "4", "a/.b/eve": "5", "a..b": "6"}
    folder = hand_in(tmp_path, found)
    (folder / "ada.IPYNB").write_text("7")
    (folder / "notes.txt").write_text("8")
    (folder / "fay.ipynb").mkdir()
    digests = {sha256(str(number).encode()).hexdigest(): number for number in range(9)}
    files, left_out = grade.handed_in(folder)
    assert {file.learner: digests[file.sha256] for file in files} == {"a..b": 6, "a/b/cem": 2, "ada": 7, "ada.ipynb": 1}
    assert [one.file for one in left_out] == ["notes.txt"]


def test_names_that_play_tricks_are_shown_as_they_are(tmp_path):
    for name in (b"a\xff", b"b\n=1", "c\u202ebynpi".encode()):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name + b".ipynb")).touch()
    assert [one.learner for one in grade.handed_in(tmp_path)[0]] == ["a\\udcff", "b\n=1", "c\\u202ebynpi"]


def test_files_that_are_left_out_are_named(counting, one, tmp_path):
    rename, unpack, other = (
        "Its name does not end in .ipynb; rename it if it is a notebook.",
        "It is an archive; unpack it first.",
        "It is no notebook.",
    )
    wanted = {
        **dict.fromkeys(("bob.zip", "cem.tar.gz", "dan.7z", "Fay.RAR", "week 2/gil.tgz"), unpack),
        **dict.fromkeys(("eve.ipynb.txt", "hal.ipynb.json", "ida.ipynb (1)", "week 2/jon.ipynb~"), rename),
        **dict.fromkeys(("kim.py", "lea.html", "notes", "week 2/notes.pdf", "<b>.md"), other),
    }
    for name in (*wanted, ".DS_Store", ".git/config", "week 2/.ipynb_checkpoints/x.ipynb"):
        (one / name).parent.mkdir(parents=True, exist_ok=True)
        (one / name).touch()
    graded = grade.grade(one, tmp_path / "out")
    assert f"0 problems, {len(wanted)} files left out" in graded.line
    assert {found["file"]: found["why"] for found in class_data(tmp_path / "out")["left_out"]} == wanted
    page = (tmp_path / "out" / "class.html").read_text(encoding="utf8")
    assert all(escape(name) in page for name in wanted)


# --- whose a file is

PLATFORMS = {
    "moodle": {
        "Ada Lovelace_1234567_assignsubmission_file_/ps1.ipynb": "Ada Lovelace_1234567",
        "Ada Lovelace_1234567_assignsubmission_file/ps1 b.ipynb": "Ada Lovelace_1234567",
        "Ada Lovelace_7654321_assignsubmission_file_/ps1.ipynb": "Ada Lovelace_7654321",  # of the same name
        "Participant_99_assignsubmission_file_/a/b.ipynb": "Participant_99",
        "Müller-Yıldız Zoë_12_assignsubmission_file_ps1.ipynb": "Müller-Yıldız Zoë_12",
        "Ada Lovelace/ps1.ipynb": None,
    },
    "canvas": {
        "lovelaceada_4711_90210_ps1.ipynb": "lovelaceada_4711",
        "lovelaceada_LATE_4711_90211_ps1-1.ipynb": "lovelaceada_4711",
        "lovelaceada_4712_90210_06-optimal-covariance.ipynb": "lovelaceada_4712",
        "ps1/zoe_5_6_x_y.ipynb": "zoe_5",
        "notebook.ipynb": None,
    },
    "nbgrader": {
        "submitted/ada/ps1/06-optimal-covariance.ipynb": "ada",
        "submitted/ada/ps2/x.ipynb": "ada",
        "bob/ps1/x.ipynb": "bob",
        "source/ps1/x.ipynb": None,
        "release/ps1/x.ipynb": None,
        "autograded/ada/ps1/x.ipynb": None,
        "feedback/ada/ps1/x.ipynb": None,
    },
    r"^(\d+)-": {"17-ps1.ipynb": "17", "17-ps2.ipynb": "17", "x.ipynb": None},
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_learners_are_found_in_the_names_of_platforms(tmp_path, platform):
    for name in PLATFORMS[platform]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, left_out = learners.sort(tmp_path, learners.pattern(platform), tmp_path / "results")
    whose = {path.relative_to(tmp_path).as_posix(): learner for learner, paths in found.items() for path in paths}
    assert whose == {name: learner for name, learner in PLATFORMS[platform].items() if learner}
    assert {one.file for one in left_out} == {name for name, learner in PLATFORMS[platform].items() if not learner}


def test_several_notebooks_of_a_learner_are_one_row(counting, tmp_path):
    folder = hand_in(
        tmp_path / "in",
        {
            "ada_1_2_ps1": small("opt-cov"),
            "ada_LATE_1_3_ps2": small("inverse-metric", "opt-cov", more="#"),
            "bob_2_4_ps1": small("opt-cov"),
            "bob_2_5_ps2": "",
        },
    )
    graded = grade.grade(folder, tmp_path / "out", learner="canvas")
    ada, bob = class_data(tmp_path / "out")["learners"]
    assert (ada["learner"], ada["score"], ada["max_score"], ada["problem"]) == ("ada_1", 2, 2, None)
    assert [file["file"] for file in ada["files"]] == ["ada_1_2_ps1.ipynb", "ada_LATE_1_3_ps2.ipynb"]
    assert (bob["score"], bob["max_score"], bob["problem"]) == (1, 1, "bob_2_5_ps2.ipynb: The file is empty.")
    assert (ada["same_file_as"], bob["same_file_as"]) == (["bob_2"], ["ada_1"])
    assert (graded.complete, graded.line.split(":")[0]) == (False, "2 submissions")


OTHERS = {
    "checks one more": small("opt-cov", "grae"),
    "checks another": small("rotation"),
    "checks all": small(*exercises.ids()),
    "checks nothing": small(),
    "checks what nobody knows": small("no-such-exercise"),
    "is broken": "{",
    "is empty": "",
    "is huge": " " * (10**7 + 1),
    "is the same": small("opt-cov"),
    "lost its tags": json.dumps(
        {"nbformat": 4, "cells": [handed_in.code("check('opt-cov', 1)"), handed_in.code("check('grae', 1)")]}
    ),
    "checks it in a solution": json.dumps({"nbformat": 4, "cells": [handed_in.code("check('grae', 1)", "solution")]}),
    "has other tags": json.dumps({"nbformat": 4, "cells": [handed_in.code("check('grae', 1)", "exercise")]}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_one_submission_never_changes_anothers_total(counting, tmp_path, other):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov"), "bob": small("opt-cov", "inverse-metric")})
    grade.grade(folder, tmp_path / "out")
    before = {line["learner"]: (line["score"], line["max_score"]) for line in class_data(tmp_path / "out")["learners"]}
    hand_in(folder, {"mallory": OTHERS[other]})
    grade.grade(folder, tmp_path / "out")
    after = {line["learner"]: (line["score"], line["max_score"]) for line in class_data(tmp_path / "out")["learners"]}
    assert {name: after[name] for name in before} == before == {"ada": (1, 1), "bob": (2, 2)}


def test_what_a_notebook_does_not_pose_is_no_wrong_answer(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov"), "eve": small("opt-cov", "grae")})
    grade.grade(folder, tmp_path / "out")
    ada, _ = class_data(tmp_path / "out")["learners"]
    assert ada["states"] == {"opt-cov": "correct", "grae": "unposed"}
    assert [item["unposed"] for item in class_data(tmp_path / "out")["exercises"]] == [0, 1]
    _, row, _ = csv.reader((tmp_path / "out/marks.csv").read_text(encoding="utf-8-sig").splitlines())
    assert row == ["ada", "1", "", "1", "1", ""]


# --- scores: what is not marked anew


def test_partial_credit_and_overrides_mark_nobody_anew(run, folder, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(run[0], results)
    before = stamps(results)
    table = tmp_path / "overrides.csv"
    table.write_text("student_id,exercise,score,comment\nbob,opt-var-1d,1,He meant it.\nempty,inverse-metric,0.5,\n")
    arguments = (folder, "--out", results, "--workers", 2, *walls())
    assert gradelib(*arguments, "--known-mistake", 0)[0] == 1
    lines = {line["learner"]: line for line in class_data(results)["learners"]}
    assert (lines["bob"]["score"], lines["cem"]["score"], class_data(results)["mean"]) == (2, 0, 13 / 9)
    assert gradelib(*arguments, "--known-mistake", 0.25, "--overrides", table)[0] == 1
    lines = {line["learner"]: line for line in class_data(results)["learners"]}
    assert [lines[name]["score"] for name in ("ada", "bob", "cem", "empty")] == [3, 3, 0.75, 0.5]
    own = json.loads((results / "reports/bob.json").read_text(encoding="utf8"))["marks"][0]
    assert (own["state"], own["score"], own["override"]) == ("incorrect", 1, {"score": 1, "comment": "He meant it."})
    assert "He meant it." in (results / "reports/bob.html").read_text(encoding="utf8")
    assert stamps(results) == before


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("exercise,score\n", "needs the columns student_id, exercise, score, but it has no student_id."),
        (
            "student_id,exercise,score\nadda,opt-cov,1\n",
            "line 2: There is no learner called 'adda'. Did you mean 'ada'?",
        ),
        ("student_id,exercise,score\nada,opt-cv,1\n", "There is no exercise called 'opt-cv'. Did you mean 'opt-cov'?"),
        ("student_id,exercise,score\nada,opt-cov,2\n", "in opt-cov lies between 0 and 1, but it is '2'."),
        ("student_id,exercise,score\nada,opt-cov,nan\n", "in opt-cov lies between 0 and 1, but it is 'nan'."),
        ("student_id,exercise,score\nada,opt-cov\n", "in opt-cov lies between 0 and 1, but it is ''."),
        ("student_id,exercise,score\nada,opt-cov,1\nada,opt-cov,0\n", "line 3: The score of ada in opt-cov is set for"),
    ],
)
def test_overrides_that_cannot_be_are_refused_before_anything_is_written(counting, one, tmp_path, table, sentence):
    (tmp_path / "o.csv").write_text(table)
    code, out, err = gradelib(one, "--out", tmp_path / "out", "--overrides", tmp_path / "o.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert not (tmp_path / "out").exists()


def test_only_code_that_gives_marks_is_in_the_key(tmp_path, monkeypatch):
    package = tmp_path / "gradelib"
    shutil.copytree(ROOT / "gradelib", package, ignore=shutil.ignore_patterns("recorded", "__pycache__"))
    monkeypatch.setattr("gradelib.__file__", str(package / "__init__.py"))

    def key_after(name: str, old: str = "", new: str = "", more: str = "") -> str:
        path = package / name
        text = path.read_text(encoding="utf8")
        assert old in text
        path.write_text(text.replace(old, new, 1) + more, encoding="utf8")
        grade._version.cache_clear()
        return grade._version()

    try:
        first = key_after("cli.py")
        for name in ("figures/live.py", "classroom/reports.py", "classroom/assignment.py", "classroom/scores.py"):
            assert key_after(name, more="\nx = 1\n") == first, name
        assert key_after("classroom/judge.py", '"""The judge', '"""A judge', "# a comment\n") == first
        keys = [first]
        for name in ("classroom/judge.py", "marker/compare.py", "exercises/chapter06.py", "posteriors.py"):
            keys.append(key_after(name, more="\nx = 1\n"))
        keys.append(key_after("marker/language.json", more=" "))
        assert len(set(keys)) == len(keys)
    finally:
        grade._version.cache_clear()


def test_what_is_no_file_or_too_large_gets_its_line(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": small("opt-cov")})
    (folder / "bob.ipynb").symlink_to(folder / "ada.ipynb")  # or to the solutions
    os.mkfifo(folder / "cem.ipynb")
    with open(folder / "dan.ipynb", "wb") as huge:
        huge.truncate(2**40)
    grade.grade(folder, tmp_path / "out")
    assert [line["problem"] for line in class_data(tmp_path / "out")["learners"]] == [
        None,
        "This is a link to another place, which is not followed; hand in the notebook itself.",
        "This is no regular file.",
        "The file has more than 10 MB; clear the notebook's outputs and save it again.",
    ]


def test_a_notebook_is_marked_on_what_its_cells_pose(tmp_path):
    sources = {
        "both": small("inverse-metric", "opt-cov"),
        "unknown": small("opt-covv"),
        "solved": json.dumps(
            {"cells": [{"cell_type": "code", "metadata": {"tags": ["solution"]}, "source": 'check("grae", 1)'}]}
        ),
        "tagged": json.dumps(
            {
                "cells": [
                    {"cell_type": "code", "metadata": {}, "source": 'check("rotation", "the chapter itself")'},
                    {
                        "cell_type": "code",
                        "metadata": {"tags": ["exercise"]},
                        "source": 'check("taylor-expectation", ...)',
                    },
                ]
            }
        ),
        "words": json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": 'check("rotation", 1)'}]}),
        "magic": json.dumps(
            {"cells": [{"cell_type": "code", "metadata": {}, "source": '%matplotlib inline\ncheck("kl-diag", 1)'}]}
        ),
        "broken": '{"cells": [' + "[" * 10**5,
        "odd": '{"cells": [1, {"cell_type": "code", "source": 3}, {"cell_type": "code", "source": ["x", 1]}]}',
        "list": "[]",
        "bytes": "\ufeff\x00",
        "deep": json.dumps({"cells": [{"cell_type": "code", "metadata": {}, "source": "-" * 10**6 + "1"}]}),
    }
    hand_in(tmp_path, {name: text.replace('{"cells"', '{"nbformat": 4, "cells"') for name, text in sources.items()})
    found = {file.learner: set(file.posed) for file in grade.handed_in(tmp_path)[0]}
    assert {name: ids for name, ids in found.items() if ids} == {
        "both": {"inverse-metric", "opt-cov"},
        "tagged": {"taylor-expectation"},
        "magic": {"kl-diag"},
    }


# --- what is refused


@pytest.fixture
def one(tmp_path) -> Path:
    return hand_in(tmp_path / "in", {"ada": small("opt-cov")})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{nowhere}"], "nowhere is no folder; give the one into which the notebooks were collected."),
        (["{file}"], "ada.ipynb is no folder; give the one into which the notebooks were collected."),
        (["{empty}"], "There are no notebooks (*.ipynb) in "),
        (["{one}", "--exercises", "opt-cv"], "There is no exercise called 'opt-cv'. Did you mean 'opt-cov'?"),
        (["{one}", "--exercises", ","], "--exercises must name at least one exercise."),
        (["{one}", "--chapter", "13"], "There is no chapter '13'; the book has chapters 1 to 12."),
        (["{one}", "--seed", "x"], "--seed must be a whole number of at least 0, but it is 'x'."),
        (["{one}", "--shard", "3/2"], "--shard must be i/N with i from 1 to N, for example 2/8, but it is '3/2'."),
        (["{one}", "--backend", "dask"], "--backend dask needs --scheduler ADDRESS"),
        (["{strange}"], "No notebook poses an exercise that is known; name those to be marked with --exercises."),
    ],
)
def test_bad_use_is_refused_in_one_sentence_and_leaves_nothing(counting, one, tmp_path, arguments, sentence):
    places = {"one": one, "file": one / "ada.ipynb", "nowhere": tmp_path / "nowhere", "empty": tmp_path / "empty"}
    places["empty"].mkdir()
    places["strange"] = hand_in(tmp_path / "strange", {"ada": "{}"})
    arguments = [argument.format(**places) for argument in arguments]
    code, out, err = gradelib(*arguments, "--out", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert not (tmp_path / "out").exists()


def test_without_a_sandbox_it_refuses_and_says_why(counting, one, tmp_path, monkeypatch):
    monkeypatch.setitem(vars(classroom), "sandbox_problem", lambda: "The sandbox needs the program bwrap.")
    with pytest.raises(RuntimeError, match=r"needs the program bwrap\. .*--no-sandbox"):
        grade.grade(one, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "1 marked" in grade.grade(one, tmp_path / "out", sandbox=False).line


def test_a_scheduler_that_does_not_answer_leaves_nothing(counting, one, tmp_path, monkeypatch):
    def unreachable(*_: Any) -> Any:
        raise ConnectionError("No scheduler answers at tcp://127.0.0.1:9.")

    monkeypatch.setattr(parallel, "_connect", unreachable)
    where = parallel.Where(backend="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="No scheduler answers"):
        grade.grade(one, tmp_path / "out", where=where)
    assert not (tmp_path / "out").exists()


def test_marks_that_were_there_survive_a_scheduler_that_does_not_answer(counting, one, tmp_path, monkeypatch):
    grade.grade(one, tmp_path / "out")
    before = reports(tmp_path / "out")
    hand_in(one, {"bob": small("opt-cov", more="#")})
    where = parallel.Where(backend="dask", scheduler="tcp://127.0.0.1:9")
    monkeypatch.setattr(parallel, "_connect", lambda address: (_ for _ in ()).throw(ConnectionError("No scheduler")))
    with pytest.raises(ConnectionError):
        grade.grade(one, tmp_path / "out", where=where)
    assert reports(tmp_path / "out") == before
    grade.grade(one, tmp_path / "out")
    assert sorted(counting.seen.values()) == [1, 1]


def test_an_empty_folder_stays_empty_where_nothing_could_be_marked(counting, tmp_path):
    folder = hand_in(tmp_path / "in", {"bob": small("opt-cov", more="# kill")})
    (tmp_path / "out").mkdir()
    with pytest.raises(RuntimeError):
        grade.grade(folder, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_file_system_without_links_keeps_the_seed_too(counting, one, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "Operation not permitted")))
    for _ in range(2):
        assert "1 marked" in grade.grade(one, tmp_path / "out").line
    assert counting.seen.total() == 1


def test_a_folder_of_other_things_is_left_alone(counting, one, tmp_path):
    with pytest.raises(ValueError, match="holds other things; give --out a new or an empty folder"):
        grade.grade(one, one)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file, but --out needs a folder"):
        grade.grade(one, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    assert "1 marked" in grade.grade(one, tmp_path / "empty").line


def test_the_results_may_lie_in_the_folder_itself(counting, one):
    for _ in range(2):
        assert "1 submission: 1 marked, mean 1 of 1 points, 0 problems. R" in grade.grade(one, one / "results").line
    shutil.rmtree(one / "results")
