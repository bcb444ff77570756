"""seccomp: the system calls that a learner's process may make, as an allow-list; all others fail with ENOSYS.

libseccomp knows their numbers on each machine, and makes the BPF program. A name that it does not know is skipped.
Not on the list is what looks into other processes, makes namespaces or mounts, holds memory that no limit counts, or
reaches kernel code that is seldom used: ptrace, process_vm_readv, unshare, mount, bpf, io_uring, userfaultfd,
memfd_create, shmget, keyctl, perf_event_open and the like. Where clone3 is missing, glibc makes threads by clone.
"""

from __future__ import annotations

import errno
import platform
import socket
from functools import cache
from types import ModuleType
from typing import Any

KNOWN_MACHINES = ("x86_64", "aarch64")

_FILES = """
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat close
    close_range lseek stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink
    readlinkat getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir rename renameat renameat2 link linkat
    symlink symlinkat unlink unlinkat truncate ftruncate fallocate fadvise64 readahead sendfile copy_file_range dup
    dup2 dup3 fcntl flock fsync fdatasync chmod fchmod fchmodat fchmodat2 utime utimes utimensat umask getxattr
    lgetxattr fgetxattr listxattr llistxattr flistxattr pipe pipe2 eventfd eventfd2 poll ppoll select pselect6
    epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
"""
_MEMORY = "brk mmap munmap mremap mprotect madvise msync mincore mlock munlock membarrier get_mempolicy"
_PROCESSES = """
    fork vfork execve exit exit_group wait4 waitid getpid getppid gettid getpgid getpgrp setpgid getsid setsid kill
    tkill tgkill pidfd_open pidfd_send_signal set_tid_address set_robust_list get_robust_list rseq futex futex_waitv
    sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max
    sched_get_priority_min getcpu getrlimit setrlimit prlimit64 getrusage times getpriority setpriority uname
    sysinfo prctl arch_prctl capget getuid geteuid getgid getegid getgroups getresuid getresgid restart_syscall
"""
_SIGNALS_AND_TIME = """
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack signalfd
    signalfd4 pause alarm setitimer getitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
    timerfd_create timerfd_settime timerfd_gettime clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday
    time getrandom
"""
_SOCKETS = """
    socketpair bind connect listen accept accept4 sendto recvfrom sendmsg recvmsg shutdown getsockname getpeername
    getsockopt setsockopt
"""
ALLOWED = tuple(f"{_FILES} {_MEMORY} {_PROCESSES} {_SIGNALS_AND_TIME} {_SOCKETS}".split())
_UNKNOWN = -1  # what libseccomp says of a name that it does not know
_ANY_NAMESPACE = 0x7E020000  # all CLONE_NEW… flags


def problem() -> str | None:
    """One sentence on why there is no filter here, or None."""
    if platform.machine() not in KNOWN_MACHINES:
        return f"The sandbox knows x86-64 and ARM64 machines only, and this is {platform.machine()}."
    try:
        _library()
    except (ImportError, OSError, RuntimeError):
        return "The sandbox needs libseccomp; install libseccomp2, for example with apt, and pyseccomp with pip."
    return None


def make_filter(machine: str | None = None) -> Any:
    """The filter for this machine, or for another one of `KNOWN_MACHINES`; its `load` installs it for good."""
    library = _library()
    made = library.SyscallFilter(library.ERRNO(errno.ENOSYS))
    if machine is not None:
        made.remove_arch(library.Arch.NATIVE)
        made.add_arch(getattr(library.Arch, machine.upper()))
    for name in ALLOWED:
        _allow(made, name)
    _allow(made, "clone", library.Arg(0, library.MASKED_EQ, _ANY_NAMESPACE, 0))
    _allow(made, "socket", library.Arg(0, library.EQ, socket.AF_UNIX))
    for request in _requests():
        _allow(made, "ioctl", library.Arg(1, library.EQ, request))
    return made


def _requests() -> tuple[int, ...]:
    """What a program asks of its files, and what a shell command of IPython's needs for its pseudo-terminal.

    Not among them is TIOCSTI, which types into a terminal.
    """
    import termios  # which Windows does not have

    return (
        *(termios.TCGETS, termios.TCSETS, termios.TCSETSW, termios.TCSETSF, termios.TIOCGWINSZ, termios.TIOCSWINSZ),
        *(termios.TIOCGPGRP, termios.TIOCSPGRP, termios.TIOCSCTTY, termios.TIOCNOTTY),
        *(termios.FIONBIO, termios.FIONREAD, termios.FIOCLEX, termios.FIONCLEX),
        *(0x80045430, 0x40045431, 0x5441),  # TIOCGPTN, TIOCSPTLCK and TIOCGPTPEER, which Python has no names for
    )


@cache
def own_filter() -> Any:
    """The filter for this machine, made once: before the forks, as it is then ready in each of them."""
    return make_filter()


def install_filter() -> None:
    """Install the filter, which child processes inherit and nobody can remove; raises OSError where it fails."""
    own_filter().load()


def _allow(made: Any, name: str, *conditions: Any) -> None:
    library = _library()
    number = library.resolve_syscall(library.Arch.NATIVE, name)
    if number != _UNKNOWN:
        made.add_rule(library.ALLOW, number, *conditions)


def _library() -> ModuleType:
    import pyseccomp

    return pyseccomp
