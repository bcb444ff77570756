"""Running a learner's function so that an endless loop or a huge tensor ends in a sentence, not in a dead kernel.

On Linux the work happens in a forked child: it gets its own memory limit, no open files, no terminal, and is killed at
the deadline, so nothing it does stays behind in the learner's kernel. Where a fork is not safe (another system, or a
GPU in use) it happens in place: with a timer in the main thread, with an exception sent from a second thread elsewhere.

What this does not promise. It is no sandbox: a function may still delete files or use the network, as any cell of the
notebook may. In place, a single long call into C (a huge matrix product, `sum(range(10**12))`) ends only when it ends,
an endless loop that catches every exception may not end at all, memory is limited only where the system can do so, and
what a function changes outside itself stays changed, apart from the random states, the printed text and torch's default
type, which are put back.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import random
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np

SECONDS = 2.0
MEGABYTES = 2048
_MOST_BYTES = 100_000
_REPEAT = 0.02

Report = dict[str, str | None]


class TooLong(Exception):  # noqa: N818
    """The work was not done at the deadline."""


class Crashed(Exception):  # noqa: N818
    """The child ended without a report: killed for its memory, or by an exit deep in a library."""


class _Stop(BaseException):
    """Sent into work that runs in place; no `except Exception` catches it."""


def run(work: Callable[[], Report], seconds: float, *, fork: bool | None = None) -> Report:
    """The report that `work` returns; raises `TooLong` or `Crashed`, MemoryError in place.

    `fork` says whether a child does it; None leaves the choice to what is safe here.
    """
    if can_fork() if fork is None else fork:
        return _in_child(work, seconds)
    return _in_place(work, seconds)


def can_fork() -> bool:
    """Whether a child can safely compute: torch's autograd does not survive a fork once it has found a GPU."""
    torch = sys.modules.get("torch")
    return sys.platform == "linux" and not (torch and torch.cuda.is_available())


def _in_child(work: Callable[[], Report], seconds: float) -> Report:
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside other threads: this child never returns
        child = os.fork()
    if child == 0:
        _be_the_child(work, writer)
    os.close(writer)
    try:
        return json.loads(_receive(reader, time.monotonic() + seconds))
    except json.JSONDecodeError:
        raise Crashed from None
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _receive(reader: int, deadline: float) -> bytes:
    """All that comes through the pipe until the child closes it."""
    parts: list[bytes] = []
    while sum(map(len, parts)) < _MOST_BYTES:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TooLong
        parts.append(os.read(reader, 65536))
        if not parts[-1]:
            break
    return b"".join(parts)


def _be_the_child(work: Callable[[], Report], writer: int) -> None:
    """Never returns. Whatever happens, the child must not go on as a second copy of the kernel."""
    try:
        os.setpgid(0, 0)
        _leave_the_kernel(writer)
        _limit_memory()
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # the parent's OpenMP threads do not exist here; waiting for them would hang
        os.write(3, json.dumps(work()).encode())
    finally:
        os._exit(0)


def _leave_the_kernel(writer: int) -> None:
    """Keep only the pipe, as file 3: a child must not write to the kernel's terminal, sockets or files."""
    os.dup2(writer, 3)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(4, 65536)
    sys.stdout = sys.stderr = io.StringIO()


def _limit_memory() -> None:
    """Let this process take `MEGABYTES` more than it has."""
    import resource

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = used + MEGABYTES * 2**20
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _in_place(work: Callable[[], Report], seconds: float) -> Report:
    main = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    timed = _with_timer if main else _with_watchdog
    try:
        with _state_kept(), _memory_limited():
            return timed(work, seconds)
    except _Stop:
        raise TooLong from None
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException:  # sys.exit() and the like must not end the kernel
        raise Crashed from None


def _with_timer(work: Callable[[], Report], seconds: float) -> Report:
    """Raise `_Stop` in the main thread at the deadline, and again from time to time in case it was caught."""
    active = True

    def stop(number: int, frame: object) -> None:
        if active:
            raise _Stop

    handler = signal.signal(signal.SIGALRM, stop)
    remaining = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _REPEAT)
        return work()
    finally:
        active = False  # first of all, and without a call: from here on no alarm may interrupt
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *remaining)


def _with_watchdog(work: Callable[[], Report], seconds: float) -> Report:
    """Send `_Stop` into this thread at the deadline, and again from time to time in case it was caught."""
    active, target, done = True, ctypes.c_ulong(threading.get_ident()), threading.Event()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait) and active:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(_Stop))
            wait = _REPEAT

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        return work()
    finally:
        active = False
        with contextlib.suppress(_Stop):  # one may have been sent a moment ago
            done.set()
            watcher.join()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(target, None)


@contextlib.contextmanager
def _memory_limited() -> Iterator[None]:
    """The memory limit of the child, put back at the end; on systems without /proc there is none."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        _limit_memory()
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _state_kept() -> Iterator[None]:
    """Put back the random states and torch's default type, and swallow what is printed."""
    torch = sys.modules["torch"]
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_default_dtype()
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])
        torch.set_default_dtype(kept[3])
