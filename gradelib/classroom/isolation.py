"""What isolates a submission inside the sandbox: namespaces, mounts, capabilities, resource limits (and `seccomp`).

bubblewrap has made the outer sandbox; the fork server calls this in each fork, before any code of a learner runs. Every
step raises OSError if it fails, and then no learner's code is run.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
import struct

import psutil

from gradelib.classroom import seccomp
from gradelib.classroom._libc import call

_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
_CLONE_NEWIPC, _CLONE_NEWPID, _CLONE_NEWNET = 0x08000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522


def unshare_namespaces() -> None:
    """New namespaces: the children of this process see no process, network or shared memory but their own."""
    call("unshare", _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWNET | _CLONE_NEWUTS | _CLONE_NEWCGROUP)


def mount_private_filesystems(size: int) -> None:
    """A mount namespace with /proc of these processes only, and tmpfs of at most `size` bytes at /tmp and /dev/shm."""
    call("unshare", _CLONE_NEWNS)
    _mount(b"proc", b"/proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, b"")
    for place in (b"/tmp", b"/dev/shm"):
        _mount(b"tmpfs", place, _MS_NOSUID | _MS_NODEV, b"mode=1777,nr_inodes=20k,size=%d" % size)


def die_with_parent() -> None:
    """Be killed when the parent dies."""
    call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_dumpable(allowed: bool) -> None:
    """Whether other processes of the same user may trace this one and read its /proc."""
    call("prctl", _PR_SET_DUMPABLE, int(allowed), 0, 0, 0)


def drop_privileges() -> None:
    """Drop all capabilities for good (no_new_privs), and install the seccomp filter."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        with contextlib.suppress(OSError):  # the kernel does not know so many, or it was dropped before
            call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("<II", _CAPABILITY_VERSION_3, 0))
    call("capset", header, ctypes.create_string_buffer(24))
    seccomp.install_filter()


def set_resource_limits(memory: int, seconds: float, file_bytes: int, files: int, processes: int | None) -> None:
    """Limits of one process: the address space that it may add to its own, CPU time, files and the user's processes."""
    _set_limit(resource.RLIMIT_CPU, int(seconds) + 1)
    _set_limit(resource.RLIMIT_FSIZE, file_bytes)
    _set_limit(resource.RLIMIT_NOFILE, files)
    _set_limit(resource.RLIMIT_CORE, 0)
    if processes is not None:
        _set_limit(resource.RLIMIT_NPROC, processes)
    with contextlib.suppress(OSError, ValueError):  # not every system can limit it or says what is used
        _set_limit(resource.RLIMIT_AS, _address_space() + memory)


def prefer_as_oom_victim() -> None:
    """If the machine runs out of memory, the OOM killer ends this process before any other."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def resident_memory(pid: int) -> int:
    """Bytes that only processes of the sandbox hold; pages that several share are counted in each."""
    return sum(_kilobytes(f"/proc/{pid}/status", b"RssAnon:", b"RssShmem:")) * 1024


def proportional_memory(pid: int) -> int:
    """The same, where a page that k processes share counts a k-th in each; slower."""
    return sum(_kilobytes(f"/proc/{pid}/smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:")) * 1024


class Usage:
    """What the processes below `init` have computed so far. The first of them runs the notebook."""

    def __init__(self, init: int) -> None:
        self._init, self._seconds = psutil.Process(init), 0.0
        self._first: psutil.Process | None = None

    def cpu_seconds(self) -> float:
        """Seconds of all processes, those that have ended and were waited for included; it never falls."""
        with contextlib.suppress(psutil.Error):
            found = [self._init, *self._init.children(recursive=True)]
            self._first = self._first or next(iter(found[1:]), None)
            self._seconds = max(self._seconds, sum(_cpu_seconds(process) for process in found))
        return self._seconds

    def has_ended(self) -> bool:
        """Whether `init` is dead. Nobody has waited for it, so that its number is given to no other process."""
        return bool(self._init.status() == psutil.STATUS_ZOMBIE)

    def interrupt(self) -> None:
        """Send SIGINT to the process that runs the notebook."""
        with contextlib.suppress(psutil.Error):
            if self._first:
                self._first.send_signal(signal.SIGINT)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has just ended
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _kilobytes(path: str, *fields: bytes) -> list[int]:
    with open(path, "rb") as file:
        return [int(line.split()[1]) for line in file if line.startswith(fields)]


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _set_limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _mount(kind: bytes, place: bytes, flags: int, options: bytes) -> None:
    call("mount", kind, place, kind, flags, options)
