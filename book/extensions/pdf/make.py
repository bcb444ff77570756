"""Make `_build/pdf/book.pdf`, the whole book as one file: Sphinx's LaTeX builder, then latexmk with XeLaTeX.

    python -m book.extensions.pdf.make [--root folder]

Sphinx writes LaTeX from the doctrees of the HTML build, so that no cell is run twice. It exits 1, with one sentence,
where a program or a font is missing, and where LaTeX has an undefined reference or no font for a character. It must
import without the book's environment, since `make pdf` asks it first what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "latexmk texlive-xetex texlive-latex-extra texlive-fonts-recommended fonts-cmu fonts-dejavu-core librsvg2-bin"
)
INSTALL = f"apt-get install --no-install-recommends {PACKAGES}"
PROGRAMS = ("xelatex", "latexmk", "kpsewhich", "rsvg-convert")
FILES = ("titlesec.sty", "needspace.sty", "pzdr.tfm")  # of the other LaTeX packages
FONTS = ("CMU Serif", "DejaVu Sans Mono")
PDF = "_build/pdf/book.pdf"  # below the folder of _config.yml
NUMBERS_FILE = "numbers.json"  # the numbers of the equations on the pages, beside the LaTeX source
OVERFULL_TOLERANCE = 20  # points that a line may reach into the margin before a reader sees it


@dataclass(frozen=True)
class LatexLog:
    """What the log of LaTeX says of the book."""

    pages: int
    missing_characters: tuple[str, ...]
    undefined_references: tuple[str, ...]
    overfull: tuple[float, ...]  # of each overfull \hbox, points beyond the margin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[3], help="the folder of _config.yml")
    parser.add_argument("--check", action="store_true", help="only see whether LaTeX is there")
    parser.add_argument("--packages", action="store_true", help="only print what Debian's packages are called")
    given = parser.parse_args()
    if given.packages:
        print(PACKAGES)
        return
    if lacking := missing_requirements():
        sys.exit(f"`make pdf` needs {', '.join(lacking)}. On Debian: {INSTALL}")
    if not given.check:
        make_pdf(given.root.resolve())


def make_pdf(root: Path) -> None:
    """Make the PDF; exits with what is wrong, and then leaves an earlier PDF as it was."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", source_date_epoch(root))
    write_latex(root)
    made = run_latexmk(root / "_build/latex")
    result = read_log(made.with_suffix(".log").read_text(encoding="utf8", errors="replace"))
    pages = json.loads((made.parent / NUMBERS_FILE).read_text(encoding="utf8"))
    if faults := [*faults_in(result), *number_mismatches(pages, made.with_suffix(".aux").read_text(encoding="utf8"))]:
        sys.exit("\n".join(faults))
    path = copy_atomically(made, root / PDF)
    wide = sum(points > OVERFULL_TOLERANCE for points in result.overfull)
    print(f"{path}: {result.pages} pages, {path.stat().st_size / 1e6:.1f} MB, {wide} lines over the margin")


def missing_requirements() -> list[str]:
    """The programs, the files of LaTeX and the fonts that are not on this machine."""
    if programs := [name for name in PROGRAMS if shutil.which(name) is None]:
        return programs
    files = _output("kpsewhich", *FILES)
    fonts = _output("fc-list", ":", "family") if shutil.which("fc-list") else "".join(FONTS)
    return [name for name in FILES if name not in files] + [name for name in FONTS if name not in fonts]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def source_date_epoch(root: Path) -> str:
    """The time of the last commit: with it the build is reproducible, byte by byte."""
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or "0"
    except (OSError, subprocess.CalledProcessError):
        return "0"


def write_latex(root: Path) -> None:
    """Let Jupyter Book write `_build/latex/book.tex`, as strictly as it writes the pages."""
    program = Path(sys.executable).with_name("jupyter-book")
    options = ["--builder", "latex", "--warningiserror", "--keep-going", "--nitpick"]
    if code := subprocess.run([program, "build", root, *options], cwd=root, check=False).returncode:
        sys.exit(code)


def run_latexmk(folder: Path) -> Path:
    """Run LaTeX until its references are stable; exits with the last lines of its log where it fails."""
    command = ["latexmk", "-pdfxe", "-interaction=nonstopmode", "-halt-on-error", "-silent", "book.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        log = (folder / "book.log").read_text(encoding="utf8", errors="replace")
        sys.exit("LaTeX stopped:\n" + "\n".join(log.splitlines()[-30:]))
    return folder / "book.pdf"


def read_log(log: str) -> LatexLog:
    """Read the log of LaTeX's last run."""
    log = re.sub(r"(?<=[^\n]{79})\n", "", log)  # LaTeX wraps its lines after 79 characters
    pages = re.search(r"Output written on \S+ \((\d+) pages?", log)
    return LatexLog(
        int(pages[1]) if pages else 0,
        tuple(sorted(set(re.findall(r"Missing character: There is no (\S+) ", log)))),
        tuple(sorted(set(re.findall(r"(?i:reference) `([^']+)' on page \S+ undefined", log)))),
        tuple(map(float, re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide", log))),
    )


def faults_in(result: LatexLog) -> list[str]:
    """The faults that fail the build, each in a sentence."""
    faults = []
    if result.missing_characters:
        characters = " ".join(result.missing_characters)
        faults.append(f"No font has {characters}: give the character a font in book/extensions/pdf/pdf.sty.")
    if result.undefined_references:
        faults.append(f"References lead nowhere: {', '.join(result.undefined_references)}.")
    return faults


def number_mismatches(pages: dict[str, str], aux: str) -> list[str]:
    """A sentence for each equation whose number on the pages is not the one that LaTeX gave it."""
    printed = dict(re.findall(r"\\newlabel\{equation:[^{}]*:([^{}:]+)\}\{\{([^{}]*)\}", aux))
    differ = [label for label, number in pages.items() if number != printed.get(label)]
    return [f"{label} is ({pages[label]}) on its page, but ({printed.get(label)}) in the PDF." for label in differ]


def copy_atomically(made: Path, path: Path) -> Path:
    """Copy the file to its place, atomically."""
    from gradelib._files import write_atomically  # here, as `--check` runs where no package is installed yet

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, made.read_bytes())
    return path


if __name__ == "__main__":
    main()
