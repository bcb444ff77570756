"""The sandbox around learners' code: how the fork server is started in bubblewrap, and whether it can be.

Inside there is no network, no process of the outside, nothing writable but an empty /tmp, and of the file system only
the system's programs, Python, its packages and gradelib. The answer key of the book is public and lies in there, so
that `check` can say what it says to the learner. The seed, a teacher's own exercises and all other files do not.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import gradelib
from gradelib import _kernel
from gradelib.classroom import seccomp

_PACKAGES = Path("/packages")  # where the sandbox has those that lie outside the system's and Python's own folders
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
_NOBODY = 65534
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")  # 1 on Ubuntu since 24.04
_ENVIRONMENT = {
    **_kernel.ENVIRONMENT,
    **{"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "USER": "learner", "LOGNAME": "learner"},
    **{"MPLBACKEND": "agg"},
}
_START = (
    "import sys; sys.path += sys.argv[2:]; sys.dont_write_bytecode = True; "
    "from gradelib.classroom import fork_server; fork_server.main(int(sys.argv[1]))"
)


class SandboxError(RuntimeError):
    """The sandbox cannot be made here; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use; an answer has, besides, the two seconds that it has in the notebook."""

    seconds: float = 60  # of computing, for all its cells; imports do not count
    memory: int = 2 * 2**30  # bytes: what each process may add to its address space, and all together may hold
    file_bytes: int = 64 * 2**20  # of /tmp, of /dev/shm, and of each file
    files: int = 256  # open ones, for each process
    processes: int = 128


def system_problem() -> str | None:
    """One sentence on why nothing can be marked here, with a sandbox or without, or None where it can."""
    if not hasattr(os, "fork"):
        return f"Marking notebooks needs Linux or macOS, of a virtual machine perhaps, and this is {platform.system()}."
    return None


def sandbox_problem() -> str | None:
    """One sentence on why the sandbox cannot be made here, or None where it can."""
    if reason := system_problem():
        return reason
    if sys.platform != "linux":
        return f"The sandbox needs Linux, and this is {platform.system()}."
    if reason := seccomp.problem():
        return reason
    for program, package in (("bwrap", "bubblewrap"), ("setpriv", "util-linux")):
        if shutil.which(program) is None:
            return f"The sandbox needs the program {program}; install the package {package}, for example with apt."
    return _try_sandbox()


def _try_sandbox() -> str | None:
    """Seal off a process that does nothing."""
    with ForkServer(sandbox=True, warm=False, patience=120) as trial:
        with contextlib.suppress(SandboxError, OSError):
            channel, lifeline = trial.begin(Limits(), probe=True)
            with channel, lifeline:
                channel.settimeout(60)
                if channel.recv(16) == b"sealed":
                    return None
            trial.ended(20)
        reason = trial.last_stderr_line() or "it ended without a word"
    hint = "does this system allow user namespaces?"
    if _APPARMOR.exists() and _APPARMOR.read_text(encoding="utf8").strip() == "1":
        hint = "AppArmor keeps it from making user namespaces; the book's page for teachers says how to allow it."
    return f"bubblewrap cannot make the sandbox here ({reason}); {hint}"


class ForkServer:
    """The warm process, in bubblewrap or not, seen from outside. A context manager."""

    def __init__(self, *, sandbox: bool, warm: bool = True, patience: float = 300) -> None:
        self._deadline = time.monotonic() + patience
        self._control, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._ready = False
        with theirs:
            self._process = self._start(sandbox, theirs)
        with contextlib.suppress(ConnectionError):  # it ended at once; `begin` will say why
            self._control.sendall(json.dumps({"sandbox": sandbox, "warm": warm}).encode())

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, sandbox: bool, control: socket.socket) -> subprocess.Popen[bytes]:
        number = control.fileno()
        command = _bubblewrap_command(number) if sandbox else _plain_command(number)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=[number],
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )

    def begin(self, limits: Limits, **more: object) -> tuple[socket.socket, socket.socket]:
        """Fork for a submission: the channel to the learner's process, and the line that ends it when it is closed.

        Raises SandboxError if the fork server does not come up.
        """
        self._await_ready()
        channel, their_channel = socket.socketpair()
        lifeline, their_lifeline = socket.socketpair()
        with their_channel, their_lifeline:
            request = json.dumps({**asdict(limits), **more}).encode()
            socket.send_fds(self._control, [request], [their_channel.fileno(), their_lifeline.fileno()])
        return channel, lifeline

    def ended(self, seconds: float) -> bool:
        """Whether all processes of the last submission are gone; waits for that as long as this."""
        return self._line(time.monotonic() + seconds) == b"gone\n"

    def _await_ready(self) -> None:
        if not self._ready and self._line(self._deadline) != b"ready\n":
            raise SandboxError(
                f"The process that runs learners' code did not start: {self.last_stderr_line() or 'no reason'}"
            )
        self._ready = True

    def _line(self, deadline: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self._control], [], [], max(0.0, deadline - time.monotonic()))[0]:
                break
            with contextlib.suppress(ConnectionError):
                if part := self._control.recv(1):
                    line += part
                    continue
            break
        return line

    def last_stderr_line(self) -> str:
        """The last line that it wrote to stderr."""
        self._stderr.seek(0)
        return (self._stderr.read().decode(errors="replace").strip().splitlines() or [""])[-1][:300]

    def close(self) -> None:
        """End it, and all that lives in it."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._process.kill()
        self._process.wait()


def _plain_command(control: int) -> list[str]:
    """The command line without a sandbox."""
    places = [str(Path(gradelib.__file__).parent.parent), *(str(path) for path in _package_folders())]
    return [sys.executable, "-I", "-c", _START, str(control), *places]


def _bubblewrap_command(control: int) -> list[str]:
    """The command line of the fork server in its sandbox."""
    root = os.getuid() == 0
    command = [_program("bwrap"), *_namespaces(), *(["--ro-bind", "/", "/"] if root else _filesystem())]
    command += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/"]
    command += ["--chdir", "/", "--", *_python(control)]
    return [*_setuid_nobody(), *command] if root else command


def _program(name: str) -> str:
    return shutil.which(name) or name


def _namespaces() -> list[str]:
    options = ["--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns", "--unshare-pid", "--unshare-net"]
    options += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    options += ["--clearenv", *(word for pair in _ENVIRONMENT.items() for word in ("--setenv", *pair))]
    # For the fork server alone: to make namespaces, to look at memory, and to give up these very powers in each fork.
    return [*options, *(word for cap in ("SYS_ADMIN", "SYS_PTRACE", "SETPCAP") for word in ("--cap-add", f"CAP_{cap}"))]


def _setuid_nobody() -> list[str]:
    """For root, whose processes the kernel does not limit: an outer bubblewrap, and in it the user nobody."""
    outer = [_program("bwrap"), *_filesystem(), "--tmpfs", "/tmp"]
    outer += ["--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc", "--die-with-parent"]
    nobody = [_program("setpriv"), f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--inh-caps=-all"]
    return [*outer, "--", *nobody]


def _filesystem() -> list[str]:
    """The file system: an allow-list of what can be read, mounted read-only."""
    options = ["--ro-bind", "/usr", "/usr"]
    for place in map(Path, _SYSTEM):
        if place.is_symlink():
            options += ["--symlink", str(place.readlink()), str(place)]
        elif place.exists():
            options += _bind_read_only(place, place)
    for place in map(Path, _SETTINGS):
        if place.exists():
            options += _bind_read_only(place, place)
    home = Path(sys.base_prefix).resolve()
    if not home.is_relative_to("/usr"):
        options += _bind_read_only(home, home)
    for place, source in _package_mounts():
        if place != source:
            options += _bind_read_only(source, place)
    return [*options, *_bind_own_package()]


def _bind_read_only(source: Path, place: Path) -> list[str]:
    """A folder or file at its place, whose parents everyone may pass through."""
    parents = [str(parent) for parent in reversed(place.parents) if parent != Path("/")]
    return [*(word for parent in parents for word in ("--dir", parent)), "--ro-bind", str(source), str(place)]


def _bind_own_package() -> list[str]:
    """Our own package, as it is here: the folder around it, of a checkout, holds other things."""
    return _bind_read_only(Path(gradelib.__file__).resolve().parent, _PACKAGES / "book" / "gradelib")


def _package_folders() -> list[Path]:
    """The folders with installed packages, in Python's order."""
    return [Path(path).resolve() for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]


def _package_mounts() -> list[tuple[Path, Path]]:
    """Where each folder with packages stands in the sandbox, and where it is outside."""
    home = Path(sys.base_prefix).resolve()
    folders = _package_folders()

    def stays(path: Path) -> bool:
        return path.is_relative_to("/usr") or path.is_relative_to(home)

    return [(path if stays(path) else _PACKAGES / str(i), path) for i, path in enumerate(folders)]


def _python(control: int) -> list[str]:
    """Python itself, without the settings of a user, and where it finds packages."""
    program = Path(sys.executable).resolve()
    places = [str(_PACKAGES / "book"), *(str(place) for place, _ in _package_mounts())]
    return [str(program), "-I", "-S", "-c", _START, str(control), *places]
