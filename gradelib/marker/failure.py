"""An error in a learner's function, as the little that is told of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from gradelib.marker.reading import public_type_name
from gradelib.marker.vocabulary import shown


@dataclass(frozen=True)
class Failure:
    """The quoted name of the error's public type, the first line of its message, the line it left the function from."""

    kind: str
    message: str
    line: int | None
    memory: bool

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What is told of `error`, which was raised one call below the `try` that caught it."""
        message = _message(error)
        frames = traceback.extract_tb(error.__traceback__)
        memory = isinstance(error, MemoryError) or "can't allocate memory" in message
        return cls(public_type_name(error), message, frames[1].lineno if len(frames) > 1 else None, memory)


class RemoteError(Exception):
    """A learner's function failed in another process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _message(error: BaseException) -> str:
    """The first line of an error's message; an error of the learner's own may fail to give one."""
    try:
        return shown((str(error).strip().splitlines() or [""])[0], 160)
    except Exception:
        return shown("")
