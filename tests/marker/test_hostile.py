"""Whatever is handed to `check` ends in one sentence, with nothing printed and nothing changed.

Limits of time are short here; that an endless loop ends at all is seen by the end of the test.
"""

from __future__ import annotations

import builtins
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from corpora import some_of

from gradelib import check
from gradelib.marker import guard
from gradelib.marker.result import Result

resource = pytest.importorskip("resource", reason="needs signals and limits that Windows does not have")

MARKS: list[str] = []  # filled by whatever manages to run where it must not


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.5)
    monkeypatch.setattr(guard, "WALL", 4)


def trap(*_: Any, **__: Any) -> Any:
    MARKS.append("code of the answer ran")
    raise RuntimeError("trap")


class Evil:
    """Every way in which Python asks an object about itself runs code."""

    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __array__ = __float__ = __int__ = trap
    __index__ = __format__ = __getattr__ = __getattribute__ = __lt__ = __add__ = __radd__ = __reduce__ = __dir__ = trap
    _sympy_ = _repr_html_ = __torch_function__ = __array_ufunc__ = property(trap)


class EvilMeta(type):
    __repr__ = __str__ = __eq__ = __hash__ = __instancecheck__ = __subclasscheck__ = trap
    __name__ = property(trap)


class EvilClass(metaclass=EvilMeta):
    pass


class EvilText(str):
    __len__ = __eq__ = strip = translate = __iter__ = __getitem__ = trap
    __hash__ = str.__hash__


class EvilNumber(float):
    __float__ = __eq__ = __le__ = __abs__ = __repr__ = trap
    __hash__ = float.__hash__


class EvilList(list):
    __len__ = __iter__ = __getitem__ = trap


class EvilArray(np.ndarray):
    tolist = __array_function__ = __len__ = trap


class EvilTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *args: Any, **kwargs: Any) -> Any:
        return trap()


class EvilSymbol(sp.Symbol):
    @property
    def args(self) -> Any:
        return trap()

    _sympystr = __str__ = trap


def evil_module_class() -> object:
    return type("Odd", (), {"__module__": EvilText("sympy.x")})()


def quietly(function: Callable, *args: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def evil_array() -> np.ndarray:
    array = np.empty(2, dtype=object)
    array[0] = Evil()
    return array


def tower(levels: int) -> sp.Expr:
    """Every level holds the one below twice: 2 ** levels nodes when written out, few when shared."""
    node = sp.Symbol("w")
    for _ in range(levels):
        node = sp.Add(node, node, evaluate=False)
    return node


def nested_list(levels: int) -> list:
    result: list = []
    for _ in range(levels):
        result = [result]
    return result


def cyclic() -> list:
    result: list = []
    result.append(result)
    return result


TEXTS = [
    "__import__('os').system('touch /tmp/pwned')",
    "().__class__.__bases__[0].__subclasses__()",
    "open('/etc/passwd').read()",
    "exec('import os')",
    "eval('1')",
    "(lambda: MARKS.append(1))()",
    "[x for x in range(10**9)]",
    "{**globals()}",
    "f'{MARKS}'",
    "J.__class__",
    "print(1)",
    "(yield)",
    "await J",
    "9**9**9",
    "9**9**9**9",
    "2**2**2**2**2**2",
    "beta**beta**beta**beta",
    "10**20*10**20",
    "1e308*1e308",
    "exp(exp(exp(exp(exp(beta)))))",
    "1/exp(exp(exp(exp(beta))))",
    "exp(-exp(9*beta))*I_d",
    "factorial(10000000)",
    "9" * 900,
    "0x" + "f" * 900,
    "1" + "0" * 5000,
    "(" * 500 + ")" * 500,
    "[" * 900,
    "-" * 900 + "1",
    "~" * 900 + "1",
    "inv(" * 200 + "S" + ")" * 200,
    "J" + ".T" * 400,
    "+".join(["beta"] * 190),
    "@".join(["I_d"] * 240),
    "a" * 5_000_000,
    "(" * 3_000_000,
    "\x00",
    "beta\x00",
    "\ud800",
    "\u202ebeta",
    "ﬁ",
    "\\N{GREEK SMALL LETTER BETA}",
    "'\\d'",
    "1if beta else 2",
    "\n\n\nbeta",
    "beta\nJ",
    "#",
    "beta # comment",
    "None",
    "...",
    "nan",
    "inf*I_d",
    "I_d*nan",
    "1j*I_d",
    "sqrt(-1)*I_d",
    "(-1)**0.5*I_d",
    "I_d/0",
    "0**-1*I_d",
    "log(0)*I_d",
    "inv(I_d - I_d)",
    "J*J",
    "T()",
    "T(*J)",
    "T(J, J)",
    "lambda",
    "import os",
    "beta = 1; J = 2",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "%s%n",
]

OBJECTS: dict[str, Callable[[], Any]] = {
    "evil object": Evil,
    "evil class": lambda: EvilClass,
    "evil instance": EvilClass,
    "evil text": lambda: EvilText("beta"),
    "evil number": lambda: EvilNumber(1.0),
    "evil list": lambda: EvilList([1.0]),
    "evil in a list": lambda: [Evil(), Evil()],
    "evil in an array": evil_array,
    "evil array": lambda: np.zeros(3).view(EvilArray),
    "evil symbol": lambda: EvilSymbol("w"),
    "evil in sympy": lambda: sp.Basic.__new__(sp.Add, Evil(), Evil()),
    "code in a symbol": lambda: sp.Symbol("__import__('os').system('touch /tmp/pwned')"),
    "code in a matrix symbol": lambda: sp.MatrixSymbol("(lambda: 1)()", 2, 2),
    "lambda symbol": lambda: sp.Symbol("lambda"),
    "sympy tower": lambda: tower(60),
    "sympy power": lambda: sp.Pow(9, sp.Pow(9, 9, evaluate=False), evaluate=False),
    "sympy factorial": lambda: sp.factorial(sp.Symbol("w")),
    "sympy matrix": lambda: sp.MatrixSymbol("J", 10**9, 10**9),
    "sympy element": lambda: sp.MatrixSymbol("J", 3, 3)[0, 0],
    "sympy zero": lambda: sp.ZeroMatrix(3, 3),
    "sympy relation": lambda: sp.Symbol("beta") > 1,
    "sympy class": lambda: sp.Symbol,
    "odd module": evil_module_class,
    "tensor subclass": lambda: torch.ones(2).as_subclass(EvilTensor),
    "huge expanded tensor": lambda: torch.ones(1).expand(10**10),
    "sparse tensor": lambda: torch.eye(3).to_sparse(),
    "meta tensor": lambda: torch.ones(3, device="meta"),
    "complex tensor": lambda: torch.ones(3, dtype=torch.complex64),
    "empty tensor": lambda: torch.ones(0),
    "nan tensor": lambda: torch.full((3, 3), float("nan")),
    "quantised tensor": lambda: quietly(torch.quantize_per_tensor, torch.ones(3), 0.1, 0, torch.qint8),
    "record array": lambda: np.zeros(3, dtype="i4,f8"),
    "date array": lambda: np.zeros(3, dtype="M8[s]"),
    "text array": lambda: np.array(["beta"]),
    "matrix": lambda: quietly(np.matrix, [[1.0]]),
    "nested list": lambda: nested_list(10**5),
    "cyclic list": cyclic,
    "long list": lambda: [0.0] * 10**6,
    "huge whole number": lambda: 10**10**5,
    "bytes": lambda: b"beta",
    "generator": lambda: (i for i in itertools.count()),
    "iterator": itertools.count,
    "module": lambda: sys,
    "exception": lambda: ValueError("x"),
    "not implemented": lambda: NotImplemented,
    "code object": lambda: compile("1", "x", "eval"),
    "result": lambda: check("opt-cov", ...),
}


def endless(J, H, beta):
    while True:
        pass


def endless_and_catching(J, H, beta):
    while True:
        try:
            time.sleep(100)
        except BaseException:
            continue


def endless_in_c(J, H, beta):
    return sum(range(10**13))


def recursive(J, H, beta):
    return recursive(J, H, beta)


def forks(J, H, beta):
    if os.fork() == 0:
        time.sleep(1000)
    return J


def changes_the_random_state(J, H, beta):
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    torch.set_default_dtype(torch.float16)
    print("noise")
    print("noise", file=sys.stderr)
    os.write(2, b"noise")
    return J


class EvilError(Exception):
    __str__ = __repr__ = trap


class EvilCallable:
    __signature__ = property(trap)
    __name__ = property(trap)

    def __call__(self, *args: Any) -> Any:
        return Evil()


def raises_evil(J, H, beta):
    raise EvilError


def raises_base(J, H, beta):
    raise BaseException("x")


def patches_torch(J, H, beta):
    torch.equal = torch.isfinite = lambda *_: True
    return J


FUNCTIONS = {
    "endless": endless,
    "endless and catching": endless_and_catching,
    "endless in C": endless_in_c,
    "recursive": recursive,
    "80 GB tensor": lambda J, H, beta: torch.zeros(10**10, dtype=torch.float64),
    "80 GB list": lambda J, H, beta: [0] * 10**10,
    "huge power": lambda J, H, beta: 9**9**9,
    "exits": lambda J, H, beta: sys.exit(),
    "exits at once": lambda J, H, beta: os._exit(3),
    "kills itself": lambda J, H, beta: os.kill(os.getpid(), signal.SIGKILL),
    "crashes": lambda J, H, beta: os.abort(),
    "interrupts": lambda J, H, beta: signal.raise_signal(signal.SIGINT),
    "forks": forks,
    "closes files": lambda J, H, beta: os.closerange(0, 1000),
    "writes into the pipe": lambda J, H, beta: os.write(3, b'{"state": "correct"'),
    "returns evil": lambda J, H, beta: Evil(),
    "returns an evil tensor": lambda J, H, beta: J.as_subclass(EvilTensor),
    "returns a generator": lambda J, H, beta: (yield J),
    "returns a sparse tensor": lambda J, H, beta: torch.eye(J.shape[1]).double().to_sparse(),
    "returns a meta tensor": lambda J, H, beta: torch.empty(J.shape[1], J.shape[1], device="meta").double(),
    "returns complex": lambda J, H, beta: (J.T @ J) * 1j,
    "returns nan": lambda J, H, beta: (J.T @ J) * float("nan"),
    "returns a huge view": lambda J, H, beta: torch.ones(1).double().expand(10**12),
    "returns itself": lambda J, H, beta: endless,
    "resizes an input": lambda J, H, beta: J.resize_(0),
    "evil error": raises_evil,
    "base exception": raises_base,
    "evil callable": EvilCallable(),
    "type": type,
    "print": print,
    "input": input,
    "breakpoint": breakpoint,
    "torch function": torch.inverse,
    "changes the random state": changes_the_random_state,
    "patches torch": patches_torch,
    "async": types.FunctionType((lambda: 0).__code__.replace(co_flags=0x80 | (lambda: 0).__code__.co_flags), {}),
}


def global_state() -> tuple:
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.equal,
        np.geterr(),
        resource.getrlimit(resource.RLIMIT_AS),
        signal.getsignal(signal.SIGALRM),
        signal.getitimer(signal.ITIMER_REAL),
        signal.getsignal(signal.SIGPROF),
        signal.getitimer(signal.ITIMER_PROF),
        builtins.__import__,
        sys.getrecursionlimit(),
        sys.stdout,
        sys.stderr,
        os.getcwd(),
    )


def survives(make: Callable[[], Any], capfd: pytest.CaptureFixture) -> None:
    """Mark a hostile answer, and see that it ends well."""
    answer = make()
    capfd.readouterr()
    MARKS.clear()
    before = global_state()
    result = check("opt-cov", answer)
    assert global_state() == before
    assert capfd.readouterr() == ("", "")
    assert not MARKS
    assert not result
    assert result.state in ("incorrect", "unreadable", "unanswered")
    assert 10 < len(result.text) < 500
    assert result.text.endswith((".", "?", ")"))
    assert "Traceback" not in str(result)
    assert not re.search("<(?!/?(div|strong)\\b)", result._repr_html_())
    str(result).encode()


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:24]))
def test_hostile_text(text: str, capfd: pytest.CaptureFixture) -> None:
    survives(lambda: text, capfd)


@pytest.mark.parametrize("name", OBJECTS)
def test_hostile_object(name: str, capfd: pytest.CaptureFixture) -> None:
    survives(OBJECTS[name], capfd)


needs_child = pytest.mark.skipif(not guard.can_fork(), reason="needs a child process, as on Linux without a GPU")


@needs_child
@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(list(FUNCTIONS), 8))
def test_hostile_function(name: str, capfd: pytest.CaptureFixture) -> None:
    survives(lambda: FUNCTIONS[name], capfd)


@pytest.mark.parametrize("name", ["evil object", "evil instance", "evil text", "bytes", "long list"])
def test_hostile_exercise_id(name: str) -> None:
    exercise_id = OBJECTS[name]()
    MARKS.clear()
    assert check(exercise_id, "beta").state == "unreadable"
    assert not MARKS


@needs_child
def test_four_gigabytes_are_too_much_wherever_the_machine_would_give_them() -> None:
    result = check("opt-cov", lambda J, H, beta: torch.empty(2**29, dtype=torch.float64))
    assert "too much memory" in result.text


def test_nothing_was_executed() -> None:
    assert not os.path.exists("/tmp/pwned")


@needs_child
@pytest.mark.parametrize("function", [endless, FUNCTIONS["huge power"], FUNCTIONS["80 GB tensor"]])
def test_outside_the_main_thread(function: Callable) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(check("opt-cov", function)))
    thread.start()
    thread.join()
    assert results[0].state == "incorrect"


def test_after_parallel_work_in_the_parent() -> None:
    """A fork after OpenMP has started its threads must not hang in the child's first parallel region."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        a = torch.randn(600, 600)
        a @ a
        torch.linalg.inv(a)
        big = check("opt-cov", lambda J, H, beta: _optimum_with_big_product(J, H, beta))
        assert big, big
    finally:
        torch.set_num_threads(threads)


def _optimum_with_big_product(J: torch.Tensor, H: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    torch.randn(400, 400) @ torch.randn(400, 400)
    return torch.linalg.inv(torch.eye(J.shape[1], dtype=J.dtype) - J.T @ H @ J / beta)


# In place, as on a GPU machine, where no child can be forked


def spin() -> dict:
    while True:
        pass


def catching() -> dict:
    try:
        spin()
    except Exception:
        return {"state": "correct", "text": "", "mistake": None}
    return {}


def asleep() -> dict:
    time.sleep(60)
    return {}


@pytest.mark.parametrize("work", [spin, catching, asleep, lambda: 9**9**9])
def test_in_place_in_the_main_thread(work: Callable) -> None:
    before = global_state()
    with pytest.raises(guard.TimeLimitError):
        guard.run(work, 0.2, fork=False)
    assert global_state() == before


def some_work() -> str:
    end = time.process_time() + 0.8
    while time.process_time() < end:
        pass
    return "done"


@pytest.mark.parametrize("fork", [pytest.param(True, marks=needs_child), False])
@pytest.mark.parametrize("main_thread", [True, False])
def test_a_busy_machine_ends_nothing(fork: bool, main_thread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on the clock passes long before the work is done; but it computes, and is within its own limit."""
    monkeypatch.setattr(guard, "WALL", 0.3)
    monkeypatch.setattr(guard, "_MOST_WAITS", 1000)
    ends = []

    def target() -> None:
        ends.append(guard.run(some_work, 2.0, fork=fork))

    if main_thread:
        target()
    else:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert ends == ["done"]


@pytest.mark.parametrize("work", [spin, catching])
def test_in_place_in_another_thread(work: Callable) -> None:
    ends = []

    def target() -> None:
        try:
            guard.run(work, 0.2, fork=False)
        except guard.TimeLimitError:
            ends.append("too long")

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    assert ends == ["too long"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which tells how much memory is used")
def test_in_place_memory_is_limited_and_the_limit_put_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(RuntimeError, match="memory"):
        guard.run(lambda: torch.zeros(10**10), 2, fork=False)
    with pytest.raises(MemoryError):
        guard.run(lambda: [0] * 10**10, 2, fork=False)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_in_place_state_is_put_back_and_nothing_printed(capfd: pytest.CaptureFixture) -> None:
    def work() -> dict:
        changes_the_random_state(None, None, None)
        return {"state": "x"}

    before = global_state()
    streams = sys.stdout, sys.stderr
    assert guard.run(work, 2, fork=False) == {"state": "x"}
    assert global_state() == before
    assert (sys.stdout, sys.stderr) == streams
    assert capfd.readouterr() == ("", "noise")  # only what bypasses Python's own streams


@pytest.mark.parametrize("work", [sys.exit, lambda: raises_base(0, 0, 0)])
def test_in_place_an_exit_is_caught(work: Callable) -> None:
    with pytest.raises(guard.CrashError):
        guard.run(work, 2, fork=False)


def test_in_place_an_interrupt_of_the_user_goes_through() -> None:
    def interrupted() -> dict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guard.run(interrupted, 2, fork=False)


def test_in_place_an_alarm_of_someone_else_goes_on() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        guard.run(lambda: {}, 1, fork=False)
        assert 90 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def children() -> set[str]:
    """The processes that this one has started and not waited for; other tests of this worker may keep some."""
    return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}


@needs_child
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to look for processes")
def test_no_child_is_left_behind() -> None:
    with subprocess.Popen(["sleep", "60"]) as seen:  # what looks for children finds one
        try:
            before = children()
            assert str(seen.pid) in before
            check("opt-cov", forks)
            assert children() <= before
        finally:
            seen.kill()
