"""Builds small books, each in a fork of one process that has loaded Sphinx, its extensions and the book's own once.

    python -m build_server    # reads one request in JSON from each line, and answers with the exit code of the build

To load them takes longer than to build a page, and some fifty small books are built.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import yaml
from jupyter_book.cli.main import main as jupyter_book
from sphinx.application import builtin_extensions

ROOT = Path(__file__).parent.parent
# What the extensions of the configuration load only once they are set up, or when they first meet a page.
LOADED_LATE = ["sphinx_multitoc_numbering", "nbclient", "jupyter_cache", "sphinx_design.extension", "ziamath", "psutil"]


def load() -> None:
    """Import what every build imports."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
    parts = importlib.import_module("book.extensions").PARTS
    ours = [f"book.extensions.{part}" for part in parts]
    for name in [*settings["sphinx"]["config"]["extensions"], *builtin_extensions, *ours, *LOADED_LATE]:
        importlib.import_module(name)


def build(request: dict[str, Any]) -> None:
    """Become `jupyter-book` with these arguments in this folder, which writes into these two files; does not return."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    code = 1
    try:
        jupyter_book(request["arguments"], prog_name="jupyter-book")
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    load()
    for line in sys.stdin:
        process = os.fork()
        if not process:
            build(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
