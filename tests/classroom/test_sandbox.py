"""What a hostile submission tries, and that nothing comes of it: not for the machine, the answers, or the next one.

Each attack stands between two benign submissions that get full marks. What an attack finds out it writes down in its
answer, as a number: 1 if it was stopped as it should be.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from corpora import some_of
from handed_in import ASKED, FORMULA, FUNCTION, SET_UP, hand_in

from gradelib.classroom import Limits, Marked, Marker, sandbox, sandbox_problem
from gradelib.marker import guard
from gradelib.marker.exercise import Exercise, Mistake

REASON = sandbox_problem()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

LIMITS = Limits(seconds=4, memory=2**29)
# A teacher's own exercise, in no package; the cells below know its secret word in two pieces only.
PRIVATE = Exercise(
    id="price-from-variance",
    prompt="Which price?",
    inputs={"m": "pos", "s": "unit"},
    answer="m*s/(1 - s)",
    mistakes=(Mistake("s/(1 - s)", "zq73: does the price stay?"),),
)


@pytest.fixture(scope="module")
def marker() -> Iterator[Marker]:
    with Marker(ASKED, seed=20261122, limits=LIMITS) as warm:
        yield warm


@pytest.fixture(scope="module")
def private() -> Iterator[Marker]:
    with Marker([*ASKED, PRIVATE], seed=20261122, limits=LIMITS) as warm:
        yield warm


@pytest.fixture
def benign(marker: Marker, tmp_path: Path) -> Iterator[Path]:
    """A folder for submissions; afterwards a benign one still gets full marks, in the same warm process."""
    fork_server = marker._fork_server
    yield tmp_path
    marked = marker.mark(hand_in(tmp_path, SET_UP, FORMULA, FUNCTION, name="benign"))
    assert all(marked.marks), marked
    assert marked.problem is None
    assert marker._fork_server is fork_server


@pytest.fixture
def hasty(marker: Marker, monkeypatch: pytest.MonkeyPatch) -> Marker:
    """The same with little time, for what uses up all that it gets."""
    monkeypatch.setattr(marker, "_limits", replace(LIMITS, seconds=1, processes=32))
    return marker


def attack(marker: Marker, folder: Path, *cells: str) -> Marked:
    return marker.mark(hand_in(folder, SET_UP, *cells, name="mallory"))


# What the attacker looks at is told as the answer to the formula exercise: a list of what went well for it.
LOOK = """
import contextlib, ctypes, os, signal, socket, subprocess, sys, time
got = []

def attempt(name, act):
    try:
        if act():
            got.append(name)
    except Exception:
        pass
"""
TELL = """
def told(w, beta):
    raise RuntimeError(f"got {got}")

check("opt-var-1d", told)
"""


def finds(marker: Marker, folder: Path, *lines: str) -> str:
    """Make the attempts and return what those that succeeded are called."""
    marked = attack(marker, folder, LOOK + "\n".join(lines) + TELL)
    text = marked.marks[0].text
    assert "got [" in text, marked
    return text[text.index("got [") + 4 : text.index("]") + 1]


def test_the_attacker_can_tell_what_it_got(marker: Marker, benign: Path) -> None:
    """Else all that follows would prove nothing."""
    assert finds(marker, benign, "attempt('a', lambda: True)", "attempt('b', lambda: 1 / 0)") == "['a']"


# The network


def test_no_network(marker: Marker, benign: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0gradelib-test")
        abstract.listen()
        port = server.getsockname()[1]
        assert finds(
            marker,
            benign,
            f"attempt('loopback', lambda: socket.create_connection(('127.0.0.1', {port}), 1))",
            "attempt('outside', lambda: socket.create_connection(('1.1.1.1', 53), 1))",
            "attempt('name', lambda: socket.getaddrinfo('example.org', 80))",
            "attempt('datagram', lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)))",
            "attempt('serve', lambda: socket.create_server(('0.0.0.0', 0)))",
            "attempt('virtual machine', lambda: socket.socket(40))",
            "attempt('kernel', lambda: socket.socket(16))",
            "attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\\0gradelib-test') is None)",
        ) == "[]"  # fmt: skip


# A program in the place of the fork server, without the filter of system calls (for which see `test_seccomp.py`).
CONNECT = """
import socket, sys
sys.path += sys.argv[2:]
from gradelib.classroom import isolation
if {fork}: isolation.unshare_namespaces()
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 9).close()
    print("reached")
except OSError as error: print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("bubblewrap", "fork", "told"),
    [(False, False, "reached"), (True, False, "ConnectionRefusedError"), (False, True, "OSError")],
    ids=["neither", "bubblewrap", "fork"],
)
def test_bubblewrap_and_the_fork_each_keep_the_host_s_network_away(
    monkeypatch: pytest.MonkeyPatch, bubblewrap: bool, fork: bool, told: str
) -> None:
    """The host listens at a port: each of the two namespaces alone suffices, and without both it can be reached."""
    options = [option for option in sandbox._namespaces() if bubblewrap or option != "--unshare-net"]
    monkeypatch.setattr(sandbox, "_namespaces", lambda: options)
    monkeypatch.setattr(sandbox, "_START", CONNECT.format(fork=fork))
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = sandbox._bubblewrap_command(server.getsockname()[1])
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert found.stdout.strip() == told, found.stderr


# Time, memory, output, files, processes


def test_an_endless_loop_ends_and_keeps_what_was_answered(benign: Path, hasty: Marker) -> None:
    marked = attack(hasty, benign, FORMULA, "check('optimal-variances', ...)\nwhile True: pass")
    assert marked.problem == "Code cell 3 was still running after 1 seconds of computing; it was interrupted."
    assert marked.marks[0]
    assert marked.marks[1].state == "unanswered"


def test_endless_output_goes_nowhere(benign: Path, hasty: Marker) -> None:
    marked = attack(
        hasty, benign, FORMULA + "\nimport os\nwhile True:\n    print('x' * 10**6)\n    os.write(2, b'y' * 10**6)"
    )
    assert "Code cell 2 was still running" in marked.problem
    assert marked.marks[0]


def test_80_gigabytes(marker: Marker, benign: Path) -> None:
    cell = "check('opt-var-1d', lambda w, beta: torch.zeros(10**10).sum())\nbig = torch.ones(10**10)"
    marked = attack(marker, benign, cell, FUNCTION)
    assert "too much memory" in marked.marks[0].text
    assert marked.marks[1]
    assert marked.problem is None


def test_three_gigabytes_are_too_much_even_untouched(marker: Marker, benign: Path) -> None:
    """Wherever the machine itself would give them."""
    attempt = "attempt('3 GB', lambda: torch.empty(3 * 2**30, dtype=torch.uint8) is not None)"
    assert finds(marker, benign, attempt) == "[]"


def test_many_processes_may_not_hold_together_what_one_may_not(marker: Marker, benign: Path) -> None:
    cell = FORMULA + """
import os, time
for _ in range(4):
    if os.fork() == 0:
        block = bytearray(200 * 2**20)
        block[::4096] = b'x' * len(block[::4096])
        time.sleep(100)
while True:
    time.sleep(1)"""  # fmt: skip
    marked = attack(marker, benign, cell)
    assert marked.problem == "Code cell 2 needed more memory than a submission may have, and was stopped."
    assert marked.marks[0]


def test_shared_memory_is_counted_or_refused(marker: Marker, benign: Path) -> None:
    assert finds(
        marker,
        benign,
        "attempt('memfd', lambda: os.memfd_create('x'))",
        "libc = ctypes.CDLL(None)",
        "attempt('shm', lambda: libc.shmget(0, 2**20, 0o1600) >= 0)",
        "attempt('message queue', lambda: libc.msgget(0, 0o1600) >= 0)",
        "def fill(path):",
        "    with open(path, 'wb') as file:",
        "        for _ in range(1000):",
        "            file.write(bytes(2**20))",
        "    return True",
        "attempt('tmp', lambda: fill('/tmp/a'))",
        "attempt('tmp again', lambda: fill('/tmp/b'))",
        "attempt('shm file', lambda: fill('/dev/shm/a'))",
    ) == "[]"  # fmt: skip


def test_a_fork_bomb(benign: Path, hasty: Marker) -> None:
    marked = attack(hasty, benign, FORMULA + "\nimport os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    assert marked.problem
    assert marked.marks[0]


def test_processes_and_threads_are_limited(marker: Marker, benign: Path) -> None:
    assert finds(
        marker,
        benign,
        "import threading",
        "threading.stack_size(2**16)  # so that it is not memory that stops them",
        "go = threading.Event()",
        "def many():",
        "    for _ in range(200):",
        "        threading.Thread(target=go.wait, daemon=True).start()",
        "    return True",
        "attempt('many', many)",
        "go.set()",
        "while threading.active_count() > 1: time.sleep(.01)",
    ) == "[]"  # fmt: skip


# What is outside


def test_nothing_outside_can_be_written(marker: Marker, benign: Path) -> None:
    import gradelib

    places = [
        "/",
        "/usr",
        "/dev",
        "/root",
        "/home",
        "/proc/sys/kernel",
        "/packages/book/gradelib",
        "/packages/0",
        "/var",
    ]
    places += [str(benign), str(Path(gradelib.__file__).parent), str(Path(os.__file__).parent), str(Path.home())]
    lines = [f"attempt({place!r}, lambda: open({place + '/gift'!r}, 'w'))" for place in places]
    lines += ["attempt('mount', lambda: ctypes.CDLL(None).umount2(b'/tmp', 2) == 0)"]
    lines += ["attempt('remount', lambda: ctypes.CDLL(None).mount(b'', b'/', b'', 32, None) == 0)"]
    lines += ["attempt('import', lambda: open(os.__file__, 'a'))"]
    assert finds(marker, benign, *lines) == "[]"


def test_neither_other_files_nor_other_submissions_can_be_read(marker: Marker, benign: Path) -> None:
    import gradelib

    other = hand_in(benign, SET_UP, FORMULA, name="grace")
    here = Path(gradelib.__file__).parent
    paths = [
        other,
        benign,
        here / "exercises/chapter06.py",
        here.parent / "book",
        Path(__file__),
        Path.home() / ".bashrc",
    ]
    paths += map(Path, ("/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/1/mem", "/proc/kcore"))
    lines = [f"attempt({str(p)!r}, lambda: os.path.isdir({str(p)!r}) and os.listdir({str(p)!r}))" for p in paths]
    lines += [f"attempt({str(p)!r}, lambda: open({str(p)!r}, 'rb').read(1))" for p in paths]
    lines += [
        "attempt('judge', lambda: [m for m in sys.modules if m.startswith('gradelib.classroom.judge')])",
        "opened = '/proc/self/fd/'",
        "attempt('files', lambda: [n for n in os.listdir(opened) if int(n) > 3 and os.path.exists(opened + n)])",
        "attempt('processes', lambda: {int(n) for n in os.listdir('/proc') if n.isdigit()} - {1, os.getpid()})",
        "attempt('environment', lambda: {*os.environ} & {'SECRET_OF_THE_JUDGE', 'VIRTUAL_ENV', 'PYTEST_CURRENT_TEST'})",
    ]
    assert finds(marker, benign, *lines) == "[]"


KEY = """
import gc, re
from gradelib import exercises
name = "price-from" + "-variance"

def in_memory(pattern):
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as file:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if " rw" in line and end - start < 2**28:
                try:
                    file.seek(start)
                    if re.search(pattern, file.read(end - start)): return True
                except OSError:
                    pass

def in_files(pattern):
    for top in ("/packages/book", "/tmp", "/dev/shm"):
        for folder, _, names in os.walk(top):
            for path in [os.path.join(folder, one) for one in names if one.endswith((".py", ".json"))]:
                if os.path.getsize(path) < 10**5 and re.search(pattern, open(path, "rb").read()): return True

attempt("the book's key in memory", lambda: in_memory(rb"norm2[(]h[)] - d - logde[t]"))
attempt("the book's key in files", lambda: in_files(rb"norm2[(]h[)] - d - logde[t]"))
attempt("key in memory", lambda: in_memory(rb"zq7[3]: do"))
attempt("key in files", lambda: in_files(rb"zq7[3]: do"))
attempt("key as an object", lambda: [o for o in gc.get_objects() if type(o).__name__ == "Exercise" and o.id == name])
attempt("its name", lambda: name in exercises.ids())
"""


def test_the_key_of_a_teachers_own_exercise_is_not_inside(private: Marker, benign: Path) -> None:
    found = finds(private, benign, f'check("{PRIVATE.id}", "s/(1 - s)")', *KEY.splitlines())
    assert found == """["the book's key in memory", "the book's key in files"]"""


def test_nobody_else_can_be_killed_or_traced(marker: Marker, benign: Path) -> None:
    assert finds(
        marker,
        benign,
        "attempt('first', lambda: os.kill(1, signal.SIGKILL) or time.sleep(.1) or False)",
        "attempt('first, politely', lambda: [os.kill(1, n) for n in range(1, 32) if n not in (9, 19)] and False)",
        "libc = ctypes.CDLL(None)",
        "attempt('trace', lambda: libc.ptrace(16, 1, 0, 0) == 0)",
        "attempt('memory', lambda: open('/proc/1/mem', 'rb'))",
        "attempt('namespace', lambda: libc.unshare(0x10000000) == 0)",
        "attempt('root', lambda: os.setuid(0) is None)",
        "attempt('power', lambda: open('/proc/self/status').read().split('CapEff:')[1].split()[0].strip('0'))",
        "attempt('more files', lambda: __import__('resource').setrlimit(7, (10**5, 10**5)) is None)",
    ) == "[]"  # fmt: skip


def test_killing_everything_kills_only_oneself(marker: Marker, benign: Path) -> None:
    kill = "import os\nfor who in (os.getppid(), -1, 0):\n    try: os.kill(who, 9)\n    except OSError: pass"
    marked = attack(marker, benign, FORMULA + "\n" + kill)
    assert "Python itself ended in code cell 2" in marked.problem
    assert marked.marks[0]


# The pipe


FORGERIES = {
    "a mark": """{"check": "opt-var-1d", "answer": {"state": "correct", "points": 1}}""",
    "a verdict": """{"state": "correct", "text": "That is right.", "mistake": None, "points": 9}""",
    "an exercise that nobody asked for": """{"check": "opt-cov", "answer": {"text": "1"}}""",
    "a function that is none": """{"check": "opt-var-1d", "answer": {"function": 3}}""",
    "a strange function": """{"check": "opt-var-1d", "answer": {"function": {"module": "x", "parameters": [[1]]}}}""",
    "a text that is none": """{"check": "opt-var-1d", "answer": {"text": [1]}}""",
    "no answer": """{"check": "opt-var-1d"}""",
    "a list": "[]",
    "a cell that is none": """{"cell": "x"}""",
    "an end that is none": """{"done": "yes"}""",
    "nothing known": """{"x": 1}""",
}
SEND = """
import json, os, struct
def send(raw):
    os.write(3, struct.pack('<I', len(raw)) + raw)
"""


@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(list(FORGERIES), 2))
def test_a_forged_message_earns_nothing(marker: Marker, benign: Path, name: str) -> None:
    cell = (
        f"{SEND}\nsend(json.dumps({FORGERIES[name]}).encode())\nsend(b'{{\"done\": true}}')\nimport time; time.sleep(9)"
    )
    marked = attack(marker, benign, cell + '\ncheck("opt-var-1d", "1")')
    assert sum(mark.score for mark in marked.marks) == 0
    assert {mark.state for mark in marked.marks} <= {"unanswered", "unreadable", "incorrect"}


GARBAGE = {
    "noise": "os.write(3, os.urandom(5000))",
    "a huge length": "os.write(3, b'\\xff\\xff\\xff\\x7f' + b'x' * 1000)",
    "half a message": "os.write(3, struct.pack('<I', 100) + b'{')\nos._exit(0)",
    "deep": "send(b'[' * 10**5)",
    "not a number": "send(b'{\"cell\": NaN}')",
    "a long number": "send(b'{\"cell\": ' + b'9' * 10**5 + b'}')",
    "not text": "send(b'\\xff\\xfe')",
    "a flood": "while True: send(b'{\"cell\": 1}')",
    "a pickle": "import pickle\nsend(pickle.dumps({'check': 1}))",
    "a closed pipe": "os.close(3)\nimport time; time.sleep(9)",
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(list(GARBAGE), 2))
def test_garbage_ends_only_its_sender(marker: Marker, benign: Path, name: str) -> None:
    marked = attack(marker, benign, FORMULA, SEND + GARBAGE[name] + "\n" + FUNCTION)
    assert ("Python itself ended" if name in ("half a message", "a closed pipe") else "no message of") in marked.problem
    assert marked.marks[0]  # what was handed over before
    assert not marked.marks[1]


LIES = {
    "silence": "time.sleep(99)",
    "noise": "os.write(sockets()[-1], os.urandom(10**4))",
    "an end": "os._exit(0)",
    "a wrong shape": "say({'value': {'tensor': {'shape': [10**9] * 16}, 'dtype': 'float64'}, 'changed': []})",
    "a negative shape": "say({'value': {'tensor': {'shape': [-1], 'bytes': ''}, 'dtype': 'float64'}, 'changed': []})",
    "too few bytes": "say({'value': {'tensor': {'shape': [3], 'bytes': 'AAAA'}, 'dtype': 'float64'}, 'changed': []})",
    "a strange type": "say({'value': {'tensor': {'shape': []}, 'dtype': '__class__', 'device': 'cpu'}, 'changed': []})",
    "code for a type": "say({'value': {'other': 'x' * 10**5}, 'changed': []})",
    "a strange error": "say({'raised': {'kind': 3}})",
    "far positions": "say({'value': {'nothing': 'None'}, 'changed': [10**9]})",
}


@pytest.mark.sampled
@pytest.mark.parametrize(
    "name", [*some_of([name for name in LIES if name != "silence"], 3), pytest.param("silence", marks=pytest.mark.slow)]
)
def test_a_function_that_answers_for_itself_earns_nothing(
    marker: Marker, benign: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "silence":  # it is given ten times as many on the clock, and more than once
        monkeypatch.setattr(guard, "SECONDS", 0.3)
    cell = f"""{SEND}
import time
def sockets():
    return [int(n) for n in os.listdir('/proc/self/fd') if int(n) > 2 and os.path.exists(f'/proc/self/fd/{{n}}')]
def say(message):
    raw = json.dumps(message).encode()
    for number in sockets():
        try: os.write(number, struct.pack('<I', len(raw)) + raw)
        except OSError: pass
    time.sleep(0.5)  # the lie is read before the true answer
def optimal_variances(J, curvature, beta):
    {LIES[name]}
    return J
check('optimal-variances', optimal_variances)"""
    marked = attack(marker, benign, FORMULA, cell)
    assert not marked.marks[1]
    assert marked.marks[1].score == 0
    assert len(marked.marks[1].text) < 500
    assert marked.marks[0]


def test_the_recorder_in_the_sandbox_decides_nothing(marker: Marker, benign: Path) -> None:
    """Patching all that can be found there changes no verdict."""
    cell = """
import gc, sys, builtins, torch, gradelib
from gradelib.classroom import protocol, runner
for module in [m for n, m in sys.modules.items() if n.startswith("gradelib")]:
    for name in ("mark", "check", "equivalent", "known_mistake", "is_blank"):
        if hasattr(module, name): setattr(module, name, lambda *a, **k: True)
torch.equal = torch.isfinite = lambda *_: True
gradelib.check = lambda *_: True
class Yes(float):
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda *_: True
runner._serialized = lambda *_: {"text": "beta/w**2"}
check("opt-var-1d", "1")
check("optimal-variances", lambda J, curvature, beta: Yes(1))"""
    marked = attack(marker, benign, cell)
    assert [bool(mark) for mark in marked.marks] == [False, False]


def test_no_verdict_on_a_teachers_own_exercise_comes_back(private: Marker, benign: Path) -> None:
    """All that `check` tells is the same for right and wrong, and the judge's marks differ."""
    cell = """
def told_by(answer):
    result = check("price-from-variance", answer)
    return repr(result), bool(result), *map(str, vars(result).items()), result.points, result.state
same = told_by("m*s/(1 - s)") == told_by("1")
def told(w, beta):
    raise RuntimeError(f"got [{same}, {bool(check('price-from-variance', '2'))}]")
check("opt-var-1d", told)"""
    marked = attack(private, benign, cell, f'check("{PRIVATE.id}", "s/(1 - s)")')
    assert "got [True, True]" in marked.marks[0].text
    assert marked.marks[2].text == PRIVATE.mistakes[0].hint
    assert attack(private, benign, f'check("{PRIVATE.id}", "m/(1/s - 1)")').marks[2]


# Hostile answers


HOSTILE = {
    "object": "Evil()",
    "text": "type('T', (str,), {'__len__': trap, '__str__': trap})('beta')",
    "signature": "Callable()",
    "class": "type('C', (), {'__class__': property(trap)})()",
    "deep list": "deep",
    "huge text": "'x' * 10**7",
    "huge number": "10**10**5",
    "surrogates": "'\\ud800'",
    "module": "type('F', (), {'__call__': trap, '__module__': Evil()})()",
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(list(HOSTILE), 2))
def test_a_hostile_answer_is_one_sentence(marker: Marker, benign: Path, name: str) -> None:
    cell = f"""
def trap(*_, **__): raise SystemExit("trap")
class Evil:
    __str__ = __repr__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __getattr__ = __float__ = trap
class Callable:
    __signature__ = property(lambda self: Evil())
    __code__ = property(lambda self: Evil())
    def __call__(self, *_): return Evil()
deep = []
for _ in range(10**5): deep = [deep]
check("opt-var-1d", {HOSTILE[name]})"""
    marked = attack(marker, benign, cell, FUNCTION)
    assert not marked.marks[0]
    assert 10 < len(marked.marks[0].text) < 500
    assert marked.marks[1], marked


# Ends


ENDS = {
    "exit": "import os\nos._exit(0)",
    "segmentation fault": "import ctypes\nctypes.string_at(0)",
    "abort": "import os\nos.abort()",
    "too large a piece": "import os\ntry: x = bytearray(10**12)\nfinally: os._exit(1)",
    "a signal": "import os\nos.kill(os.getpid(), 11)",
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(list(ENDS), 2))
def test_a_crash_is_told_and_keeps_what_was_answered(marker: Marker, benign: Path, name: str) -> None:
    marked = attack(marker, benign, FORMULA, FUNCTION, ENDS[name] + "\ncheck('opt-var-1d', '1')")
    assert "Python itself ended in code cell 4" in marked.problem
    assert all(marked.marks), marked


def test_tricks_of_the_interpreter(marker: Marker, benign: Path) -> None:
    cell = """
import atexit, sys, threading, signal, time, gc
atexit.register(lambda: time.sleep(99))
sys.settrace(lambda *_: None)
threading.Thread(target=lambda: time.sleep(99)).start()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
gc.set_threshold(1)
""" + FORMULA  # fmt: skip
    assert attack(marker, benign, cell, FUNCTION).marks == marker.mark(hand_in(benign, SET_UP, FORMULA, FUNCTION)).marks


# The next one


def test_nothing_is_left_for_the_next_one(marker: Marker, benign: Path) -> None:
    cell = FORMULA + """
import os, socket, subprocess, sys, time
for place in ("/tmp/gift", "/dev/shm/gift", os.path.expanduser("~/gift")):
    open(place, "w").write("answers")
os.setsid if False else None
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\\0gift")
        listener.listen()
        while True: time.sleep(1)
    os._exit(0)
sys.modules["gift"] = sys
import torch
torch.gift = True
time.sleep(.3)"""  # fmt: skip
    assert attack(marker, benign, cell).marks[0]
    assert finds(
        marker,
        benign,
        "attempt('file', lambda: os.listdir('/tmp') + os.listdir('/dev/shm'))",
        "attempt('process', lambda: {int(n) for n in os.listdir('/proc') if n.isdigit()} - {1, os.getpid()})",
        "attempt('socket', lambda: socket.socket(socket.AF_UNIX).connect('\\0gift') is None)",
        "attempt('module', lambda: 'gift' in sys.modules or hasattr(torch, 'gift'))",
    ) == "[]"  # fmt: skip


def test_two_markers_do_not_meet(marker: Marker, benign: Path) -> None:
    """What one submission listens at, another in the same minute cannot reach."""
    listen = "import socket, time\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0meeting')\ns.listen()\ntime.sleep(3)"
    path = hand_in(benign, SET_UP, FORMULA + "\n" + listen, name="listener")
    with Marker(ASKED, seed=1, limits=LIMITS) as other:
        thread = threading.Thread(target=other.mark, args=(path,))
        other.mark(hand_in(benign, SET_UP, FORMULA, name="warm"))
        thread.start()
        time.sleep(1)
        assert finds(
            marker,
            benign,
            "attempt('meet', lambda: socket.socket(socket.AF_UNIX).connect('\\0meeting') is None)",
            "attempt('see', lambda: {int(n) for n in os.listdir('/proc') if n.isdigit()} - {1, os.getpid()})",
        ) == "[]"  # fmt: skip
        thread.join()
