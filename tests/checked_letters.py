"""The letters of the formulas that exact checks compute, read off the cells of a chapter."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

import letters

from gradelib.typeset import SYMBOLS, symbol_of

_CODE = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*(?![\w(])")
EXACT = {"exact", "by_squares"}


def of_checks(markdown: str) -> dict[str, set[str]]:
    """By label: the letters, as the book writes them, of all formulas in the exact checks of a chapter.

    Of a formula that is put together, all parts that stand in the cells count.
    """
    found: dict[str, set[str]] = {}
    known: dict[str, ast.expr] = {}
    for cell in _CODE.findall(markdown):
        tree = ast.parse(_python(cell))
        known |= _assigned(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EXACT:
                label, letters_there = _of_check(node, known)
                found.setdefault(label, set()).update(letters_there)
    return found


def _of_check(node: ast.Call, known: Mapping[str, ast.expr]) -> tuple[str, set[str]]:
    label, *formulas = node.args
    named = {word.arg: word.value for word in node.keywords if word.arg}
    words = {name: value.value for name, value in named.items() if isinstance(value, ast.Constant)}
    domains = {name: value for name, value in words.items() if isinstance(value, str)}
    symbols = {**SYMBOLS, **_dictionary(named.get("symbols"), known)}
    text = " ".join(part for formula in formulas for part in _texts(formula, known))
    names = [symbol_of(name, symbols, domains) for name in set(_NAME.findall(text))]
    return ast.literal_eval(label), set().union(*map(letters.of, names))


def _python(cell: str) -> str:
    """The code of a cell without its options and without commands of the notebook."""
    return re.sub(r"^[%!].*$", "", re.sub(r"\A(?::.*\n)+", "", cell), flags=re.MULTILINE)


def _assigned(tree: ast.AST) -> dict[str, ast.expr]:
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    return {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}


def _texts(node: ast.AST, known: Mapping[str, ast.expr], depth: int = 5) -> Iterator[str]:
    """The strings of which an expression is made, those behind its names included."""
    if isinstance(node, ast.Lambda | ast.FunctionDef) or not depth:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in known:
        yield from _texts(known[node.id], known, depth - 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        for part in (node.func.value, *node.args):
            yield from _texts(part, known, depth)
    elif isinstance(node, ast.JoinedStr | ast.FormattedValue | ast.BinOp):
        for part in ast.iter_child_nodes(node):
            yield from _texts(part, known, depth)


def _dictionary(node: ast.expr | None, known: Mapping[str, ast.expr]) -> dict[str, str]:
    if isinstance(node, ast.Name):
        node = known[node.id]
    return ast.literal_eval(node) if node is not None else {}
