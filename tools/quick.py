"""The tests of what an edit touched, and the notebook of an edited chapter (`make quick`).

    python -m tools.quick              # what changed since the branch left main, and what is not committed
    python -m tools.quick FILE ...     # as if these files had changed

A test file is run when it changed, when it bears the name of a changed module, or when it names one; the nearest come
first. After forty seconds no further test is begun, and pytest says how many were left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 40
CHAPTER = re.compile(r"book/(\d\d-[\w-]+)\.(md|ipynb)")
# What is no Python, and where its tests lie.
TESTS_OF = {
    "book/_static/scripts/marker": ["tests/page_marker/test_parity.py", "tests/page_marker/test_marking.py"],
    "book/_static/": ["tests/site/test_colours.py", "tests/site/test_style_sheet.py"],
    "book/_templates/": ["tests/site/test_scripts.py"],
    "book/claims.yml": ["tests/evidence/test_slides.py", "tests/evidence/test_claims.py"],
    "book/errata.yml": ["tests/evidence/test_slides.py"],
    "book/references.bib": ["tests/evidence/test_bibliography.py"],
    "book/glossary.md": ["tests/site/test_glossary.py"],
    ".github/": ["tests/site/test_workflows.py"],
    "README.md": ["tests/test_repository.py"],
    "CONTRIBUTING.md": ["tests/test_repository.py"],
    "Makefile": ["tests/test_repository.py", "tests/site/test_workflows.py"],
    "pyproject.toml": ["tests/test_repository.py"],
    "requirements.txt": ["tests/test_repository.py"],
}
OF_CHAPTERS = ["tests/notebooks/test_committed_notebooks.py", "tests/notebooks/test_chapters.py"]


def changed(root: Path = ROOT) -> list[str]:
    """The files that differ from where the branch left main, and those that git does not know yet."""
    try:
        base = git(root, "merge-base", "main", "HEAD")[0]
    except subprocess.CalledProcessError:  # a clone of one branch has no main
        base = "HEAD"
    return [*git(root, "diff", "--name-only", base), *git(root, "ls-files", "--others", "--exclude-standard")]


def git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def chosen_tests(files: list[str], root: Path = ROOT) -> list[str]:
    """The test files to run after a change of these files, the nearest first."""
    every = {path.relative_to(root).as_posix(): path for path in sorted(root.glob("tests/**/test_*.py"))}
    ranks: dict[str, int] = {}
    for file in files:
        for test, path in every.items():
            if rank := nearness(file, test, path):
                ranks[test] = min(rank, ranks.get(test, rank))
    return sorted(ranks, key=lambda test: ranks[test])


def nearness(file: str, test: str, path: Path) -> int | None:
    """1 for a test file that changed, up to 3 for one that only names the changed module; None for all others."""
    if file == test:
        return 1
    if CHAPTER.fullmatch(file):
        return 2 if test in OF_CHAPTERS else None
    if any(file.startswith(start) and test in tests for start, tests in TESTS_OF.items()):
        return 2
    if not file.endswith(".py"):
        return None
    if file.startswith("gradelib/exercises/"):
        return 2 if test == "tests/marker/test_exercises.py" else None
    if Path(test).stem == f"test_{Path(file).stem.strip('_')}":
        return 2
    package = ".".join(Path(file).with_suffix("").parts).removeprefix("tests.").removesuffix(".__init__")
    return 3 if names(package, path.read_text(encoding="utf8")) else None


def names(module: str, text: str) -> bool:
    """Whether a program imports the module by its full name, or from its package."""
    package, _, last = module.rpartition(".")
    whole = rf"^\s*(import|from) {re.escape(module)}\b"
    part = rf"^\s*from {re.escape(package)} import (\(\n)?[^()]*\b{re.escape(last)}\b"
    return bool(re.search(whole, text, re.MULTILINE) or (package and re.search(part, text, re.MULTILINE)))


def notebooks_of(files: list[str], root: Path = ROOT) -> list[str]:
    """The notebooks of the chapters among these files."""
    names = sorted({match[1] for file in files if (match := CHAPTER.fullmatch(file))})
    return [f"book/{name}.ipynb" for name in names if (root / f"book/{name}.ipynb").exists()]


def workers(chosen: list[str]) -> int:
    """How many processes are worth their start: none besides the first for a single file."""
    return 0 if len(chosen) == 1 else min(len(chosen), (os.cpu_count() or 1) + 1)


def main(arguments: list[str]) -> int:
    files = arguments or changed()
    chosen = [*notebooks_of(files), *chosen_tests(files)]
    if not chosen:
        print("Nothing changed that a test is chosen for.")
        return 0
    print("Changed:", ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else ""))
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", f"--within={SECONDS}", f"-n{workers(chosen)}", *chosen]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
