"""In the learner's process: run the notebook in an IPython shell, and hand each answer over as data.

The shell is IPython's own, so magics, `get_ipython`, `%%time` and top-level `await` are what they are in a kernel.
`check` gives the verdict that the learner's own kernel gives, and notes what it is given before that. Text and numbers
go to the judge at once. For a function a fork stays behind, with all names as they are at this moment; the judge sends
it inputs later. Marks come from the judge alone: learners' code may change anything here, and would only spoil its own.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import random
import resource
import select
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from gradelib import exercises
from gradelib.classroom.protocol import MOST_ENTRIES, Channel, ChannelClosedError, entries, pack, unpack
from gradelib.marker import check as marking
from gradelib.marker import guard
from gradelib.marker.failure import Failure
from gradelib.marker.language import Formula, UnreadableError
from gradelib.marker.reading import choice_text, is_blank, is_of_gradelib, outside_names, read, type_name
from gradelib.marker.result import Result

_TASK_BYTES = 2**26
_SHOWN = 4000  # characters of an answer that the teacher gets to read
_CPU_OF_IMPORTS = 30  # seconds that the imports of a function may compute, besides the time of the function itself
_REPORTED = 0.01  # seconds of computing: shorter imports are not worth a message


class _Shell(InteractiveShell):
    """IPython's shell without a terminal and without a history on disk."""

    def ask_exit(self) -> None:
        """`exit` in a cell ends the session of a terminal; a notebook goes on with its next cell."""

    def enable_gui(self, gui: str | None = None) -> None:
        """What `%matplotlib` calls, with whatever a backend needs; there is no window here."""

    @contextlib.contextmanager
    def _tee(self, channel: str) -> Iterator[None]:
        """IPython 9 keeps all that is printed in its history, without a limit; here nobody reads it."""
        yield


def make_shell() -> InteractiveShell:
    """The shell of this process; made once, before the forks, since that takes longer than many a notebook."""
    settings = Config()
    settings.HistoryManager.enabled = False
    settings.HistoryManager.hist_file = ":memory:"
    settings.InteractiveShell.colors = "NoColor"
    settings.InteractiveShell.xmode = "Minimal"  # nobody reads the tracebacks
    with tempfile.TemporaryDirectory() as folder:
        shell = _Shell.instance(config=settings, ipython_dir=folder)
    if shell.display_formatter:
        shell.display_formatter.active_types = ["text/plain"]  # nor the pictures
    return shell


def run(channel_file: int) -> None:
    """Take the task from the judge, do it, and end."""
    end = socket.socket(fileno=channel_file)
    channel = Channel(end, _TASK_BYTES)
    task = channel.receive()
    collector = _AnswerCollector(channel, end, task["asked"], task["seconds"])
    _install_check(collector)
    _seed_generators()
    shell, process = make_shell(), os.getpid()
    with guard.imports_are_free(_ImportClock(collector)):
        for number, source in task["cells"]:
            collector.send({"cell": number})
            error = _run_cell(shell, source)
            if os.getpid() != process:  # a fork that a cell has left behind came to the end of its cell, too
                os._exit(0)
            if error is not None:
                collector.send({"failed": number, "error": _error_text(error)})
    collector.send({"done": True})
    with contextlib.suppress(ChannelClosedError):
        channel.receive()


def _run_cell(shell: InteractiveShell, source: str) -> BaseException | None:
    """Run one cell, which the judge may interrupt; what it raised."""
    try:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            result = shell.run_cell(source, store_history=True)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except BaseException as error:  # an interrupt at the very end, or an error that IPython cannot show
        return error
    return result.error_before_exec or result.error_in_exec


def _error_text(error: BaseException) -> str:
    failure = Failure.of(error)
    return f"{failure.kind}: {failure.message}"


def _install_check(collector: _AnswerCollector) -> None:
    """Let `check` note what it is given, wherever it is imported from."""
    import gradelib

    exercises.hand_in(*(name for name in collector.asked if name not in exercises.ids()))
    recording = collector.recording(marking.check)
    vars(marking)["check"] = vars(gradelib)["check"] = recording


def _seed_generators() -> None:
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


class _ImportClock(contextlib.AbstractContextManager[None]):
    """Tells the judge how much of its time this process has spent on imports, as each of them ends."""

    def __init__(self, collector: _AnswerCollector) -> None:
        self._collector = collector

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        if (spent := time.process_time() - self._start) > _REPORTED:
            self._collector.send({"imports": spent})


class _AnswerCollector:
    """Takes answers and passes them on. `asked` says for each exercise which names it has and if it is a choice."""

    def __init__(
        self, channel: Channel, end: socket.socket, asked: Mapping[str, dict[str, Any]], seconds: float
    ) -> None:
        self._channel, self._end, self.asked, self._seconds = channel, end, asked, seconds
        self._inode = os.fstat(end.fileno()).st_ino
        self._process = os.getpid()
        self._lock = threading.RLock()

    def recording(self, check: Callable[..., Result]) -> Callable[..., Result]:
        """`check` itself, which hands over what it is given before it looks at it."""
        signature = inspect.signature(check)

        @functools.wraps(check)
        def recorded(*arguments: Any, **named: Any) -> Result:
            if os.getpid() != self._process:  # a fork, which may be late: what it checks has no place in the notebook
                return check(*arguments, **named)
            with contextlib.suppress(TypeError):
                bound = signature.bind(*arguments, **named).arguments
                name = bound.get("exercise_id")
                if type(name) is str and name in self.asked:
                    self._hand_over(name, bound.get("answer"))
                elif type(name) is str:
                    self.send({"unknown": name[:200]})
            return check(*arguments, **named)

        return recorded

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, unless this is a fork of the marker's own, which has no way to the judge."""
        with self._lock:
            if self._has_channel():
                self._channel.send(message)

    def _has_channel(self) -> bool:
        try:
            return os.fstat(self._end.fileno()).st_ino == self._inode
        except OSError:
            return False

    def _hand_over(self, name: str, answer: Any) -> None:
        form = _serialized(answer, self.asked[name])
        with self._lock:
            if not self._has_channel():
                return
            self._channel.send({"check": name, "answer": form})
            if "function" in form:
                self._fork_snapshot(answer)

    def _fork_snapshot(self, function: Callable[..., Any]) -> None:
        """Leave a fork of this process behind, a snapshot of all names, in which the judge calls the function later.

        It is no child of this process, whose code may wait for its children.
        """
        _, ends, _, _ = socket.recv_fds(self._end, 1, 1)
        with socket.socket(fileno=ends[0]) as line, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside other threads
            between = os.fork()
            if between == 0:
                try:
                    if os.fork() == 0:
                        self._end.close()
                        _FunctionServer(line, function, self._seconds).serve()
                finally:
                    os._exit(0)
            os.waitpid(between, 0)


def _serialized(answer: Any, about: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as data, and under `raw` what the teacher may want to read."""
    try:
        if is_blank(answer):
            return {"blank": True}
        if about["choice"]:
            text = choice_text(answer)
            return {"no choice": True} if text is None else {"text": text[:100_000], "raw": text[:_SHOWN]}
        if type(answer) is str:
            return {"text": answer[:100_000], "raw": answer[:_SHOWN]}
        if is_of_gradelib(answer):
            return {"of gradelib": True, "raw": answer.__name__[:_SHOWN]}
        found = read(answer, about["names"])
        if isinstance(found, Formula):
            return {"text": found.text, "raw": found.text[:_SHOWN]}
        return {"function": _function_description(found), "raw": _source(found)}
    except UnreadableError as error:
        return {"unreadable": str(error), "raw": type_name(answer)}
    except Exception:
        return {"unreadable": None}


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)[:_SHOWN]
    except Exception:  # a built-in has none, and a class may define traps
        return type_name(function)


def _function_description(function: Callable[..., Any]) -> dict[str, Any]:
    """What the marker wants to know of a function before it calls it."""
    return {"parameters": _parameters(function), "outside": sorted(outside_names(function))}


def _parameters(function: Callable[..., Any]) -> list[list[Any]] | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except Exception:
        return None
    return [[p.name, int(p.kind), p.default is not p.empty] for p in parameters]


class _FunctionServer:
    """Calls a function with the inputs that the judge sends, and sends back what comes out.

    It computes under the notebook's own guard: time, memory and imports count here as they do there.
    """

    def __init__(self, line: socket.socket, function: Callable[..., Any], seconds: float) -> None:
        self.line, self.channel, self.function, self.seconds = line, Channel(line), function, seconds
        self.result: Any = None
        self.inputs: list[Any] = []

    def serve(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        select.select([self.line], [], [])  # the clock begins with the first input
        ended = "crashed"
        with contextlib.suppress(guard.CrashError):
            try:
                guard.run(self._answer_requests, self.seconds, fork=True, keep=self.line.fileno())
            except guard.TimeLimitError as error:
                ended = "waited" if error.waited else "computed"
        self.channel.send({"ended": ended})

    def _answer_requests(self) -> None:
        """In a child: reply until the judge is gone."""
        limit = int(self.seconds) + _CPU_OF_IMPORTS  # for what takes the guard's timers away
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        with contextlib.suppress(ChannelClosedError), _as_in_the_notebook():
            while True:
                request = self.channel.receive()
                self.channel.send(self._call(request["call"]) if "call" in request else self._gradients(request))

    def _call(self, arguments: list[dict[str, Any]]) -> dict[str, Any]:
        self.inputs = [_argument(argument) for argument in arguments]
        before = [_copy(value) for value in self.inputs]
        try:
            self.result = self.function(*self.inputs)
        except Exception as error:
            return {"raised": _failure(error)}
        changed = [i for i, (a, b) in enumerate(zip(self.inputs, before, strict=True)) if not _same(a, b)]
        return {"value": _value(self.result), "changed": changed}

    def _gradients(self, request: dict[str, Any]) -> dict[str, Any]:
        import torch

        leaves = [x for x in self.inputs if isinstance(x, torch.Tensor) and x.requires_grad]
        seed = _tensor(request["gradients"]).to(self.result.dtype)
        try:
            found = iter(torch.autograd.grad(self.result, leaves, seed, allow_unused=True))
        except Exception as error:
            return {"raised": _failure(error)}
        every = [next(found) if any(x is leaf for leaf in leaves) else None for x in self.inputs]
        return {"gradients": [None if g is None else _packed(g.double()) for g in every]}


@contextlib.contextmanager
def _as_in_the_notebook() -> Iterator[None]:
    """What `check` sets around a function that it calls."""
    from gradelib.marker.functions import torch_as_in_the_book

    with warnings.catch_warnings(), np.errstate(all="ignore"), torch_as_in_the_book():
        warnings.simplefilter("ignore")
        yield


def _argument(data: dict[str, Any]) -> Any:
    if "number" in data:
        return data["number"]
    return _tensor(data["tensor"]).requires_grad_(data["gradient"])


def _tensor(data: dict[str, Any]) -> Any:
    import torch

    shape, raw = unpack(data, 8)
    return torch.frombuffer(bytearray(raw), dtype=torch.float64).reshape(shape).clone() if raw else torch.empty(shape)


def _copy(value: Any) -> Any:
    return value.detach().clone() if hasattr(value, "detach") else value


def _same(a: Any, b: Any) -> bool:
    import torch

    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def _value(result: Any) -> dict[str, Any]:
    """What came out, as data: a tensor, or what it is instead."""
    import torch

    if result is None or result is ...:
        return {"nothing": "None" if result is None else "..."}
    if not issubclass(type(result), torch.Tensor):
        return {"other": type_name(result)}
    plain = result.detach()
    about = {
        "dtype": str(plain.dtype).removeprefix("torch."),
        "device": plain.device.type,
        "gradient": result.requires_grad,
        "strided": plain.layout is torch.strided and not plain.is_quantized,
    }
    if entries(plain.shape) > MOST_ENTRIES or plain.device.type != "cpu" or not about["strided"]:
        return {"tensor": {"shape": list(plain.shape)}, **about}
    return {"tensor": _packed(plain), **about}


def _packed(tensor: Any) -> dict[str, Any]:
    import torch

    flat = tensor.contiguous().resolve_conj().resolve_neg().reshape(-1)
    return pack(tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes())


def _failure(error: Exception) -> dict[str, Any]:
    failure = Failure.of(error)
    return {"kind": failure.kind, "message": failure.message, "line": failure.line, "memory": failure.memory}
