"""Linux's own locks, called directly: namespaces, mounts, capabilities, limits and a filter of system calls.

Used inside the sandbox only. bubblewrap has made the outer walls; this makes a cell of its own for each submission.
Every step raises OSError if it fails, and then no learner's code is run.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct

_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
_ANY_NAMESPACE = 0x7E020000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 4, 38, 22
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522

# The calls that no answer needs, by their numbers on x86-64 and on ARM64: those that look into other processes, make
# memory that no limit counts, reach kernel code that is seldom used, or talk to something outside.
_DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "syslog": (103, 116), "personality": (135, 92), "fanotify_init": (300, 262),
}  # fmt: skip
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the numbers, name in the filter
_X32 = 0x40000000
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050001, 0x00050026

KNOWN_MACHINES = tuple(_MACHINES)


def leave_the_others() -> None:
    """From here on the children of this process see no process, network or shared memory but their own."""
    _call("unshare", _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWNET | _CLONE_NEWUTS | _CLONE_NEWCGROUP)


def make_rooms(size: int) -> None:
    """Mounts of its own: /proc with these processes only, an empty /tmp and /dev/shm of `size` bytes at most."""
    _call("unshare", _CLONE_NEWNS)
    _mount(b"proc", b"/proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, b"")
    for place in (b"/tmp", b"/dev/shm"):
        _mount(b"tmpfs", place, _MS_NOSUID | _MS_NODEV, b"mode=1777,nr_inodes=20k,size=%d" % size)


def die_with_parent() -> None:
    """Be killed when the parent dies."""
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def let_others_look(allowed: bool) -> None:
    """Whether other processes of the same user may look into this one."""
    _call("prctl", _PR_SET_DUMPABLE, int(allowed), 0, 0, 0)


def give_up_power() -> None:
    """No capability, none to be had again, and none of the system calls that an answer has no use for."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        with contextlib.suppress(OSError):  # the kernel does not know so many, or it was dropped before
            _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("<II", _CAPABILITY_VERSION_3, 0))
    _call("capset", header, ctypes.create_string_buffer(24))
    _filter_calls()


def limit(memory: int, seconds: float, file_bytes: int, files: int, processes: int | None) -> None:
    """Limits of one process: the address space that it may add to its own, CPU time, files and the user's processes."""
    _lower(resource.RLIMIT_CPU, int(seconds) + 1)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_NOFILE, files)
    _lower(resource.RLIMIT_CORE, 0)
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes)
    with contextlib.suppress(OSError, ValueError):  # not every system can limit it or says what is used
        _lower(resource.RLIMIT_AS, _mapped() + memory)


def be_the_first_to_go() -> None:
    """If the machine runs out of memory, this process is ended before any other."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def memory_of(pid: int) -> int:
    """Bytes that only processes of the sandbox hold; pages that several share are counted in each."""
    return sum(_kilobytes(f"/proc/{pid}/status", b"RssAnon:", b"RssShmem:")) * 1024


def fair_memory_of(pid: int) -> int:
    """The same, where a page that k processes share counts a k-th in each; slower."""
    return sum(_kilobytes(f"/proc/{pid}/smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:")) * 1024


def _kilobytes(path: str, *fields: bytes) -> list[int]:
    with open(path, "rb") as file:
        return [int(line.split()[1]) for line in file if line.startswith(fields)]


def _mapped() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _mount(kind: bytes, place: bytes, flags: int, options: bytes) -> None:
    _call("mount", kind, place, kind, flags, options)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    if getattr(libc, name)(*words):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _filter_calls() -> None:
    """Install a seccomp filter; it holds for all that this process starts and cannot be taken away."""
    program = b"".join(_program(*_MACHINES[platform.machine()]))
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, padding, the address of the first
    head = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    _call("prctl", _PR_SET_SECCOMP, 2, head, 0, 0)


def _program(column: int, machine: int) -> list[bytes]:
    """The filter in the kernel's little language: it looks at the machine, the call's number and its first argument."""
    load_number, load_machine, load_argument = _step(0x20, 0), _step(0x20, 4), _step(0x20, 16)
    program = [load_machine, _if_equal(machine, 1, 0), _return(_KILL), load_number]
    if column == 0:
        program += [_step(0x35, _X32, 0, 1), _return(_EPERM)]  # the other way to number the same calls
    for numbers in _DENIED.values():
        program += [_if_equal(numbers[column], 0, 1), _return(_EPERM)]
    program += [_if_equal(_CLONE3[column], 0, 1), _return(_ENOSYS)]  # its flags are out of sight; libc falls back
    program += [_if_equal(_CLONE[column], 0, 4), load_argument, _step(0x45, _ANY_NAMESPACE, 0, 1), _return(_EPERM)]
    program += [_return(_ALLOW)]
    program += [_if_equal(_SOCKET[column], 0, 3), load_argument, _if_equal(1, 1, 0), _return(_EPERM)]  # 1: AF_UNIX
    return [*program, _return(_ALLOW)]


def _step(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jump_true, jump_false, value)


def _if_equal(value: int, jump_true: int, jump_false: int) -> bytes:
    return _step(0x15, value, jump_true, jump_false)


def _return(value: int) -> bytes:
    return _step(0x06, value)
