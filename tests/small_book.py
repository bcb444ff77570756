"""A small book with the configuration, the extensions and the style of the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "--keep-going", "-n", *options]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment)


def page(root: Path, name: str) -> Tag:
    """The text of a built page."""
    return BeautifulSoup((root / f"_build/html/book/{name}.html").read_text(encoding="utf8"), "html.parser").article
