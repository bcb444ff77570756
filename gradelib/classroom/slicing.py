"""Which statements of a notebook its answers need.

A chapter trains networks for half a minute; an answer seldom needs one of them. So every cell that calls `check` for an
asked exercise is run as a whole. Of the cells before it only those statements are run that bind or change a name that
is used, directly or through others.

What a statement does to a name is read from its form. A call for its effect (`fit(model, x)`) is taken to change each
name in it. What happens through `exec` or `globals()` is not seen.
"""

from __future__ import annotations

import ast
import dis
import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_MAGIC = re.compile(r"^(\s*)(?:[!%]|.*\?\s*$|\w+\s*=\s*[!%]).*$", re.MULTILINE)
_FOREIGN_CELL = re.compile(r"\s*%%(?!time|capture|prun)\w+")
_CALL = re.compile(r"""\bcheck\(\s*["']([^"'\n]{1,200})["']""")
_CALL_WITH_NAME = re.compile(r"\bcheck\(\s*[A-Za-z_]")
# Calls that show or test something and change nothing.
_SHOWING = {"print", "display", "check", "definition", "identity", "inequality", "limit", "claim"}
_BINDS_SURELY = (
    *(ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import),
    *(ast.ImportFrom, ast.AugAssign),
)
_BINDING, _BINDING_GLOBALLY = ("STORE_NAME", "DELETE_NAME"), ("STORE_GLOBAL", "DELETE_GLOBAL")


@dataclass(frozen=True)
class Step:
    """What is to be run of one cell; `error` if it cannot be read as Python."""

    cell: int
    body: tuple[ast.stmt, ...] = ()
    error: Exception | None = None


@dataclass
class Statement:
    """One top-level statement: the names that it binds, reads at once, reads later, and changes."""

    cell: int
    node: ast.stmt
    binds: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    reads_later: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    star: bool = False


def checked(source: str) -> list[str]:
    """The ids of the exercises that a cell checks."""
    return _CALL.findall(source)


def steps(cells: Sequence[tuple[int, str]], asked: Sequence[str]) -> list[Step]:
    """What to run for the answers to `asked`, cell by cell; a cell is its number and its source."""
    statements: list[Statement] = []
    broken: list[Step] = []
    wholes = {cell for cell, source in cells if _gives_answers(source, asked)}
    for cell, source in cells:
        try:
            statements += [analysed(cell, node) for node in parsed(source).body]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            broken.append(Step(cell, error=error))
    needed = _grouped(statements, _needed(statements, wholes))
    return sorted([*needed, *(step for step in broken if step.cell in wholes)], key=lambda step: step.cell)


def _gives_answers(source: str, asked: Sequence[str]) -> bool:
    """Whether the cell checks one of these exercises, or one whose id is computed."""
    return not {*asked}.isdisjoint(checked(source)) or bool(_CALL_WITH_NAME.search(source))


def parsed(source: str) -> ast.Module:
    """The cell as Python, without the lines that only a notebook understands; raises SyntaxError."""
    if _FOREIGN_CELL.match(source):
        return ast.Module([], [])
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.parse(_MAGIC.sub(r"\1pass", source))


def analysed(cell: int, node: ast.stmt) -> Statement:
    """What a statement does to names; those that it reads and binds are taken from its compiled form."""
    statement = Statement(cell, node)
    _read_code(compile(ast.Module([node], []), "<cell>", "exec", dont_inherit=True), statement, later=False)
    statement.changes = set(_changed(node)) | (set() if isinstance(node, _BINDS_SURELY) else statement.binds)
    return statement


def _read_code(code: types.CodeType, statement: Statement, later: bool) -> None:
    for step in dis.get_instructions(code):
        if step.opname in _BINDING_GLOBALLY or (step.opname in _BINDING and not later):
            statement.binds.add(step.argval)
        elif step.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
            (statement.reads_later if later else statement.reads).add(step.argval)
        elif step.opname == "IMPORT_STAR" or step.argval == "INTRINSIC_IMPORT_STAR":
            statement.star = True
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _read_code(constant, statement, later=True)


def _changed(node: ast.stmt) -> Iterator[str]:
    """Names whose values the statement may change without binding them."""
    for part in _executed(node):
        if isinstance(part, (ast.Attribute, ast.Subscript)) and not isinstance(part.ctx, ast.Load):
            yield from _base(part)
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call) and not _shows(part.value):
            yield from (name.id for name in ast.walk(part.value) if isinstance(name, ast.Name))


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is under it, without the bodies of functions."""
    yield node
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        for child in ast.iter_child_nodes(node):
            yield from _executed(child)


def _shows(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in _SHOWING


def _base(node: ast.AST) -> Iterator[str]:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _needed(statements: Sequence[Statement], wholes: set[int]) -> set[int]:
    """The positions of all statements that the cells `wholes` need, and of their own."""
    last = max((i for i, s in enumerate(statements) if s.cell in wholes), default=-1)
    open_ends = [i for i, s in enumerate(statements[: last + 1]) if s.cell in wholes or s.star]
    needed: set[int] = set()
    while open_ends:
        position = open_ends.pop()
        if position in needed:
            continue
        needed.add(position)
        statement = statements[position]
        for name in statement.reads | statement.reads_later | (statement.changes & statement.binds):
            open_ends += _sources(statements, name, position)
        for name in statement.reads_later:  # looked up when the function is called
            open_ends += _sources(statements, name, last + 1)
    return needed


def _sources(statements: Sequence[Statement], name: str, before: int) -> Iterator[int]:
    """The last statement before a position that surely binds a name, and those after it that may change it."""
    for position in range(before - 1, -1, -1):
        statement = statements[position]
        if name in statement.binds or name in statement.changes:
            yield position
        if name in statement.binds and isinstance(statement.node, _BINDS_SURELY):
            return


def _grouped(statements: Sequence[Statement], needed: set[int]) -> list[Step]:
    cells: dict[int, list[ast.stmt]] = {}
    for position in sorted(needed):
        cells.setdefault(statements[position].cell, []).append(statements[position].node)
    return [Step(cell, tuple(body)) for cell, body in cells.items()]
