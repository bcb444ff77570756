"""`python -m tools.binder`: build what Binder builds, in a folder of its own, weigh it, and run chapters in it.

repo2docker, Binder's builder, begins with an image that has JupyterLab. It installs `.binder/requirements.txt` with
nothing else of the repository at hand, copies the repository, and runs `.binder/postBuild` there. Here a fresh
environment of the same Python stands in the place of the image.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from nbformat import NotebookNode

from book.extensions import chapter_sources
from book.extensions.notebooks.notebook import code_cells, read_notebook, text_outputs
from gradelib._kernel import ENVIRONMENT

ROOT = Path(__file__).parent.parent

# What repo2docker 2026.4 puts into each image, from its `environment.py-3.11-linux-64.lock`.
IMAGE = ["pip==25.2", "jupyterlab==4.4.9", "notebook==7.4.7", "ipywidgets==8.1.7", "ipykernel==7.0.1"]
OURS = ("PYTHON", "VIRTUAL_ENV", *ENVIRONMENT)  # what a reader's kernel does not have


class Binder:
    """An image and the home of its reader, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.image, self.home = folder / "image", folder / "home"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.environment = kept | {"PATH": f"{self.image / 'bin'}{os.pathsep}{kept['PATH']}", "HOME": str(folder)}

    def do(self, *command: str) -> str:
        """Run a command in the home and return what it says; raise RuntimeError with its last words where it fails."""
        done = subprocess.run(command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def build(self) -> None:
        """Do what repo2docker does, in its order."""
        (self.home / ".binder").mkdir(parents=True)
        self.do(f"python{runtime()}", "-m", "venv", str(self.image))
        self.do("python", "-m", "pip", "install", *IMAGE)
        before, begin = megabytes(self.image), time.perf_counter()
        shutil.copy(ROOT / ".binder/requirements.txt", self.home / ".binder")
        self.do("pip", "install", "--no-cache-dir", "-r", ".binder/requirements.txt")
        self.copy_repository()
        self.do("./.binder/postBuild")
        print(f"image {before} MB, with the book {megabytes(self.image)} MB, {time.perf_counter() - begin:.0f} s")

    def copy_repository(self) -> None:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (self.home / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.home / name)

    def faults(self) -> list[str]:
        """CUDA where there should be none, and what JupyterLab lacks."""
        heavy = [line for line in self.do("pip", "list").splitlines() if line.startswith(("nvidia", "cuda-", "triton"))]
        extensions = self.do("sh", "-c", "jupyter labextension list 2>&1")
        asleep = any("jupyterlab-myst" in line and "disabled" in line for line in extensions.splitlines())
        lab = self.do("jupyter", "lab", "--version").startswith("4.")
        return heavy + [
            text for text, there in {"no MyST, asleep": asleep, "no JupyterLab 4": lab}.items() if not there
        ]

    def run(self, name: str) -> tuple[str, bool]:
        """Run a chapter as a reader would; in words and as a truth value, whether each cell says what is stored."""
        begin = time.perf_counter()
        self.do("jupyter", "nbconvert", "--to", "notebook", "--execute", "--output", "ran", f"book/{name}.ipynb")
        notebooks = map(read_notebook, (self.home / "book/ran.ipynb", ROOT / f"book/{name}.ipynb"))
        pairs = itertools.zip_longest(*map(code_cells, notebooks))
        other = [number for number, (ran, stored) in enumerate(pairs) if said(ran) != said(stored)]
        words = f"code cells {other} say other things" if other else "says what is stored"
        return f"{words}, {time.perf_counter() - begin:.0f} s", not other


def runtime() -> str:
    """The Python that Binder is asked for."""
    return (ROOT / ".binder/runtime.txt").read_text(encoding="utf8").strip().removeprefix("python-")


def megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) // 10**6


def said(cell: NotebookNode | None) -> list[NotebookNode]:
    """The text outputs that nbval would compare; progress bars go to stderr."""
    if cell is None or {"nbval-ignore-output"} & {*cell.metadata.get("tags", [])}:
        return []
    return [output for output in text_outputs(cell.outputs) if output.get("name") != "stderr"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.binder", description=__doc__)
    known = [source.stem for source in chapter_sources(ROOT)]
    parser.add_argument(
        "chapters", nargs="*", metavar="chapter", help="names such as 06-optimal-covariance; all by default"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="folder", help="build there, and leave it; a build that is there is used"
    )
    options = parser.parse_args()
    if unknown := sorted({*options.chapters} - {*known}):
        parser.error(f"there is no chapter called {unknown[0]!r}; choose from {', '.join(known)}")
    with TemporaryDirectory() as scratch:
        binder = Binder((options.keep or Path(scratch)).resolve())
        if not binder.home.exists():
            binder.build()
        print("\n".join(faults := binder.faults()) or "no CUDA; JupyterLab with the MyST extension asleep")
        for name in options.chapters or known:
            words, good = binder.run(name)
            print(f"{name}: {words}", flush=True)
            faults += [] if good else [name]
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
