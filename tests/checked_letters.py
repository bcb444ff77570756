"""The letters of what exact checks compute, as their cells state it."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from unittest.mock import patch

import letters
from chapter_cells import code_of

from gradelib import equations
from gradelib import exact as exact_checks

CHECKS = ("exact", "by_squares")
_BUILTIN = set(dir(builtins))
_HANDED_OVER = re.compile(r"\\text\{an expression in \}[^=]*")  # its symbols are those of a program


def of_checks(chapter: str) -> dict[str, set[str]]:
    """By label: the letters, as the book writes them, of the formulas of all exact checks of a chapter.

    The checks are stated but not computed, and of the chapter runs only what they rest on.
    """
    statements = [statement for cell in code_of(chapter) for statement in ast.parse(_python(cell)).body]
    return letters_of(statements, chapter)


def letters_of(statements: Sequence[ast.stmt], name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}

    def note(claim: exact_checks._Claim, *ignored: object) -> None:
        used = letters.of(_HANDED_OVER.sub("", claim._typeset()))
        found.setdefault(claim.label, set()).update(used)

    names = {"display": lambda *shown: None}
    body = [statements[index] for index in sorted(_needed(statements))]
    with (
        patch.object(exact_checks._Claim, "checked", note),
        patch.object(equations._Claim, "checked", lambda *_, **named: None),
    ):
        exec(compile(ast.Module(body, []), name, "exec"), names)
    return found


def _python(cell: str) -> str:
    """The code of a cell without commands of the notebook."""
    return re.sub(r"^[%!].*$", "", cell, flags=re.MULTILINE)


def _needed(statements: Sequence[ast.stmt]) -> set[int]:
    """The statements with an exact check, and those that bind the names that they read, and so on."""
    bound = [set(_bound(statement)) for statement in statements]
    waiting = [index for index, statement in enumerate(statements) if _called(statement) & set(CHECKS)]
    needed: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            for name in _read(statements[index]):
                waiting += next(([before] for before in range(index - 1, -1, -1) if name in bound[before]), [])
    return needed


def _called(statement: ast.stmt) -> set[str]:
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def _read(statement: ast.stmt) -> set[str]:
    """The names that a statement reads, without those of its own parameters and loops."""
    nodes = list(ast.walk(statement))
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    loops = (
        [statement]
        if isinstance(statement, ast.FunctionDef)
        else [n for n in nodes if isinstance(n, ast.comprehension)]
    )
    inside = [node for loop in loops for node in ast.walk(loop) if isinstance(node, ast.Name)]
    own |= {node.id for node in inside if isinstance(node.ctx, ast.Store)}
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)} - own - _BUILTIN


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a definition, an import or an assignment binds."""
    if isinstance(statement, ast.FunctionDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.Assign):
        targets = [node for target in statement.targets for node in ast.walk(target)]
        yield from (node.id for node in targets if isinstance(node, ast.Name))
