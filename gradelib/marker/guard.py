"""Running a learner's function so that an endless loop or a huge tensor ends in a sentence, not in a dead kernel.

What counts is the time that the function computes, so that a verdict does not depend on what else the machine does: CPU
time, without that of imports (the first call of some functions of torch imports for seconds). A limit on the clock, ten
times larger, ends only what does not compute: it sleeps, or waits.

On Linux the work happens in a forked child: it gets its own memory limit, no open files, no terminal, and is killed at
its limit, so nothing it does stays behind in the learner's kernel. Where a fork is not safe (another system, or a
GPU in use) it happens in place: with a timer in the main thread, with an exception sent from a second thread elsewhere.

What this does not promise. It is no sandbox: a function may still delete files or use the network, as any cell of the
notebook may. In place, a single long call into C (a huge matrix product, `sum(range(10**12))`) ends only when it ends,
an endless loop that catches every exception may not end at all, memory is limited only where the system can do so, and
what a function changes outside itself stays changed, apart from the random states, the printed text and torch's default
type, which are put back.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import importlib
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
from typing import Any

import numpy as np

SECONDS = 2.0  # of computing
WALL = 10  # times as many seconds on the clock, for what computes nothing
IDLE = 0.005  # of the time; a busy machine leaves more to what computes
MEGABYTES = 2048
_MOST_WAITS = 10  # for what computes on without ever reaching its limit, as imports without end would
_MOST_BYTES = 100_000
_REPEAT = 0.02

Work = Callable[[], Any]  # what it returns goes through JSON


class TimeLimitError(Exception):
    """The work was not done at its limit; the message is for the learner."""

    def __init__(self, seconds: float, waited: bool = False) -> None:
        super().__init__(
            f"Your function had not ended after {WALL * seconds:g} seconds, and computed little. Does it wait or sleep?"
            if waited
            else f"Your function was still running after {seconds:g} seconds of computing. Is there an endless loop?"
        )
        self.waited = waited


class CrashError(Exception):
    """The child ended without a report: killed for its memory, or by an exit deep in a library."""


class _Stop(BaseException):
    """Sent into work that runs in place; no `except Exception` catches it."""

    def __init__(self, waited: bool = False) -> None:
        super().__init__()
        self.waited = waited


class _WaitedStop(_Stop):
    """Sent at the limit on the clock, by its class alone."""

    def __init__(self) -> None:
        super().__init__(waited=True)


def run(work: Work, seconds: float, *, fork: bool | None = None, keep: int | None = None) -> Any:
    """What `work` returns; raises `TimeLimitError` or `CrashError`, MemoryError in place.

    `fork` says whether a child does it; None leaves the choice to what is safe here. `keep` is a file above 3 that
    stays open in the child.
    """
    if can_fork() if fork is None else fork:
        return _in_child(work, seconds, keep)
    return _in_place(work, seconds)


def can_fork() -> bool:
    """Whether a child can safely compute: torch's autograd does not survive a fork once it has found a GPU."""
    torch = sys.modules.get("torch")
    return sys.platform == "linux" and not (torch and torch.cuda.is_available())


def _in_child(work: Work, seconds: float, keep: int | None) -> Any:
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside other threads: this child never returns
        child = os.fork()
    if child == 0:
        _be_the_child(work, writer, seconds, keep)
    os.close(writer)
    ended_by = 0
    try:
        received = _receive(reader, child, seconds)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        ended_by = os.waitpid(child, 0)[1] & 0x7F
    try:
        return json.loads(received)
    except json.JSONDecodeError:
        raise (TimeLimitError(seconds) if ended_by == signal.SIGPROF else CrashError) from None


def _receive(reader: int, child: int, seconds: float) -> bytes:
    """All that comes through the pipe until the child closes it."""
    parts: list[bytes] = []
    waits, computed = 0, 0.0
    while sum(map(len, parts)) < _MOST_BYTES:
        ready, _, _ = select.select([reader], [], [], WALL * seconds)
        if ready:
            parts.append(os.read(reader, 65536))
            if not parts[-1]:
                break
            continue
        waits, before, computed = waits + 1, computed, _cpu_seconds(child)
        if computed - before < IDLE * WALL * seconds or waits == _MOST_WAITS:
            raise TimeLimitError(seconds, waited=True)
    return b"".join(parts)


def _cpu_seconds(process: int) -> float:
    """The CPU time that a process has used."""
    with open(f"/proc/{process}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _be_the_child(work: Work, writer: int, seconds: float, keep: int | None) -> None:
    """Never returns. Whatever happens, the child must not go on as a second copy of the kernel."""
    try:
        os.setpgid(0, 0)
        _leave_the_kernel(writer, keep)
        _limit_memory()
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # the parent's OpenMP threads do not exist here; waiting for them would hang
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
        budget = _Budget(seconds)
        budget.set_timers(signal.ITIMER_PROF)
        with imports_are_free(budget):
            report = work()
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(3, json.dumps(report).encode())
    finally:
        os._exit(0)


def _clocks() -> tuple[float, float]:
    """The seconds that this process has computed, and those on the clock."""
    return time.process_time(), time.monotonic()


class _Budget:
    """What is left of the seconds of computing and of those on the clock; as a context it stops both for a while.

    The system's timers are set again from these numbers: what they say themselves is rounded up at each stop.
    """

    def __init__(self, seconds: float) -> None:
        cpu, wall = _clocks()
        self.seconds, self.cpu, self.wall = seconds, cpu + seconds, wall + WALL * seconds
        self._timers: tuple[int, ...] = ()
        self._stopped: tuple[float, float] | None = None

    def cpu_left(self) -> float:
        return self.cpu - (self._stopped or _clocks())[0]

    def wall_left(self) -> float:
        return self.wall - (self._stopped or _clocks())[1]

    def has_waited(self) -> bool:
        """Whether the limit on the clock is over for what computed little; a busy machine leaves more than that."""
        late, computed = WALL * self.seconds - self.wall_left(), self.seconds - self.cpu_left()
        return late > WALL * self.seconds and (computed < IDLE * late or late > _MOST_WAITS * WALL * self.seconds)

    def set_timers(self, *timers: int, repeat: float = 0) -> None:
        """Let these timers of the system go off when nothing is left."""
        self._timers, self._repeat = timers, repeat
        for timer in timers:
            left = self.cpu_left() if timer == signal.ITIMER_PROF else self.wall_left()
            signal.setitimer(timer, max(left, 0.001), repeat)

    def __enter__(self) -> None:
        for timer in self._timers:
            signal.setitimer(timer, 0)
        self._stopped = _clocks()

    def __exit__(self, *_: object) -> None:
        (cpu, wall), now = self._stopped or _clocks(), _clocks()
        self.cpu, self.wall, self._stopped = self.cpu + now[0] - cpu, self.wall + now[1] - wall, None
        if self._timers:
            self.set_timers(*self._timers, repeat=self._repeat)


@contextlib.contextmanager
def imports_are_free(budget: contextlib.AbstractContextManager[None]) -> Iterator[None]:
    """Stop the budget during every import, that is, enter it as a context during the outermost ones."""
    plain_import, plain_import_module = builtins.__import__, importlib.import_module
    importing = False

    def free(load: Callable[..., Any]) -> Callable[..., Any]:
        def loading(*arguments: Any, **named: Any) -> Any:
            nonlocal importing
            if importing or (
                load is plain_import and arguments[0] in sys.modules and not (arguments[3:4] or [None])[0]
            ):
                return load(*arguments, **named)
            importing = True
            try:
                with budget:
                    return load(*arguments, **named)
            finally:
                importing = False

        return loading

    builtins.__import__, importlib.import_module = free(plain_import), free(plain_import_module)
    try:
        yield
    finally:
        builtins.__import__, importlib.import_module = plain_import, plain_import_module


def _leave_the_kernel(writer: int, keep: int | None) -> None:
    """Keep only the pipe, as file 3, and `keep`: a child must not write to the kernel's terminal, sockets or files."""
    os.dup2(writer, 3)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(4, 65536 if keep is None else keep)
    os.closerange(65536 if keep is None else keep + 1, 65536)
    sys.stdout = sys.stderr = io.StringIO()


def _limit_memory() -> None:
    """Let this process take `MEGABYTES` more than it has."""
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = used + MEGABYTES * 2**20
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _in_place(work: Work, seconds: float) -> Any:
    main = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    timed = _with_timer if main else _with_watchdog
    try:
        with _state_kept(), _memory_limited():
            return timed(work, seconds)
    except _Stop as stop:
        raise TimeLimitError(seconds, waited=stop.waited) from None
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException:  # sys.exit() and the like must not end the kernel
        raise CrashError from None


def _with_timer(work: Work, seconds: float) -> Any:
    """Raise `_Stop` in the main thread at either limit, and again from time to time in case it was caught."""
    active = True

    def stop(number: int, frame: object) -> None:
        if active and (number == signal.SIGPROF or budget.has_waited()):
            raise _Stop(waited=number == signal.SIGALRM)

    budget = _Budget(seconds)
    timers = ((signal.SIGALRM, signal.ITIMER_REAL), (signal.SIGPROF, signal.ITIMER_PROF))
    kept = [(number, timer, signal.signal(number, stop), signal.setitimer(timer, 0)) for number, timer in timers]
    try:
        budget.set_timers(*(timer for _, timer in timers), repeat=_REPEAT)
        with imports_are_free(budget):
            return work()
    finally:
        active = False  # first of all, and without a call: from here on no alarm may interrupt
        for number, timer, handler, remaining in kept:
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
            signal.setitimer(timer, *remaining)


def _with_watchdog(work: Work, seconds: float) -> Any:
    """Send `_Stop` into this thread at either limit, and again from time to time in case it was caught."""
    active, target, done = True, ctypes.c_ulong(threading.get_ident()), threading.Event()
    budget = _Budget(seconds)

    def watch() -> None:
        while not done.wait(_REPEAT) and active:
            if (waited := budget.has_waited()) or budget.cpu_left() < 0:
                stop = _WaitedStop if waited else _Stop
                ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(stop))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with imports_are_free(budget):
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
