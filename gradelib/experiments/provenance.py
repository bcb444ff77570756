"""Where a row comes from: digests of data, settings and code, versions, device."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from gradelib.datasets import Dataset

PACKAGE = "gradelib"
REFUSING = ("gradelib._input", "gradelib._names")  # they refuse input and compute nothing


def digest(text: str | bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def settings_digest(settings: Mapping[str, Any]) -> str:
    """A digest of settings, whatever their order."""
    return digest(json.dumps(settings, sort_keys=True))


def data_digest(data: Dataset) -> str:
    """A digest of both halves of a data set, as bytes of float32, and of the labels."""
    parts = (data.train.float(), data.test.float(), data.train_labels, data.test_labels)
    return digest(b"".join(part.contiguous().numpy().tobytes() for part in parts))


def code_digest(*names: str) -> str:
    """A digest of the named functions, such as "gradelib.training.fit", and of all in gradelib that they use.

    It follows names from definition to definition. Docstrings, comments, annotations and layout do not count, and
    neither does code that nothing here uses.
    """
    found: dict[tuple[str, str], str] = {}
    left = [tuple(name.rsplit(".", 1)) for name in names]
    while left:
        module, name = left.pop()
        node = _module(module).definitions.get(name)
        if node is None or (module, name) in found or module in REFUSING:
            continue
        found[module, name] = ast.unparse(node)
        left.extend(_used(node, module))
    return digest("\n".join(f"{name}: {source}" for (_, name), source in sorted(found.items(), key=_without_module)))


def _without_module(item: tuple[tuple[str, str], str]) -> tuple[str, str]:
    return item[0][1], item[1]  # a definition that moves to another file is still the same


def versions() -> dict[str, str]:
    """The versions that a number may depend on."""
    import numpy

    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}


def device_name(place: torch.device) -> str:
    """What did the work: the name of the GPU, or the kind of processor."""
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"CPU, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


class _Module:
    """The top-level definitions of a module, bare of docstrings and annotations, and what its names are imported as."""

    def __init__(self, name: str) -> None:
        spec = importlib.util.find_spec(name)
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else ast.Module([], [])
        self.imports: dict[str, tuple[str, str]] = dict(_imports(tree))
        self.definitions: dict[str, ast.stmt] = {}
        for node in _Bare().visit(tree).body:
            for defined in _defined(node):
                self.definitions[defined] = node


@cache
def _module(name: str) -> _Module:
    return _Module(name)


def _imports(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            for alias in node.names:
                yield alias.asname or alias.name, (node.module, alias.name)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return []


def _used(node: ast.AST, module: str) -> Iterator[tuple[str, str]]:
    """The definitions in gradelib that `node` names, directly or as an attribute of an imported module."""
    imports = _module(module).imports
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield module, part.id
            if part.id in imports:
                yield imports[part.id]
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in imports:
            yield ".".join(imports[part.value.id]), part.attr


class _Bare(ast.NodeTransformer):
    """Takes away what does not change what code does."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        bare = ast.Assign([node.target], node.value) if node.value else ast.Expr(node.target)
        return self.generic_visit(ast.copy_location(bare, node))

    def _without_docstring(self, node: Any) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)
