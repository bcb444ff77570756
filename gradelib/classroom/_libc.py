"""Functions of the C library that Python itself does not offer."""

from __future__ import annotations

import ctypes
import os


def call(name: str, *arguments: object) -> None:
    """Call the function of this name; raises OSError where it does not return 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    if getattr(libc, name)(*words):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
