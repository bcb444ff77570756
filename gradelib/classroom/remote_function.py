"""A learner's function in another process, which the judge calls as if it were in this one.

What comes back is data, and each piece is looked at before it is used: a tensor is made from a shape and bytes, an
error from the words that are told of it. So `gradelib.marker.functions` finds the same faults as in the notebook.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradelib._text import one_line
from gradelib.classroom.protocol import (
    Channel,
    ChannelClosedError,
    ChannelError,
    ChannelTimeoutError,
    ProtocolError,
    expect,
    pack,
    shape_of,
    unpack,
)
from gradelib.marker import guard
from gradelib.marker.failure import Failure, RemoteError

_DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "complex64", "complex128", "bool", "uint8"),
    *("int8", "int16", "int32", "int64"),
)
_MOST_NAMES, _MOST_WORDS = 500, 300


# Seconds on the clock for one reply: the guard beside the function, which counts computing, has ended it before.
_PATIENCE = 12 * guard.WALL * guard.SECONDS


class _EndedError(ChannelError):
    """The function's process was ended; `why` says for what."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RemoteFunction:
    """Callable with tensors and numbers, differentiable, with the signature of the function far away."""

    def __init__(self, channel: Channel, about: dict[str, Any]) -> None:
        self._channel = channel
        if (signature := _signature(about.get("parameters"))) is not None:
            self.__signature__ = signature
        self.names_outside = frozenset(_names(about.get("outside")))

    def __call__(self, *arguments: Any) -> Any:
        reply = self._ask({"call": [_sent(argument) for argument in arguments]})
        if "raised" in reply:
            raise RemoteError(_failure(reply["raised"]))
        for position in expect(reply.get("changed"), list, len(arguments)):
            _mark_mutated(arguments, position)
        result = _result(expect(reply.get("value"), dict))
        wants = any(isinstance(argument, Tensor) and argument.requires_grad for argument in arguments)
        if wants and isinstance(result, Tensor) and reply["value"].get("gradient") is True:
            return _Remote.apply(self, result, *arguments)
        return result

    def gradients(self, gradient: Tensor, arguments: tuple[Any, ...]) -> list[Tensor | None]:
        """The gradient in each argument of the last call, from that in its result."""
        reply = self._ask({"gradients": _packed(gradient)})
        if "raised" in reply:
            raise RemoteError(_failure(reply["raised"]))
        found = expect(reply.get("gradients"), list, len(arguments))
        if len(found) != len(arguments):
            raise ProtocolError
        return [None if g is None else _gradient(g, x) for g, x in zip(found, arguments, strict=True)]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """How long the function may compute is measured where it runs, so that a busy machine changes nothing."""
        deadline = time.monotonic() + _PATIENCE
        with contextlib.suppress(ChannelClosedError):  # there may still be a word on why
            self._channel.send(request, deadline)
        reply = self._channel.receive(deadline)
        if "ended" in reply:
            raise _EndedError(expect(reply["ended"], str, 20))
        return reply


class _Remote(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: RemoteFunction, result: Tensor, *arguments: Any) -> Tensor:
        ctx.function, ctx.arguments = function, arguments
        return result.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.function.gradients(gradient, ctx.arguments)


def run(work: Callable[[], Any], seconds: float) -> Any:
    """In the place of `guard.run`: nothing of the learner runs in this process, so nothing needs to be ended here."""
    try:
        return work()
    except _EndedError as ended:
        if ended.why in ("computed", "waited"):
            raise guard.TimeLimitError(seconds, waited=ended.why == "waited") from None
        raise guard.CrashError from None
    except ChannelTimeoutError:
        raise guard.TimeLimitError(seconds, waited=True) from None
    except (ChannelClosedError, Exception):  # an exception ends the child of `guard.run`, too
        raise guard.CrashError from None


def _signature(parameters: Any) -> inspect.Signature | None:
    """The signature that was described; None if the function has none that makes sense."""
    if parameters is None:
        return None
    made = []
    for described in expect(parameters, list, _MOST_NAMES):
        name, kind, has_default = _triple(described)
        made.append((expect(name, str, _MOST_WORDS), expect(kind, int), expect(has_default, bool)))
    try:
        return inspect.Signature([
            inspect.Parameter(name, inspect._ParameterKind(kind), default=None if has_default else inspect._empty)
            for name, kind, has_default in made
        ])  # fmt: skip
    except ValueError:
        return None


def _triple(described: Any) -> list[Any]:
    if len(expect(described, list, 3)) != 3:
        raise ProtocolError
    return described


def _names(names: Any) -> list[str]:
    return [expect(name, str, 10_000) for name in expect(names, list, 100_000)]


def _sent(argument: Any) -> dict[str, Any]:
    if not isinstance(argument, Tensor):
        return {"number": argument}
    return {"tensor": _packed(argument), "gradient": argument.requires_grad}


def _packed(tensor: Tensor) -> dict[str, Any]:
    return pack(tuple(tensor.shape), tensor.detach().double().contiguous().numpy().tobytes())


def _mark_mutated(arguments: tuple[Any, ...], position: Any) -> None:
    """Change an argument here, since it was changed there."""
    if not 0 <= expect(position, int) < len(arguments):
        raise ProtocolError
    if isinstance(arguments[position], Tensor):
        with torch.no_grad():
            arguments[position].add_(1)


def _result(value: dict[str, Any]) -> Any:
    """What the function returned, or something here that is alike in all that the judge looks at."""
    if "nothing" in value:
        return None if value["nothing"] == "None" else ...
    if "other" in value:
        return type(_words(value["other"]).strip("“”") or "object", (), {})()
    name = expect(value.get("dtype"), str, 30)
    if name not in _DTYPES:
        return type(name, (), {})()
    dtype = getattr(torch, name)
    if "bytes" in expect(value.get("tensor"), dict):
        shape, raw = unpack(value["tensor"], dtype.itemsize)
        return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape) if raw else torch.empty(shape, dtype=dtype)
    return _without_values(shape_of(value["tensor"]), dtype, value)


def _without_values(shape: tuple[int, ...], dtype: torch.dtype, value: dict[str, Any]) -> Tensor:
    """A tensor of which only the shape and the kind matter, as it is refused for one of them; it takes no memory."""
    if value.get("strided") is not True:
        return torch.empty(shape, dtype=dtype, layout=torch.sparse_coo)
    return torch.empty(shape, dtype=dtype, device="meta")


def _gradient(data: Any, argument: Any) -> Tensor:
    shape, raw = unpack(data, 8)
    if not isinstance(argument, Tensor) or shape != tuple(argument.shape) or not raw:
        raise ProtocolError
    return torch.frombuffer(bytearray(raw), dtype=torch.float64).reshape(shape).to(argument.dtype)


def _failure(data: Any) -> Failure:
    line = expect(data, dict).get("line")
    if line is not None and not 0 < expect(line, int) < 10**6:
        raise ProtocolError
    return Failure(_words(data.get("kind")), _words(data.get("message")), line, expect(data.get("memory"), bool))


def _words(text: Any) -> str:
    """A few words of a learner's, without anything that does not print."""
    return one_line(expect(text, str, _MOST_WORDS))
