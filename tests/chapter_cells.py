"""Runs one cell of a chapter with nothing but the cells that it rests on, and with some of its text changed."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

# A cell that trains or measures is left out: what a check reads has the same name at most.
TRAINS = re.compile(r"fit\(|fit_grid|train\(|minimise\(|measure\(|figures|evaluation\.gap")
BOOK = Path(__file__).parents[1] / "book"


def code_of(chapter: str) -> list[str]:
    """The code cells of a chapter, by the number in its name."""
    [path] = BOOK.glob(f"{chapter}-*.md")
    found = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", path.read_text(encoding="utf8"), re.MULTILINE | re.DOTALL)
    return [re.sub(r"\A(:.*\n)+\n?", "", cell) for cell in found]


def run_cell(chapter: str, containing: str, changes: Mapping[str, str]) -> Any:
    """The value, if any, of the first cell that contains a text, after `changes` to it and to those that it rests on.

    Raises what the cell raises, and what `changed_cells` raises.
    """
    sources = changed_cells(chapter, containing, changes)
    before = torch.get_default_dtype()  # a chapter's first cell changes it
    try:
        return _value(sources, chapter)
    finally:
        torch.set_default_dtype(before)


def changed_cells(chapter: str, containing: str, changes: Mapping[str, str]) -> list[str]:
    """The first cell that contains a text, after those that it rests on, all with `changes`.

    Raises AssertionError for a change of a text that is nowhere, and StopIteration if no cell contains the text.
    """
    cells = code_of(chapter)
    place = next(index for index, cell in enumerate(cells) if containing in cell)
    needed = sorted(_needed([ast.parse(cell) for cell in cells[: place + 1]], place))
    sources = [cells[index] for index in needed]
    for old, new in changes.items():
        assert any(old in source for source in sources), f"no cell has {old!r}"
        sources = [source.replace(old, new) for source in sources]
    return sources


def _value(sources: list[str], chapter: str) -> Any:
    names: dict[str, Any] = {"display": lambda *shown: None, "torch": torch}  # a cell that imports it may train, too
    for source in sources[:-1]:
        with suppress(NameError, KeyError):  # of what was left out
            exec(source, names)
    body = ast.parse(sources[-1]).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), chapter, "exec"), names)
    return eval(compile(ast.Expression(last.value), chapter, "eval"), names) if last else None


def _needed(trees: list[ast.Module], place: int) -> set[int]:
    """The cells that bind the names that a cell reads, and so on."""
    needed: set[int] = set()
    waiting = [place]
    while waiting:
        index = waiting.pop()
        if index in needed or (index != place and TRAINS.search(ast.unparse(trees[index]))):
            continue
        needed.add(index)
        read = {node.id for node in ast.walk(trees[index]) if isinstance(node, ast.Name)} - set(dir(builtins))
        for name in read:
            earlier = (before for before in range(index - 1, -1, -1) if name in _bound(trees[before]))
            waiting.extend(found for found in [next(earlier, None)] if found is not None)
    return needed


def _bound(tree: ast.Module) -> set[str]:
    """The names that a cell binds at its top level."""
    bound: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            bound.add(statement.name)
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return bound
