"""In the learner's process: run the cells that the answers need, and hand each answer over as data.

`check` notes here what it is given. Text and numbers go to the judge at once. For a function a fork stays behind, with
all names as they are at this moment, as the notebook's own `check` would see them; the judge sends it inputs later.
Nothing in this module guards anything: learners' code may change it, and would only spoil its own marks.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import os
import random
import signal
import socket
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradelib.classroom import slicing
from gradelib.classroom.protocol import MOST_ENTRIES, Channel, ChannelClosedError, entries, pack, unpack
from gradelib.marker.failure import Failure
from gradelib.marker.language import Formula, UnreadableError
from gradelib.marker.reading import choice_text, is_blank, outside_names, read, type_name

_TASK_BYTES = 2**26


def run(channel_file: int) -> None:
    """Take the task from the judge, do it, and end."""
    end = socket.socket(fileno=channel_file)
    channel = Channel(end, _TASK_BYTES)
    task = channel.receive()
    desk = _AnswerCollector(channel, end, task["asked"], task["seconds"])
    _install_check(desk.check)
    _seed_generators()
    namespace = _main_module()
    for step in slicing.steps([(number, source) for number, source in task["cells"]], list(task["asked"])):
        channel.send({"cell": step.cell})
        try:
            _run_step(step, dict(task["cells"])[step.cell], namespace)
        except BaseException as error:
            channel.send({"failed": step.cell, "error": _error_text(error)})
    channel.send({"done": True})
    with contextlib.suppress(
        ChannelClosedError
    ):  # the forks are this process's children, until the judge has done with them
        channel.receive()


def _run_step(step: slicing.Step, source: str, namespace: dict[str, Any]) -> None:
    if step.error:
        raise step.error
    name = f"<cell {step.cell}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(ast.Module(list(step.body), []), name, "exec", dont_inherit=True), namespace)


def _error_text(error: BaseException) -> str:
    failure = Failure.of(error)
    return f"{failure.kind}: {failure.message}"


def _install_check(check: Callable[..., Any]) -> None:
    import gradelib

    vars(gradelib)["check"] = check
    stand_in = types.ModuleType("gradelib.marker.check")
    vars(stand_in)["check"] = check
    sys.modules[stand_in.__name__] = stand_in


def _seed_generators() -> None:
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _main_module() -> dict[str, Any]:
    module = types.ModuleType("__main__")
    vars(module)["display"] = lambda *_, **__: None
    sys.modules["__main__"] = module
    return module.__dict__


class Recorded:
    """What `check` returns here: true, without a verdict."""

    def __repr__(self) -> str:
        return "noted"


class _AnswerCollector:
    """Takes answers and passes them on."""

    def __init__(self, channel: Channel, end: socket.socket, asked: Mapping[str, list[str]], seconds: float) -> None:
        self.channel, self.end, self.asked, self.seconds = channel, end, asked, seconds

    def check(self, exercise_id: str, answer: Any = None) -> Recorded:
        if type(exercise_id) is str and exercise_id in self.asked:
            form = _serialized(answer, self.asked[exercise_id])
            self.channel.send({"check": exercise_id, "answer": form})
            if "function" in form:
                self._fork_snapshot(answer)
        return Recorded()

    def _fork_snapshot(self, function: Callable[..., Any]) -> None:
        """Leave a fork of this process behind, a snapshot of all names, in which the judge calls the function later."""
        _, ends, _, _ = socket.recv_fds(self.end, 1, 1)
        with socket.socket(fileno=ends[0]) as line:  # closed here, too, if no fork is to be had
            if os.fork() == 0:
                try:
                    self.end.close()
                    _FunctionServer(Channel(line), function, self.seconds).serve()
                finally:
                    os._exit(0)


def _serialized(answer: Any, names: Sequence[str]) -> dict[str, Any]:
    """The answer as data."""
    try:
        if is_blank(answer):
            return {"blank": True}
        if (text := choice_text(answer)) is not None:
            return {"text": text[:100_000]}
        found = read(answer, names)
    except UnreadableError as error:
        return {"unreadable": str(error)}
    except Exception:
        return {"unreadable": ""}
    return {"text": found.text} if isinstance(found, Formula) else {"function": _function_description(answer)}


def _function_description(function: Callable[..., Any]) -> dict[str, Any]:
    """What the marker wants to know of a function before it calls it."""
    return {
        "module": str(getattr(function, "__module__", "")),
        "parameters": _parameters(function),
        "outside": sorted(outside_names(function)),
    }


def _parameters(function: Callable[..., Any]) -> list[list[Any]] | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except Exception:
        return None
    return [[p.name, int(p.kind), p.default is not p.empty] for p in parameters]


class _FunctionServer:
    """Calls a function with the inputs that the judge sends, and sends back what comes out."""

    def __init__(self, channel: Channel, function: Callable[..., Any], seconds: float) -> None:
        self.channel, self.function, self.seconds = channel, function, seconds
        self.result: Any = None
        self.inputs: list[Any] = []

    def serve(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        while True:
            signal.alarm(0)
            try:
                request = self.channel.receive()
            except ChannelClosedError:
                return
            signal.alarm(int(self.seconds) + 2)  # the judge has long given up by then
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
