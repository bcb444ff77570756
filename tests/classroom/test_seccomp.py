"""The allow-list of system calls, as the BPF program that the kernel gets, on both kinds of machines."""

from __future__ import annotations

import errno
import struct
import tempfile

import pytest

from gradelib.classroom import seccomp

pytestmark = pytest.mark.skipif(seccomp.problem() is not None, reason=str(seccomp.problem()))

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED, REFUSED, KILLED = 0x7FFF0000, 0x00050000 | errno.ENOSYS, (0x00000000, 0x80000000)
# What looks into other processes, makes namespaces, mounts or uncounted memory, or reaches seldom used kernel code.
_FORBIDDEN = """
    ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd unshare setns mount umount2 pivot_root chroot open_tree
    move_mount fsopen fsconfig fsmount fspick mount_setattr name_to_handle_at open_by_handle_at add_key request_key
    keyctl bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register memfd_create memfd_secret
    shmget shmat msgget semget mq_open syslog personality fanotify_init clone3 seccomp landlock_create_ruleset
    init_module finit_module kexec_load reboot swapon acct quotactl settimeofday clock_settime adjtimex sethostname
    iopl ioperm modify_ldt setuid setgid setresuid capset vmsplice splice process_madvise set_mempolicy_home_node
"""
_NEEDED = "read write openat mmap futex exit_group clock_gettime getrandom execve wait4 kill socketpair sendmsg"
FORBIDDEN, NEEDED = _FORBIDDEN.split(), _NEEDED.split()


def number_of(name: str, machine: str) -> int:
    import pyseccomp

    return pyseccomp.resolve_syscall(getattr(pyseccomp.Arch, machine.upper()), name)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def program(machine: str) -> list[tuple[int, int, int, int]]:
    with tempfile.TemporaryFile() as file:
        seccomp.make_filter(machine).export_bpf(file)
        file.seek(0)
        return list(struct.iter_unpack("<HBBI", file.read()))


def verdict(program: list[tuple[int, int, int, int]], machine: str, number: int, *arguments: int) -> int:
    """What the program says of a system call: the few instructions that such programs have."""
    data = struct.pack("<iIQ6Q", number, machine, 0, *arguments, *[0] * (6 - len(arguments)))
    at, value = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:  # load a word
            (value,) = struct.unpack_from("<I", data, operand)
        elif code == 0x54:  # and
            value &= operand
        elif code == 0x05:  # jump
            at += operand
        elif code == 0x06:  # return
            return operand
        else:
            holds = {0x15: value == operand, 0x25: value > operand, 0x35: value >= operand, 0x45: value & operand}[code]
            at += if_true if holds else if_false


def test_what_is_not_on_the_list_fails_with_enosys(program, machine):
    known = {name: number_of(name, machine) for name in FORBIDDEN}
    found = {name: verdict(program, ARCHITECTURES[machine], number) for name, number in known.items() if number >= 0}
    assert set(found.values()) == {REFUSED}, [name for name, one in found.items() if one != REFUSED]
    assert len(found) > 50
    assert verdict(program, ARCHITECTURES[machine], 1000) == REFUSED, "a call of a later kernel"


def test_what_is_on_the_list_is_allowed(program, machine):
    known = {name: number_of(name, machine) for name in {*NEEDED, *seccomp.ALLOWED}}
    found = {name: verdict(program, ARCHITECTURES[machine], number) for name, number in known.items() if number >= 0}
    assert set(found.values()) == {ALLOWED}
    assert set(NEEDED) <= found.keys()


@pytest.mark.parametrize(
    ("call", "arguments", "allowed"),
    [
        ("clone", (0x01200011,), True),  # fork
        ("clone", (0x003D0F00,), True),  # a thread
        ("clone", (0x10000011,), False),  # CLONE_NEWUSER
        ("clone", (0x20000011,), False),  # CLONE_NEWPID
        ("clone", (0x02000011,), False),  # CLONE_NEWCGROUP
        ("socket", (1, 1), True),  # AF_UNIX
        ("socket", (2, 1), False),  # AF_INET
        ("socket", (10, 2), False),  # AF_INET6
        ("socket", (16, 3), False),  # AF_NETLINK
        ("socket", (17, 3), False),  # AF_PACKET
        ("socket", (38, 5), False),  # AF_ALG
        ("socket", (40, 1), False),  # AF_VSOCK
        ("ioctl", (0, 0x5401), True),  # TCGETS, by which Python asks for a terminal
        ("ioctl", (0, 0x5412), False),  # TIOCSTI, which types into one
        ("ioctl", (0, 0x4004667F), False),
    ],
)
def test_some_calls_depend_on_their_arguments(program, machine, call, arguments, allowed):
    found = verdict(program, ARCHITECTURES[machine], number_of(call, machine), *arguments)
    assert found == (ALLOWED if allowed else REFUSED)


def test_other_architectures_are_killed(program, machine):
    for other in (0x40000003, 0x40000028, *ARCHITECTURES.values()):  # i386, ARM
        if other != ARCHITECTURES[machine]:
            assert verdict(program, other, 0) in KILLED


def test_the_numbers_of_x32_are_refused(program, machine):
    if machine == "x86_64":
        assert verdict(program, ARCHITECTURES[machine], 0x40000000 + number_of("read", machine)) != ALLOWED


def test_a_name_that_nobody_knows_is_skipped(monkeypatch, machine):
    monkeypatch.setattr(seccomp, "ALLOWED", ("read", "call_of_the_year_2050"))
    assert seccomp.make_filter(machine)
