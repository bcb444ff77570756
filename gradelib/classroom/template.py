"""The warm process inside the sandbox: it has imported torch and sympy once, and forks for each submission.

Four processes, each of which trusts only those before it:

    the template   waits for the judge's next request; runs no learner's code
    the keeper     its fork: makes new namespaces; watches the clock and the memory; kills
    the first      its fork, process 1 of the new namespace: when it dies, the kernel kills all that is in it
    the learner    its fork: gives up all power, then runs the cells

The keeper is outside the namespace that the learner can see, so that nothing in there can reach it.
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
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from gradelib.classroom import confinement

_CHANNEL = 3  # the one open file of a learner's process
_WARM = ("torch", "sympy", "numpy", "gradelib.objectives", "gradelib.equations", "gradelib.training")
_WARM += ("gradelib.evaluation", "gradelib.datasets", "gradelib.claims", "gradelib.classroom.runner")
_LOOK_EVERY = 0.05  # seconds

Limits = Mapping[str, Any]


def main(control_file: int) -> None:
    """Serve the judge until it is gone. Called by the command line that `gradelib.classroom.sandbox` makes."""
    control = socket.socket(fileno=control_file)
    setting = json.loads(control.recv(65536))
    if setting["warm"]:
        _warm_up()
    control.sendall(b"ready\n")
    while True:
        request, ends, _, _ = socket.recv_fds(control, 65536, 2)
        if not request:
            os._exit(0)
        _serve(control, json.loads(request), ends, setting["sandbox"])
        control.sendall(b"gone\n")


def _warm_up() -> None:
    """Import what answers use, and let it do its first work here, so that no fork has to."""
    for name in _WARM:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)  # a fork would lose the others
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
    matrix = torch.eye(3, dtype=torch.float64, requires_grad=True)
    inverse = torch.linalg.inv(matrix)
    torch.autograd.grad(inverse, [matrix], torch.ones_like(inverse))
    gc.collect()
    gc.freeze()  # else each fork's first collection would copy every page with an object in it


def _serve(control: socket.socket, limits: Limits, ends: list[int], sandbox: bool) -> None:
    """One submission, from the fork to the death of all its processes."""
    keeper = os.fork()
    if keeper == 0:
        control.close()
        _never_return(lambda: _keep(limits, *ends, sandbox))
    for end in ends:
        os.close(end)
    os.waitpid(keeper, 0)


def _never_return(work: Callable[[], None]) -> None:
    """Whatever happens, a fork must not go on as a second copy of its parent."""
    try:
        work()
    except BaseException:
        traceback.print_exc()  # only the judge reads it, and only when the sandbox cannot be made
        sys.stderr.flush()
    finally:
        os._exit(1)


# The keeper


def _keep(limits: Limits, channel: int, lifeline: int, sandbox: bool) -> None:
    if sandbox:
        confinement.leave_the_others()
    first = os.fork()
    if first == 0:
        os.close(lifeline)
        _never_return(lambda: _be_first(limits, channel, sandbox))
    os.close(channel)
    try:
        why = _watch(limits, lifeline, first, sandbox)
        with contextlib.suppress(OSError):  # before the end, so that the judge knows the reason when it sees the end
            os.write(lifeline, why)
    finally:
        _kill(first, sandbox)
    os._exit(0)


def _watch(limits: Limits, lifeline: int, first: int, sandbox: bool) -> bytes:
    """Wait until the judge lets go, the submission is over, or it takes too much; says which."""
    deadline = time.monotonic() + limits["hard_seconds"]
    while time.monotonic() < deadline:
        if select.select([lifeline], [], [], _LOOK_EVERY)[0]:
            return b"stopped"
        if os.waitid(os.P_PID, first, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return b"over"
        if sandbox and _holds_more_than(limits["memory"]):
            return b"memory"
    return b"time"


def _holds_more_than(most: int) -> bool:
    """Whether all processes of the submission together hold more bytes than this."""
    mine = {1, os.getpid(), os.getppid()}
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in mine]
    if sum(_or_zero(confinement.memory_of, pid) for pid in pids) <= most:
        return False
    return sum(_or_zero(confinement.fair_memory_of, pid) for pid in pids) > most


def _or_zero(measure: Callable[[int], int], pid: int) -> int:
    try:
        return measure(pid)
    except OSError:  # it has just died
        return 0


def _kill(first: int, sandbox: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(first, signal.SIGKILL)
    if not sandbox:  # without a namespace the kernel does not know who belongs together
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(first, signal.SIGKILL)
    os.waitpid(first, 0)


# Process 1 of the namespace


def _be_first(limits: Limits, channel: int, sandbox: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the kernel keeps from process 1 every signal that has no handler
    os.setsid()
    if sandbox:
        confinement.die_with_parent()
        confinement.make_rooms(limits["room_bytes"])
        confinement.let_others_look(False)
    learner = os.fork()
    if learner == 0:
        _never_return(lambda: _be_the_learner(limits, channel, sandbox))
    os.close(channel)
    while True:  # children whose parents died come here; when the last is gone, all is over
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)


# The learner's process


def _be_the_learner(limits: Limits, channel: int, sandbox: bool) -> None:
    _keep_only(channel, silent=not limits.get("probe"))
    if sandbox:
        os.chdir("/tmp")
        confinement.let_others_look(True)  # into this one, whose parent forbade it
        confinement.be_the_first_to_go()
    sizes = (limits["memory"], limits["hard_seconds"], limits["room_bytes"], limits["files"])
    confinement.limit(*sizes, limits["processes"] if sandbox else None)
    if sandbox:
        confinement.give_up_power()
    if limits.get("probe"):
        os.write(_CHANNEL, b"sealed")
        os._exit(0)
    from gradelib.classroom import runner

    runner.run(_CHANNEL)


def _keep_only(channel: int, silent: bool) -> None:
    """Of all open files only the channel stays, as file 3; what is printed goes nowhere."""
    os.dup2(channel, _CHANNEL)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2) if silent else (0, 1):
        os.dup2(null, stream)
    os.closerange(4, 65536)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - they stay open
