"""What goes between the judge and a learner's process: a length, then JSON. Nothing here can carry code.

Both ends use this module. The judge trusts nothing that comes in: it limits the length and the time, and `expect`
looks at each message before it is used.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import time
from typing import Any, TypeVar

Value = TypeVar("Value")

_LENGTH = struct.Struct("<I")
MOST_BYTES = 2**20  # of one message from a learner
MOST_ENTRIES = 20_000  # of a tensor that is sent


class ChannelError(BaseException):
    """The other side is gone, silent or talks nonsense; no `except Exception` on the way may catch it."""


class ChannelClosedError(ChannelError):
    """The other side closed the channel."""


class ChannelTimeoutError(ChannelError):
    """Nothing came in time."""


class ProtocolError(ChannelError):
    """What came is no message."""


class Channel:
    """One end of a socket pair, for messages that are dictionaries."""

    def __init__(self, end: socket.socket, most_bytes: int = MOST_BYTES) -> None:
        self._end, self._most = end, most_bytes

    def close(self) -> None:
        self._end.close()

    def send(self, message: dict[str, Any], deadline: float | None = None) -> None:
        """Raises `ChannelClosedError` or, with a deadline on the monotonic clock, `ChannelTimeoutError`."""
        text = json.dumps(message).encode()
        try:
            self._wait(deadline)
            self._end.sendall(_LENGTH.pack(len(text)) + text)
        except TimeoutError:
            raise ChannelTimeoutError from None
        except OSError:
            raise ChannelClosedError from None

    def receive(self, deadline: float | None = None) -> dict[str, Any]:
        """The next message; raises `ChannelClosedError`, `ChannelTimeoutError` or `ProtocolError`."""
        try:
            (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
            if length > self._most:
                raise ProtocolError
            message = json.loads(self._read(length, deadline))
        except TimeoutError:
            raise ChannelTimeoutError from None
        except OSError:
            raise ChannelClosedError from None
        except (ValueError, RecursionError, MemoryError):
            raise ProtocolError from None
        return expect(message, dict)

    def _read(self, size: int, deadline: float | None) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self._wait(deadline)
            part = self._end.recv(min(size - len(parts), 65536))
            if not part:
                raise ChannelClosedError
            parts += part
        return bytes(parts)

    def _wait(self, deadline: float | None) -> None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        self._end.settimeout(left)


def expect(value: object, kind: type[Value], most: int = 10**6) -> Value:
    """The value, if it is exactly of this type and not longer than `most`; otherwise raises `ProtocolError`."""
    if type(value) is not kind or (isinstance(value, str | list | dict) and len(value) > most):
        raise ProtocolError
    return value


def pack(shape: tuple[int, ...], raw: bytes) -> dict[str, Any]:
    """Numbers as data: their shape and their bytes, the lowest first."""
    return {"shape": list(shape), "bytes": base64.b64encode(raw).decode()}


def unpack(message: Any, width: int) -> tuple[tuple[int, ...], bytes]:
    """Shape and bytes of a tensor whose entries take `width` bytes each; raises `ProtocolError`."""
    shape = shape_of(message)
    try:
        raw = base64.b64decode(expect(message.get("bytes"), str), validate=True)
    except ValueError:
        raise ProtocolError from None
    if len(raw) != entries(shape) * width:
        raise ProtocolError
    return shape, raw


def shape_of(message: Any) -> tuple[int, ...]:
    """The shape in a packed tensor; raises `ProtocolError`."""
    shape = expect(expect(message, dict).get("shape"), list, 16)
    if not all(type(size) is int and 0 <= size < 2**50 for size in shape) or entries(shape) >= 2**50:
        raise ProtocolError
    return tuple(shape)


def entries(shape: Any) -> int:
    """How many entries a tensor of this shape has."""
    product = 1
    for size in shape:
        product *= size
    return product
