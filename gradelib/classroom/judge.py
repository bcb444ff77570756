"""The judge: it has the answers, asks the learner's process for numbers, and gives the marks."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradelib import exercises
from gradelib._names import nearest
from gradelib._text import one_line
from gradelib.classroom import Marked, slicing, submission
from gradelib.classroom.protocol import (
    Channel,
    ChannelClosedError,
    ChannelError,
    ChannelTimeoutError,
    ProtocolError,
    expect,
)
from gradelib.classroom.sandbox import ForkServer, Limits, SandboxError, sandbox_problem
from gradelib.marker import guard
from gradelib.marker.check import mark
from gradelib.marker.exercise import Exercise
from gradelib.marker.result import Result, State

_MOST_MESSAGES = 10_000
_SECONDS_TO_DIE = 20.0  # seconds that the kernel gets for ending all processes of a submission


@dataclass
class _Answer:
    """The last answer to an exercise: as data, and for a function the way to its process."""

    data: dict[str, Any]
    channel: Channel | None = None


@dataclass
class _Session:
    """What a submission has said so far."""

    checked_in: dict[str, set[int]]  # the cells that check each exercise
    answers: dict[str, _Answer] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    cell: int | None = None
    messages: int = 0
    problem: str | None = None


class Marker:
    """Marks submissions, one after another, in one warm sandbox. A context manager.

    `exercises` are ids of the book; `seed` chooses the points at which answers are tried, and should be kept private.
    The same seed gives the same marks. Raises ValueError for an unknown id, and SandboxError (a RuntimeError), with one
    sentence, where the sandbox cannot be made; with `sandbox=False` learners' code has the rights of this process.
    The warm process ends with the thread that started it.
    """

    def __init__(
        self, exercises: Sequence[str], *, seed: int, sandbox: bool = True, limits: Limits | None = None
    ) -> None:
        self._exercises = _known(exercises)
        self._seed, self._sandbox, self._limits = seed, sandbox, limits or Limits()
        self._fork_server: ForkServer | None = None
        if sandbox and (reason := sandbox_problem()):
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
        """The marks of one file; what the file holds raises nothing. `learner` is the file's name by default."""
        path, digest = Path(path), ""
        learner = path.stem if learner is None else learner
        try:
            content, digest = submission.fetch(path)
            marks, problem = self._marks(submission.cells_of(content))
        except submission.SubmissionError as refused:
            marks, problem = self._unmarked(str(refused)), str(refused)
        return Marked(learner, digest, tuple(marks), problem, self._sandbox)

    def _warm(self) -> ForkServer:
        if self._fork_server is None:
            self._fork_server = ForkServer(sandbox=self._sandbox)
        return self._fork_server

    def _unmarked(self, why: str) -> list[Result]:
        return [Result(exercise.id, "unanswered", why, None, 0, exercise.max_score) for exercise in self._exercises]

    def _marks(self, cells: Sequence[tuple[int, str]]) -> tuple[list[Result], str | None]:
        found: dict[str, set[int]] = {}
        for cell, source in cells:
            for name in slicing.checked(source):
                found.setdefault(name, set()).add(cell)
        if not any("check" in source for _, source in cells):
            raise submission.SubmissionError("This notebook never calls check, so there is nothing to mark.")
        if found and not {*found} & {exercise.id for exercise in self._exercises}:
            raise submission.SubmissionError(self._not_asked(next(iter(found))))
        return self._run_and_mark(cells, _Session(found))

    def _not_asked(self, name: str) -> str:
        near = nearest(name, [exercise.id for exercise in self._exercises])
        hint = f"did you mean “{near}”?" if near else "is it another chapter's notebook?"
        return f"This notebook checks none of the exercises asked for, but “{one_line(name)}”; {hint}"

    def _run_and_mark(self, cells: Sequence[tuple[int, str]], session: _Session) -> tuple[list[Result], str | None]:
        """Run the cells, try the answers, and see that nothing is left of the submission."""
        hard = self._limits.seconds + (guard.SECONDS + 1) * len(self._exercises) + 5
        try:
            end, lifeline = self._warm().begin(self._limits, hard_seconds=hard)
        except OSError:  # the warm process died since the last submission: a new one
            self.close()
            end, lifeline = self._warm().begin(self._limits, hard_seconds=hard)
        try:
            with end, lifeline:
                self._receive_answers(session, end, cells)
                session.problem = _ended_for(lifeline) or session.problem
                if session.problem is None or session.answers:
                    marks = [self._mark_exercise(exercise, session) for exercise in self._exercises]
                else:
                    marks = self._unmarked(session.problem)
                return marks, session.problem or _ended_for(lifeline)
        finally:
            if not self._warm().ended(_SECONDS_TO_DIE):
                self.close()

    # Running the cells

    def _receive_answers(self, session: _Session, end: socket.socket, cells: Sequence[tuple[int, str]]) -> None:
        """Take in what the submission says until it has run all its cells, or until it is stopped."""
        channel, deadline = Channel(end), time.monotonic() + self._limits.seconds
        asked = {exercise.id: list(exercise.names) for exercise in self._exercises}
        try:
            channel.send({"cells": list(cells), "asked": asked, "seconds": guard.SECONDS}, deadline)
            while not self._handle_message(session, channel.receive(deadline), end):
                pass
        except ChannelTimeoutError:
            where = f" in its code cell {session.cell}" if session.cell else ""
            session.problem = f"The notebook was still running{where} after {self._limits.seconds:g} seconds."
        except ChannelClosedError:
            where = f" in code cell {session.cell} of the notebook" if session.cell else ""
            session.problem = f"Python itself ended{where}: by a crash, by an exit, or because it needed too much."
        except ProtocolError:
            session.problem = "The notebook's process sent something that is no message of the marker; it was stopped."

    def _handle_message(self, session: _Session, message: dict[str, Any], end: socket.socket) -> bool:
        """Take in one message; true if it is the last."""
        session.messages += 1
        if session.messages > _MOST_MESSAGES:
            raise ProtocolError
        if "cell" in message:
            session.cell = _cell(message["cell"])
        elif "failed" in message:
            session.failed.setdefault(_cell(message["failed"]), one_line(expect(message.get("error"), str)))
        elif "check" in message:
            self._handle_answer(session, message, end)
        else:
            return expect(message.get("done"), bool)
        return False

    def _handle_answer(self, session: _Session, message: dict[str, Any], end: socket.socket) -> None:
        name = expect(message["check"], str, 300)
        data = expect(message.get("answer"), dict)
        if name not in {exercise.id for exercise in self._exercises}:
            raise ProtocolError
        answer = _Answer(data, self._connect_snapshot(end) if "function" in data else None)
        old = session.answers.get(name)
        if old and "blank" in data:
            return  # the stub below an answer does not take it back
        if old and old.channel:
            old.channel.close()
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

    def _mark_exercise(self, exercise: Exercise, session: _Session) -> Result:
        answer = session.answers.get(exercise.id)
        if answer is None:
            return _missing_answer(exercise, session)
        try:
            return self._mark_answer(exercise, answer)
        except ChannelError:
            session.problem = "The notebook's process sent something that is no answer."
            return Result(exercise.id, "unreadable", session.problem, None, 0, exercise.max_score)
        finally:
            if answer.channel:
                answer.channel.close()

    def _mark_answer(self, exercise: Exercise, answer: _Answer) -> Result:
        data = answer.data
        if "blank" in data:
            return mark(exercise, None)
        if "unreadable" in data:
            text = one_line(expect(data["unreadable"], str)) or "This answer could not be read."
            return Result(exercise.id, "unreadable", text, None, 0, exercise.max_score)
        if answer.channel is None:
            return mark(exercise, expect(data.get("text"), str), seed=self._seed)
        return self._mark_function(exercise, expect(data["function"], dict), answer.channel)

    def _mark_function(self, exercise: Exercise, about: dict[str, Any], channel: Channel) -> Result:
        from gradelib.classroom import remote_function

        if expect(about.get("module"), str).partition(".")[0] == "gradelib":
            text = "This is a function of gradelib itself; write one of your own."
            return Result(exercise.id, "incorrect", text, None, 0, exercise.max_score)
        function = remote_function.RemoteFunction(channel, about, guard.SECONDS)
        return mark(exercise, function, seed=self._seed, run=remote_function.run)


def _known(names: Sequence[str]) -> list[Exercise]:
    if not names:
        raise ValueError("Name at least one exercise to mark.")
    return [exercises.get(name) for name in names]


def _cell(number: Any) -> int:
    if not 0 < expect(number, int) < 10**6:
        raise ProtocolError
    return number


def _missing_answer(exercise: Exercise, session: _Session) -> Result:
    """Why there is no answer: a cell that failed, a submission that was stopped, or no cell that gives one."""
    state: State = "unanswered"
    text = "No cell of this notebook gives an answer to this exercise."
    cells = session.checked_in.get(exercise.id, set())
    failed = min(session.failed.keys() & cells, default=None) or min(session.failed, default=None)
    if failed and (cells or not session.checked_in):
        state, text = "unreadable", f"No answer was reached: code cell {failed} stopped with {session.failed[failed]}."
    elif session.problem:
        text = session.problem
    return Result(exercise.id, state, text, None, 0, exercise.max_score)


def _ended_for(lifeline: socket.socket) -> str | None:
    """What the supervisor ended the submission for, if it did."""
    if select.select([lifeline], [], [], 0)[0]:
        with contextlib.suppress(OSError):
            word = lifeline.recv(16)
            if word == b"memory":
                return "The notebook needed more memory than a submission may have, and was stopped."
    return None
