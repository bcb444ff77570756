"""Imports run one way: each room of `gradelib` knows the rooms below it and none above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "gradelib").rglob("*.py"))

# Every module or package of `gradelib`, by room. Those with an underscore in front are foundations, too.
ROOMS = {
    "foundations": {"parallel", "records"},
    "marker": {"marker"},
    "exercises": {"exercises"},
    "mathematics": {"likelihoods", "posteriors", "geometry", "objectives", "networks"},
    "models": {"datasets", "optimisers", "training", "evaluation", "playground", "exact_vae"},
    "evidence": {"equations", "exact", "algebra", "program_mutation", "typeset", "claims", "mime_renderer"},
    "figures": {"figures"},
    "experiments": {"experiments"},
    "classroom": {"classroom"},
    "commands": {"cli"},
}
BELOW = {
    "foundations": set(),
    "marker": {"foundations"},
    "exercises": {"foundations", "marker"},
    "mathematics": {"foundations"},
    "models": {"foundations", "mathematics"},
    "evidence": {"foundations", "marker"},
    "figures": {"foundations", "mathematics", "models"},
    "experiments": {"foundations", "mathematics", "models"},
    "classroom": {"foundations", "marker", "exercises"},
    "commands": {"foundations", "exercises", "classroom", "experiments"},
}
# What one import inside a function may do beyond that.
INSIDE_FUNCTIONS = {
    ("marker", "exercises"),  # `check` looks the exercise up by its id; all else in the marker is handed an exercise
}
# What Python lacks on Windows, and who may need it nevertheless: what runs in the sandbox, or where there is a fork.
UNIX = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
IN_THE_SANDBOX = {"gradelib.classroom.isolation", "gradelib.classroom.runner", "gradelib.classroom.fork_server"}
TORCH_ALLOWED = {"functions"}  # the one module of the marker that needs torch: the marking of functions


def imports(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """The full names of what a module imports, but for its annotations; without `lazy`, only while it is loaded."""
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), lazy):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: an import says where from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _statements(tree: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not lazy:
            continue
        yield node
        yield from _statements(node, lazy)


def part(name: str) -> str:
    """The module or package of `gradelib` that a full name such as `gradelib.marker.check.mark` lies in."""
    return name.split(".")[1]


def room_of(name: str) -> str:
    if name.startswith("_"):
        return "commands" if name == "__main__" else "foundations"
    found = [room for room, parts in ROOMS.items() if name in parts]
    assert len(found) == 1, f"gradelib/{name} has no room yet: say in ROOMS which one it belongs to."
    return found[0]


def parts_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


INSIDE = [
    path for path in MODULES if parts_of(path) != "gradelib"
]  # `gradelib` itself names its modules and loads none


@pytest.mark.parametrize("path", INSIDE, ids=parts_of)
def test_a_room_imports_from_the_rooms_below_it(path):
    room = room_of(part(parts_of(path)))
    for lazy in (False, True):
        allowed = {room} | BELOW[room] | {target for source, target in INSIDE_FUNCTIONS if lazy and source == room}
        for name in imports(path, lazy=lazy):
            if name.startswith("gradelib.") and name != "gradelib.__version__":
                assert room_of(part(name)) in allowed, f"{path} imports {name}, which is not below {room}"


def test_the_rooms_lie_above_each_other():
    TopologicalSorter(BELOW).prepare()  # raises CycleError
    assert BELOW.keys() == ROOMS.keys()


def test_no_modules_import_each_other_while_they_are_loaded():
    names = {parts_of(path) for path in MODULES}
    graph = {}
    for path in INSIDE:
        targets = {_module(name, names) for name in imports(path, lazy=False) if name.startswith("gradelib.")}
        graph[parts_of(path)] = targets - {"gradelib"}
    TopologicalSorter(graph).prepare()


def _module(name: str, names: set[str]) -> str:
    return name if name in names else name.rpartition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=parts_of)
def test_the_package_knows_nothing_of_what_lies_around_it(path):
    around = {"book", "benchmarks", "tests", "tools", "conftest"}
    assert not around & {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", [p for p in INSIDE if part(parts_of(p)) in {"marker", "exercises"}], ids=parts_of)
def test_the_marker_and_the_exercises_load_without_torch(path):
    """`sympy` too costs half a second, and an answer that is none of sympy's does without."""
    heavy = {"sympy", "matplotlib", "scipy", "sklearn", *([] if path.stem in TORCH_ALLOWED else ["torch"])}
    assert not heavy & {name.split(".")[0] for name in imports(path, lazy=False)}


def test_who_marks_functions_is_imported_inside_functions_only():
    eager = {name for path in INSIDE if path.stem not in TORCH_ALLOWED for name in imports(path, lazy=False)}
    assert not {name for name in eager if name.startswith("gradelib.marker.functions")}


@pytest.mark.parametrize("path", [path for path in MODULES if parts_of(path) not in IN_THE_SANDBOX], ids=parts_of)
def test_the_package_can_be_imported_on_windows(path):
    loaded = {name.split(".")[0] for name in imports(path, lazy=False)}
    assert not loaded & UNIX
    assert not {name for name in imports(path, lazy=False) if name.startswith(tuple(IN_THE_SANDBOX))}
