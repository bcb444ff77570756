"""A small book with the configuration, the extensions and the style of the real one."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).parent.parent
# The head of a page with cells.
FRONT = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

"""


def write_configuration(root: Path, toc: str) -> None:
    """Give an empty folder all that a book needs besides its pages: configuration, extensions, templates, styles."""
    for part in ("_static", "_templates", "extensions"):
        shutil.copytree(ROOT / "book" / part, root / "book" / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "book/references.bib", root / "book")
    (root / "_toc.yml").write_text(toc)


NOTEBOOKS = ("--builder", "custom", "--custom-builder", "notebooks")


def build(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build it as strictly as `make book` does, or with the options `NOTEBOOKS` as `make notebooks` does."""
    arguments = ["build", ".", "-W", "--keep-going", "-n", *options]
    if not hasattr(os, "fork"):
        command = [str(Path(sys.executable).with_name("jupyter-book")), *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment())
    with TemporaryDirectory() as folder:
        said = {name: Path(folder, name) for name in ("stdout", "stderr")}
        request = {"folder": str(root), "arguments": arguments, "environment": environment()}
        code = ask({**request, **{name: str(path) for name, path in said.items()}})
        texts = {name: path.read_text(encoding="utf8", errors="replace") for name, path in said.items()}
    return subprocess.CompletedProcess(arguments, code, **texts)


def environment() -> dict[str, str]:
    """That of the tests, in which the working tree is found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def ask(request: dict[str, object]) -> int:
    """Let the server of builds do one; its exit code."""
    pipe = server()
    assert pipe.stdin
    assert pipe.stdout
    print(json.dumps(request), file=pipe.stdin, flush=True)
    return int(pipe.stdout.readline())


@cache
def server() -> subprocess.Popen[str]:
    """The process that builds for all tests of this one, started when it is first needed."""
    command = [sys.executable, str(Path(__file__).with_name("build_server.py"))]
    started = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    )
    atexit.register(started.communicate)  # without requests it ends
    return started


def page(root: Path, name: str) -> Tag:
    """The text of a built page."""
    return BeautifulSoup((root / f"_build/html/book/{name}.html").read_text(encoding="utf8"), "html.parser").article
