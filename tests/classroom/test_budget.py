"""How long a notebook may run: computing counts, imports and a busy machine do not, and an interrupt loses one cell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from handed_in import ASKED, FORMULA, FUNCTION, SET_UP, hand_in

from gradelib.classroom import Limits, Marked, Marker, budget, sandbox_problem
from gradelib.marker import guard

STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(budget, "time", made)
    return made


def test_computing_counts_and_the_clock_does_not(clock: Clock) -> None:
    time = budget.Budget(10)
    time.begin_cell()
    for second in range(1, 11):
        clock.now += 50  # a machine with fifty other jobs
        time.computed(second)
        assert time.overdue() is None
    time.computed(10.1)
    assert time.overdue() == "was still running after 10 seconds of computing"


def test_imports_are_free_up_to_as_much_again(clock: Clock) -> None:
    time = budget.Budget(10)
    time.begin_cell()
    time.imported(6)
    time.computed(15)
    assert time.overdue() is None
    time.imported(1000)
    time.computed(19.9)
    assert time.overdue() is None
    time.computed(20.1)
    assert time.overdue()


def test_after_a_long_training_each_cell_has_its_tenth(clock: Clock) -> None:
    time = budget.Budget(10)
    time.begin_cell()
    time.computed(9.9)
    time.begin_cell()
    time.computed(10.8)
    assert time.overdue() is None
    time.computed(11)
    assert time.overdue()
    time.interrupt()
    assert time.overdue() is None
    time.begin_cell()
    time.computed(11.9)
    assert time.overdue() is None


def test_what_only_waits_has_ten_times_as_long(clock: Clock) -> None:
    time = budget.Budget(10)
    time.begin_cell()
    clock.now = 99
    assert time.overdue() is None
    clock.now = 101
    assert time.overdue() == "had not ended after 100 seconds, and computed little"


def test_what_computes_now_and_then_does_not_only_wait(clock: Clock) -> None:
    time = budget.Budget(10)
    time.begin_cell()
    for second in range(1, 9):
        clock.now += 101
        time.computed(second)
        assert time.overdue() is None


def test_an_interrupted_cell_has_a_second_of_computing_to_stop(clock: Clock) -> None:
    time = budget.Budget(10)
    time.begin_cell()
    time.computed(10.5)
    assert not time.does_not_stop()
    time.interrupt()
    clock.now += 5
    time.computed(11.4)
    assert not time.does_not_stop()
    time.computed(11.6)
    assert time.does_not_stop()


def test_an_interrupted_cell_that_sleeps_on_is_given_up_by_the_clock(clock: Clock) -> None:
    time = budget.Budget(10)
    time.begin_cell()
    time.interrupt()
    clock.now += 9
    assert not time.does_not_stop()
    clock.now += 2
    assert time.does_not_stop()


# In a notebook


@pytest.fixture(scope="module")
def marker() -> Iterator[Marker]:
    with Marker(ASKED, seed=1, sandbox=sandbox_problem() is None, limits=Limits(seconds=1)) as warm:
        yield warm


def marked(marker: Marker, folder: Path, *cells: str) -> Marked:
    return marker.mark(hand_in(folder, SET_UP, *cells))


def test_an_endless_cell_is_interrupted_and_what_follows_is_run(marker: Marker, tmp_path: Path) -> None:
    found = marked(marker, tmp_path, FUNCTION, "n = 1\nwhile True: n += 1", "assert n > 1\n" + FORMULA)
    assert all(found.marks)
    assert found.problem == "Code cell 3 was still running after 1 seconds of computing; it was interrupted."


def test_a_cell_that_sleeps_is_interrupted_by_the_clock(
    marker: Marker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "WALL", 4)
    found = marked(marker, tmp_path, "import time\ntime.sleep(10**6)", FORMULA, FUNCTION)
    assert all(found.marks)
    assert found.problem == "Code cell 2 had not ended after 4 seconds, and computed little; it was interrupted."


def test_a_shell_command_is_interrupted_too(marker: Marker, tmp_path: Path) -> None:
    found = marked(marker, tmp_path, "import subprocess\nsubprocess.run(['sh', '-c', 'while :; do :; done'])", FORMULA)
    assert found.marks[0]
    assert "Code cell 2 was still running" in found.problem


def test_a_cell_that_does_not_stop_is_left_out_and_its_answers_count(marker: Marker, tmp_path: Path) -> None:
    found = marked(marker, tmp_path, f"seen = 1\n{FUNCTION}\n{STUBBORN}", f"assert 'seen' not in globals()\n{FORMULA}")
    assert all(found.marks), found
    assert "Code cell 2 did not stop when it was interrupted." in found.problem


ENDS = {
    "an exit": "import os\nos._exit(0)",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "a kill": "import os\nos.kill(os.getpid(), 9)",
    "a closed channel": "import os\nos.close(3)",
    "noise": "import os\nos.write(3, b'\\xff' * 99)",
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_python_is_left_out_and_the_rest_is_run(marker: Marker, tmp_path: Path, end: str) -> None:
    found = marked(marker, tmp_path, FUNCTION, ENDS[end], FORMULA)
    assert all(found.marks), found
    assert found.problem


def test_a_later_answer_wins_over_one_in_a_cell_that_was_left_out(marker: Marker, tmp_path: Path) -> None:
    wrong = "check('opt-var-1d', '1')\nimport os\nos._exit(0)"
    assert marked(marker, tmp_path, wrong, FORMULA).marks[0]
    assert not marked(marker, tmp_path, FORMULA, wrong).marks[0]
    assert not marked(marker, tmp_path, FORMULA, wrong, "check('opt-var-1d', ...)").marks[0]


def test_a_notebook_is_run_four_times_at_most(marker: Marker, tmp_path: Path) -> None:
    cells = [f"x = {k}\nimport os\nos._exit(0)" for k in range(4)]
    found = marked(marker, tmp_path, *cells[:3], FORMULA)
    assert found.marks[0]
    found = marked(marker, tmp_path, *cells, FORMULA)
    assert found.marks[0].state == "unanswered"
    assert found.marks[0].text == found.problem
    assert found.problem.count("Python itself ended") == 4


@pytest.mark.slow
def test_a_notebook_is_interrupted_three_times_at_most(marker: Marker, tmp_path: Path) -> None:
    endless = "while True: pass"
    assert marked(marker, tmp_path, *[endless] * 3, FORMULA).marks[0]
    found = marked(marker, tmp_path, FUNCTION, *[endless] * 5, FORMULA)
    assert [mark.state for mark in found.marks] == ["unanswered", "correct"]
    assert found.problem.endswith("after 3 others; this was the end.")


def test_a_fork_of_a_cell_runs_no_other_cell(marker: Marker, tmp_path: Path) -> None:
    """Nor does it hand in anything, however late it comes."""
    for late in ("", "time.sleep(0.3)"):
        fork = f"import os, time\nif os.fork() == 0:\n    {late}\n    check('opt-var-1d', '1')"
        wait = "time.sleep(0.6)" if late else ""
        found = marked(marker, tmp_path, fork, FORMULA, FUNCTION, wait)
        assert (found.problem, all(found.marks)) == (None, True)
