"""How long a notebook may run: its seconds of computing decide, so that a busy machine changes no mark.

Imports are free, up to as many seconds again. When the budget is used up, the cell that runs then is interrupted if it
has itself had a tenth of it: an answer that follows a long training is not lost. What computes nothing, since it sleeps
or waits, is interrupted by a limit on the clock that is ten times larger.
"""

from __future__ import annotations

import time

from gradelib.marker import guard

_TO_STOP = 1.0  # seconds of computing in which an interrupted cell must end, and ten times as many on the clock
_SHARE = 0.1  # of the budget, which every cell may have


class Budget:
    """The clock of one run of a notebook."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._cpu = self._imports = self._cell_start = 0.0
        self._interrupted: tuple[float, float] | None = None  # on both clocks
        self._window = (0.0, time.monotonic())

    def computed(self, cpu: float) -> None:
        """Take note of the seconds that the submission has computed since its start."""
        self._cpu = max(self._cpu, cpu)

    def imported(self, seconds: float) -> None:
        """Take note of seconds that were spent on imports."""
        self._imports += max(0.0, seconds)

    def begin_cell(self) -> None:
        """Begin with the next cell."""
        self._cell_start, self._interrupted, self._window = self._counted(), None, (self._cpu, time.monotonic())

    def _counted(self) -> float:
        return self._cpu - min(self._imports, self._seconds)

    def overdue(self) -> str | None:
        """Why the cell must be interrupted now, in words that follow its name; None where it may go on."""
        if self._interrupted:
            return None
        if self._counted() > max(self._seconds, self._cell_start + _SHARE * self._seconds):
            return f"was still running after {self._seconds:g} seconds of computing"
        if self._idle(guard.WALL * self._seconds):
            return f"had not ended after {guard.WALL * self._seconds:g} seconds, and computed little"
        return None

    def interrupt(self) -> None:
        """The cell is interrupted now."""
        self._interrupted = self._cpu, time.monotonic()
        self._window = self._interrupted

    def does_not_stop(self) -> bool:
        """Whether the cell goes on although it was interrupted."""
        if not self._interrupted:
            return False
        return self._cpu - self._interrupted[0] > _TO_STOP or self._idle(guard.WALL * _TO_STOP)

    def _idle(self, seconds: float) -> bool:
        """Whether so many seconds have passed on the clock in which hardly anything was computed."""
        cpu, start = self._window
        if time.monotonic() - start < seconds:
            return False
        if self._cpu - cpu < guard.IDLE * seconds:
            return True
        self._window = self._cpu, time.monotonic()
        return False
