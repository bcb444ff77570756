"""A page with a fault fails the build, and the warning names the fault."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import small_book

pytestmark = pytest.mark.slow  # three builds, each of which `make book` does as strictly

BARE_FIGURE = "from matplotlib import pyplot\npyplot.plot([1, 2]);"
# What is wrong, and what the build says of it.
FAULTS = {
    "![A missing image.](gone.png)": "image file not readable: book/gone.png",
    "![](_static/logo.svg)": "no alt text for the image book/_static/logo.svg",
    f"```{{code-cell}}\n{BARE_FIGURE}\n```": "no alt text for the image _build/jupyter_execute/",
    "See {ref}`nowhere`.": "undefined label: 'nowhere'",
    "See {eq}`eq-nowhere`.": "equation not found: eq-nowhere",
    "See {cite}`nobody1900`.": 'could not find bibtex key "nobody1900"',
    "See [there](nowhere.md).": "'nowhere.md'",
}


def build(folder: Path, *paragraphs: str) -> subprocess.CompletedProcess[str]:
    """Build a book of one page."""
    small_book.write_configuration(folder, "format: jb-book\nroot: book/index\n")
    (folder / "book" / "index.md").write_text("\n\n".join([small_book.FRONT + "# A page", *paragraphs]))
    return small_book.build(folder)


def test_a_sound_page_builds(tmp_path):
    built = build(tmp_path, "![The sign of the book.](_static/logo.svg)", "```{code-cell}\n1 + 1\n```")
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "_build" / "html" / "book" / "index.html").exists()


def test_a_page_with_faults_fails_the_build_and_each_is_named(tmp_path):
    built = build(tmp_path, *FAULTS)
    assert built.returncode != 0
    warnings = [line for line in built.stderr.splitlines() if " WARNING: " in line]
    assert [message for message in FAULTS.values() if not any(message in line for line in warnings)] == []
    assert len(warnings) == len(FAULTS), warnings


def test_a_failing_cell_fails_the_build(tmp_path):
    built = build(tmp_path, "```{code-cell}\nraise OSError('the cell gave up')\n```")
    assert built.returncode != 0
    assert "the cell gave up" in built.stdout + built.stderr
