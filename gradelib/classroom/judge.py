"""The judge: it has the answer key and the seed, asks the learner's process for numbers, and gives the marks."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradelib import exercises
from gradelib._names import nearest
from gradelib._text import one_line, printable
from gradelib.classroom import Marked, remote_function, submission
from gradelib.classroom.budget import Budget
from gradelib.classroom.protocol import (
    Channel,
    ChannelClosedError,
    ChannelError,
    ChannelTimeoutError,
    ProtocolError,
    expect,
)
from gradelib.classroom.sandbox import ForkServer, Limits, SandboxError, sandbox_problem, system_problem
from gradelib.classroom.submission import Cell
from gradelib.marker import guard
from gradelib.marker.check import OF_GRADELIB, mark
from gradelib.marker.exercise import Exercise
from gradelib.marker.result import Result, State
from gradelib.marker.vocabulary import sentence

_MOST_MESSAGES = 100_000
_MOST_INTERRUPTS = 3  # of cells, and as many runs without a cell that ended Python or could not be interrupted
_MESSAGE_SECONDS = 120.0  # on the clock, from the first byte of a message to its last
_SECONDS_TO_DIE = 120.0  # that the kernel gets for ending all processes of a submission
_MOST_WORDS = 1000
_RAW = 4000  # characters of an answer that are kept for the teacher
_IN_SOLUTION = "No answer yet. What stands in the cell of the solution does not count; write it into the cell above."


@dataclass
class _Answer:
    """The last answer to an exercise: the cell that gave it, as data, and for a function the way to its process."""

    cell: int
    data: dict[str, Any]
    channel: Channel | None = None

    def close(self) -> None:
        if self.channel:
            self.channel.close()


@dataclass
class _Session:
    """What one run of a notebook has said so far."""

    cells: Mapping[int, Cell]
    seconds: float
    answers: dict[str, _Answer] = field(default_factory=dict)
    in_solutions: set[str] = field(default_factory=set)
    posed: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    cell: int = 0
    messages: int = 0
    interrupts: list[str] = field(default_factory=list)
    ended: str | None = None  # why the run came to no end of its own
    is_last: bool = False  # the notebook is not run again

    def __post_init__(self) -> None:
        self.budget = Budget(self.seconds)


@dataclass
class _Findings:
    """What all runs of a notebook have given: the latest mark of each exercise, its cell and the answer itself."""

    marks: dict[str, tuple[int, Result, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def note(self, cell: int, result: Result, raw: str) -> None:
        if cell >= self.marks.get(result.exercise, (0,))[0]:
            self.marks[result.exercise] = cell, result, raw


class Marker:
    """Marks submissions, one after another, in one warm sandbox. A context manager.

    `exercises` are those to be marked, by id or as data where they are a teacher's own; without them each notebook is
    marked on those of the book that it poses. `seed` chooses the points at which answers are tried, and should be kept
    private. The same seed gives the same marks. Raises ValueError for an unknown id, and SandboxError (a RuntimeError),
    with one sentence, where the sandbox cannot be made; with `sandbox=False`, which Windows cannot do either, learners'
    code has the rights of this process. The warm process ends with the thread that started it.
    """

    def __init__(
        self,
        exercises: Sequence[str | Exercise] | None = None,
        *,
        seed: int,
        sandbox: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self._by_themselves = exercises is None
        self._asked = exercises
        self._exercises = {one.id: one for one in _known(exercises)}
        self._seed, self._sandbox, self._limits = seed, sandbox, limits or Limits()
        self._fork_server: ForkServer | None = None
        if reason := sandbox_problem() if sandbox else system_problem():
            raise SandboxError(reason)

    def __enter__(self) -> Marker:
        self._warm()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm process and all that it holds."""
        if self._fork_server:
            self._fork_server.close()
        self._fork_server = None

    def mark(self, path: Path, learner: str | None = None) -> Marked:
        """The marks of one file; what the file holds raises nothing. `learner` is the file's name by default.

        Exercises that are asked for by id are marked as they are at this moment: in the variant in `exercises.use`.
        """
        self._exercises = {one.id: one for one in _known(self._asked)}
        path, digest = Path(path), ""
        learner = path.stem if learner is None else learner
        try:
            content, digest = submission.fetch(path)
            marks, answers, problem = self._marks(submission.cells_of(content))
        except submission.SubmissionError as refused:
            marks, answers, problem = self._unmarked(str(refused)), {}, str(refused)
        return Marked(learner, digest, tuple(marks), problem, self._sandbox, answers)

    def _unmarked(self, why: str) -> list[Result]:
        asked = [] if self._by_themselves else self._exercises.values()
        return [Result(one.id, "unanswered", why, None, 0, one.max_score) for one in asked]

    def _warm(self) -> ForkServer:
        if self._fork_server is None:
            self._fork_server = ForkServer(sandbox=self._sandbox)
        return self._fork_server

    # The runs of a notebook

    def _marks(self, cells: Sequence[Cell]) -> tuple[list[Result], dict[str, str], str | None]:
        """The marks, the answers as they were given, and the problem if there is one."""
        findings, left_out = _Findings(), set[int]()
        while True:
            session = self._run(cells, left_out, findings)
            if not _goes_on(session, left_out):
                return self._collected(cells, session, findings)
            left_out.add(session.cell)

    def _collected(
        self, cells: Sequence[Cell], session: _Session, findings: _Findings
    ) -> tuple[list[Result], dict[str, str], str | None]:
        posed = {*submission.posed(cells, [*self._exercises, *exercises.ids()]), *session.posed}
        asked = [one for one in self._exercises.values() if one.id in posed or not self._by_themselves]
        problems = findings.problems + self._misspelt(session, findings)
        silent = not problems and not findings.marks and not posed & {one.id for one in asked}
        if silent or not asked:
            raise submission.SubmissionError(_nothing_asked(session, posed))
        problem = " ".join(dict.fromkeys(problems)) or None  # a second run has the problems of the first
        marks, answers = [], {}
        for exercise in asked:
            _, result, raw = findings.marks.get(exercise.id, (0, None, ""))
            marks.append(_missing_answer(exercise, cells, session, problem) if result is None else result)
            if raw:
                answers[exercise.id] = printable(raw)
        return marks, answers, problem

    def _misspelt(self, session: _Session, findings: _Findings) -> list[str]:
        """An id that is no exercise, in a notebook that has answers to others."""
        strange = [name for name in session.unknown if name not in exercises.ids()]
        if not strange or not findings.marks:
            return []
        return [f"It also checks “{one_line(strange[0])}”, which is no exercise{_did_you_mean(strange[0])}"]

    def _run(self, cells: Sequence[Cell], left_out: set[int], findings: _Findings) -> _Session:
        """Run the cells but those left out, mark the answers, and see that nothing is left of the submission.

        Of a run that was cut short only the answers in its last cell are marked: the next one gives the others again.
        """
        end, lifeline = self._begin()
        session = _Session({cell.number: cell for cell in cells if cell.number not in left_out}, self._limits.seconds)
        try:
            with end, lifeline:
                self._receive_answers(session, end, lifeline)
                findings.problems += [*session.interrupts, *([session.ended] if session.ended else [])]
                last = not _goes_on(session, left_out)
                for name, answer in session.answers.items():
                    if last or answer.cell == session.cell:
                        findings.note(answer.cell, self._mark_exercise(name, answer, session, findings), _raw(answer))
                if last and not session.ended and _reported(lifeline, session.budget) == "memory":
                    findings.problems.append("Its functions needed more memory than a submission may have.")
                return session
        finally:
            for answer in session.answers.values():
                answer.close()
            if not self._warm().ended(_SECONDS_TO_DIE):
                self.close()

    def _begin(self) -> tuple[socket.socket, socket.socket]:
        try:
            return self._warm().begin(self._limits)
        except OSError:  # the warm process died since the last submission: a new one
            self.close()
            return self._warm().begin(self._limits)

    # Running the cells

    def _receive_answers(self, session: _Session, end: socket.socket, lifeline: socket.socket) -> None:
        """Take in what the submission says until it has run all its cells, or until it is stopped."""
        channel, cells = Channel(end), [(cell.number, cell.source) for cell in session.cells.values()]
        task = {"cells": cells, "asked": self._about_exercises(), "seconds": guard.SECONDS}
        word = None
        try:
            channel.send(task, time.monotonic() + _MESSAGE_SECONDS)
            while not session.ended:
                ready = select.select([end, lifeline], [], [], 1.0)[0]
                if lifeline in ready and (found := _reported(lifeline, session.budget)):
                    word, ready = word or found, [end]  # it has ended: what it said before is still there
                if end in ready and self._handle_message(
                    session, channel.receive(time.monotonic() + _MESSAGE_SECONDS), end
                ):
                    return
                _keep_time(session, lifeline)
        except ChannelClosedError:
            where = f" in code cell {session.cell} of the notebook" if session.cell else ""
            session.ended = f"Python itself ended{where}: by a crash, by an exit, or because it needed too much."
            if word == "memory":
                session.ended = _needed_too_much(session.cell)
        except (ProtocolError, ChannelTimeoutError):
            session.ended = "The notebook's process sent something that is no message of the marker; it was stopped."

    def _about_exercises(self) -> dict[str, dict[str, Any]]:
        every = self._exercises.values()
        return {one.id: {"names": list(one.names), "choice": one.choice is not None} for one in every}

    def _handle_message(self, session: _Session, message: dict[str, Any], end: socket.socket) -> bool:
        """Take in one message; true if it is the last."""
        session.messages += 1
        if session.messages > _MOST_MESSAGES:
            raise ProtocolError
        if "cell" in message:
            cell = _cell(message["cell"], session)
            if cell <= session.cell:
                raise ProtocolError
            session.cell = cell
            session.budget.begin_cell()
        elif "failed" in message:
            words = one_line(expect(message.get("error"), str), _MOST_WORDS)
            session.failed.setdefault(_cell(message["failed"], session), words)
        elif "imports" in message:
            session.budget.imported(expect(message["imports"], float))
        elif "unknown" in message:
            session.unknown.append(expect(message["unknown"], str, 300))
        elif "check" in message:
            self._handle_answer(session, message, end)
        else:
            return expect(message.get("done"), bool)
        return False

    def _handle_answer(self, session: _Session, message: dict[str, Any], end: socket.socket) -> None:
        name = expect(message["check"], str, 300)
        data = expect(message.get("answer"), dict)
        if name not in self._exercises or session.cell == 0:
            raise ProtocolError
        answer = _Answer(session.cell, data, self._connect_snapshot(end) if "function" in data else None)
        cell, old = session.cells[session.cell], session.answers.get(name)
        if cell.solution:
            answer.close()
            if "blank" not in data:
                session.in_solutions.add(name)
            return
        if cell.poses:
            session.posed.add(name)
        if old and "blank" in data:
            return  # the stub below an answer does not take it back
        if old:
            old.close()
        session.answers[name] = answer

    def _connect_snapshot(self, end: socket.socket) -> Channel:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(end, [b"."], [theirs.fileno()])
            except OSError:
                raise ChannelClosedError from None
        return Channel(ours)

    # Trying the answers

    def _mark_exercise(self, name: str, answer: _Answer, session: _Session, findings: _Findings) -> Result:
        exercise = self._exercises[name]
        if "blank" in answer.data and name in session.in_solutions:
            return Result(exercise.id, "unanswered", _IN_SOLUTION, None, 0, exercise.max_score)
        try:
            return self._mark_answer(exercise, answer)
        except ChannelError:
            text = "The notebook's process sent something that is no answer."
            findings.problems.append(text)
            return Result(exercise.id, "unreadable", text, None, 0, exercise.max_score)

    def _mark_answer(self, exercise: Exercise, answer: _Answer) -> Result:
        data = answer.data
        if "blank" in data:
            return mark(exercise, None)
        if "unreadable" in data:
            words = "" if data["unreadable"] is None else one_line(expect(data["unreadable"], str), _MOST_WORDS)
            return Result(exercise.id, "unreadable", words or sentence("apology"), None, 0, exercise.max_score)
        if "of gradelib" in data:
            return Result(exercise.id, "incorrect", OF_GRADELIB, None, 0, exercise.max_score)
        if "no choice" in data:
            return mark(exercise, object(), seed=self._seed)
        if answer.channel is None:
            return mark(exercise, expect(data.get("text"), str), seed=self._seed)
        function = remote_function.RemoteFunction(answer.channel, expect(data["function"], dict))
        return mark(exercise, function, seed=self._seed, run=remote_function.run)


def _known(asked: Sequence[str | Exercise] | None) -> list[Exercise]:
    """The exercises asked for, or all of the book; raises ValueError for an unknown id."""
    if asked is None:
        return exercises.every()
    if not asked:
        raise ValueError("Name at least one exercise to mark.")
    return [exercises.get(one) if isinstance(one, str) else one for one in asked]


def _goes_on(session: _Session, left_out: set[int]) -> bool:
    """Whether the notebook is to be run again without the cell that ended this run."""
    if session.ended is None or session.is_last or session.cell == 0 or len(left_out) == _MOST_INTERRUPTS:
        return False
    return any(number > session.cell for number in session.cells)


def _raw(answer: _Answer) -> str:
    raw = answer.data.get("raw")
    return raw[:_RAW] if type(raw) is str else ""


def _cell(number: Any, session: _Session) -> int:
    if expect(number, int) not in session.cells:
        raise ProtocolError
    return int(number)


def _reported(lifeline: socket.socket, budget: Budget) -> str | None:
    """Take in what the supervisor says of the submission: the time that it has computed, or the word on its end."""
    words, over = b"", False
    with contextlib.suppress(OSError):
        while not over and select.select([lifeline], [], [], 0)[0]:
            part = lifeline.recv(65536)
            words, over = words + part, not part
    for line in words.decode(errors="replace").splitlines():
        kind, _, value = line.partition(" ")
        if kind != "cpu":
            return kind
        with contextlib.suppress(ValueError):
            budget.computed(float(value))
    return "over" if over else None


def _keep_time(session: _Session, lifeline: socket.socket) -> None:
    """Interrupt the cell that takes too long, and give the run up where that does not help."""
    budget = session.budget
    if session.cell == 0:
        if budget.overdue():
            session.ended = "The process for the notebook did not start."
    elif budget.does_not_stop():
        session.ended = f"Code cell {session.cell} did not stop when it was interrupted."
    elif why := budget.overdue():
        if len(session.interrupts) == _MOST_INTERRUPTS:
            session.ended = f"Code cell {session.cell} {why}, after {_MOST_INTERRUPTS} others; this was the end."
            session.is_last = True
            return
        session.interrupts.append(f"Code cell {session.cell} {why}; it was interrupted.")
        budget.interrupt()
        with contextlib.suppress(OSError):
            lifeline.sendall(b"interrupt")


def _needed_too_much(cell: int) -> str:
    return f"Code cell {cell} needed more memory than a submission may have, and was stopped."


def _missing_answer(exercise: Exercise, cells: Sequence[Cell], session: _Session, problem: str | None) -> Result:
    """Why there is no answer: a cell that failed, a submission that was stopped, or no cell that gives one."""
    state: State = "unanswered"
    text = "No cell of this notebook gives an answer to this exercise."
    own = {cell.number for cell in cells if cell.names(exercise.id) and not cell.solution}
    failed = min(session.failed.keys() & own, default=None)
    if failed is None and own and not problem:
        failed = min(session.failed, default=None)
    if failed is not None:
        state, text = "unreadable", f"No answer was reached: code cell {failed} stopped with {session.failed[failed]}."
    elif exercise.id in session.in_solutions:
        text = _IN_SOLUTION
    elif problem:
        text = problem
    return Result(exercise.id, state, text, None, 0, exercise.max_score)


def _nothing_asked(session: _Session, posed: set[str]) -> str:
    """Why a notebook has nothing to mark."""
    if name := next(iter([*session.unknown, *sorted(posed)]), None):
        near = _did_you_mean(name, "; is it another chapter's notebook?")
        return f"This notebook checks none of the exercises asked for, but “{one_line(name)}”{near}"
    for cell, why in session.failed.items():
        return f"No answer was reached: code cell {cell} stopped with {why}."
    return "This notebook never calls check, so there is nothing to mark."


def _did_you_mean(name: str, otherwise: str = ".") -> str:
    near = nearest(name, exercises.ids())
    return f"; did you mean “{near}”?" if near and near != name else otherwise
