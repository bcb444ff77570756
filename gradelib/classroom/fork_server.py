"""The fork server inside the sandbox: it has imported torch and sympy once, and forks for each submission.

Four processes, each of which trusts only those before it:

    the server      waits for the judge's next request; runs no learner's code
    the supervisor  its fork: makes new namespaces; watches the memory, tells the time that was computed; kills
    init            its fork, process 1 of the new namespace: when it dies, the kernel kills all that is in it
    the learner     its fork: drops all privileges, then runs the cells

The supervisor is outside the namespace that the learner can see, so that nothing in there can reach it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from gradelib.classroom import isolation, seccomp

_CHANNEL = 3  # the one open file of a learner's process
_PRELOADED = (
    *("torch", "torch.func", "sympy", "numpy", "matplotlib.pyplot", "psutil", "gradelib.objectives"),
    *("gradelib.equations", "gradelib.exact", "gradelib.training", "gradelib.evaluation", "gradelib.datasets"),
    *("gradelib.claims", "gradelib.figures", "gradelib.marker.functions", "gradelib.classroom.runner"),
)
_POLL_SECONDS = 0.05
_CPU_SECONDS = 3600  # of one process, whatever the judge does

Limits = Mapping[str, Any]


def main(control_file: int) -> None:
    """Serve the judge until it is gone. Called by the command line that `gradelib.classroom.sandbox` makes."""
    control = socket.socket(fileno=control_file)
    setting = json.loads(control.recv(65536))
    if setting["sandbox"]:
        seccomp.own_filter()
    if setting["warm"]:
        _preload()
    control.sendall(b"ready\n")
    while True:
        request, ends, _, _ = socket.recv_fds(control, 65536, 2)
        if not request:
            os._exit(0)
        _serve(control, json.loads(request), ends, setting["sandbox"])
        control.sendall(b"gone\n")


def _preload() -> None:
    """Import what answers use, and let it do its first work here, so that no fork has to."""
    for name in _PRELOADED:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)  # a fork would lose the others
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
    matrix = torch.eye(3, dtype=torch.float64, requires_grad=True)
    inverse = torch.linalg.inv(matrix)
    torch.autograd.grad(inverse, [matrix], torch.ones_like(inverse))
    torch.func.jacfwd(torch.exp)(torch.zeros(2))  # which imports for seconds when it is first called
    importlib.import_module("gradelib.classroom.runner").make_shell()
    gc.collect()
    gc.freeze()  # else each fork's first collection would copy every page with an object in it


def _serve(control: socket.socket, limits: Limits, ends: list[int], sandbox: bool) -> None:
    """One submission, from the fork to the death of all its processes."""
    channel, lifeline = ends
    supervisor = os.fork()
    if supervisor == 0:
        control.close()
        _exit_after(lambda: _supervise(limits, channel, lifeline, sandbox))
    for end in ends:
        os.close(end)
    os.waitpid(supervisor, 0)


def _exit_after(work: Callable[[], None]) -> None:
    """Whatever happens, a fork must not go on as a second copy of its parent."""
    try:
        work()
    except BaseException:
        traceback.print_exc()  # only the judge reads it, and only when the sandbox cannot be made
        sys.stderr.flush()
    finally:
        os._exit(1)


# The supervisor


def _supervise(limits: Limits, channel: int, lifeline: int, sandbox: bool) -> None:
    if sandbox:
        isolation.unshare_namespaces()
    init = os.fork()
    if init == 0:
        os.close(lifeline)
        _exit_after(lambda: _run_init(limits, channel, sandbox))
    os.close(channel)
    os.set_blocking(lifeline, False)
    try:
        why = _watch(limits, lifeline, init, sandbox)
        with contextlib.suppress(OSError):  # before the end, so that the judge knows the reason when it sees the end
            os.write(lifeline, why)
    finally:
        _kill(init, sandbox)
    os._exit(0)


def _watch(limits: Limits, lifeline: int, init: int, sandbox: bool) -> bytes:
    """Wait until the judge lets go, the submission is over, or it takes too much memory; says which.

    Meanwhile the judge hears how long the submission has computed, and may ask for an interrupt.
    """
    usage = isolation.Usage(init)
    while True:
        if select.select([lifeline], [], [], _POLL_SECONDS)[0]:
            if os.read(lifeline, 100) != b"":
                usage.interrupt()
                continue
            return b"stopped\n"
        if usage.has_ended():
            return b"over\n"
        if sandbox and _exceeds_memory(limits["memory"]):
            return b"memory\n"
        with contextlib.suppress(BlockingIOError):  # the judge is busy with something else
            os.write(lifeline, b"cpu %.2f\n" % usage.cpu_seconds())


def _exceeds_memory(most: int) -> bool:
    """Whether all processes of the submission together hold more bytes than this."""
    mine = {1, os.getpid(), os.getppid()}
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in mine]
    if sum(_or_zero(isolation.resident_memory, pid) for pid in pids) <= most:
        return False
    return sum(_or_zero(isolation.proportional_memory, pid) for pid in pids) > most


def _or_zero(measure: Callable[[int], int], pid: int) -> int:
    try:
        return measure(pid)
    except OSError:  # it has just died
        return 0


def _kill(init: int, sandbox: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(init, signal.SIGKILL)
    if not sandbox:  # without a namespace the kernel does not know who belongs together
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(init, signal.SIGKILL)
    os.waitpid(init, 0)


# Process 1 of the namespace


def _run_init(limits: Limits, channel: int, sandbox: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the kernel keeps from process 1 every signal that has no handler
    os.setsid()
    if sandbox:
        isolation.die_with_parent()
        isolation.mount_private_filesystems(limits["file_bytes"])
        isolation.set_dumpable(False)
    learner = os.fork()
    if learner == 0:
        _exit_after(lambda: _run_learner(limits, channel, sandbox))
    os.close(channel)
    while True:  # children whose parents died come here; when the last is gone, all is over
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)


# The learner's process


def _run_learner(limits: Limits, channel: int, sandbox: bool) -> None:
    _close_all_but(channel, silent=not limits.get("probe"))
    if sandbox:
        os.chdir("/tmp")
        isolation.set_dumpable(True)  # into this one, whose parent forbade it
        isolation.prefer_as_oom_victim()
    sizes = (limits["memory"], _CPU_SECONDS, limits["file_bytes"], limits["files"])
    isolation.set_resource_limits(*sizes, limits["processes"] if sandbox else None)
    if sandbox:
        isolation.drop_privileges()
    if limits.get("probe"):
        os.write(_CHANNEL, b"sealed")
        os._exit(0)
    from gradelib.classroom import runner

    runner.run(_CHANNEL)


def _close_all_but(channel: int, silent: bool) -> None:
    """Of all open files only the channel stays, as file 3; what is printed goes nowhere."""
    os.dup2(channel, _CHANNEL)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2) if silent else (0, 1):
        os.dup2(null, stream)
    os.closerange(4, 65536)
    sys.stdin = open(0, encoding="utf8")  # noqa: SIM115 - they stay open
    sys.stdout, sys.stderr = (open(file, "w", encoding="utf8") for file in (1, 2))  # noqa: SIM115
