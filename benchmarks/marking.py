"""Marking a class: one warm sandbox against a cold kernel for each notebook, of exercises alone and of a chapter."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

from benchmarks.timing import Ratio
from gradelib.classroom import Marker, sandbox_problem

SUBMISSIONS = 12
_NOTEBOOK = Path(__file__).parent.parent / "book" / "06-optimal-covariance.ipynb"
_ASKED = ("opt-var-1d", "inverse-metric", "optimal-variances")


def marking(rounds: int) -> dict[str, Ratio]:
    """How many notebooks are marked while a cold kernel runs one of the same, `check` included.

    Each of the twelve notebooks of exercises takes its turn with both, once for each twenty rounds, by the clock: the
    work is done by other processes. In the second row the twelve pay for the start of the sandbox. In the last, a whole
    chapter is marked while a kernel runs its cells, and their own time, without the kernel's start, is the measure.
    """
    if reason := sandbox_problem():
        print(f"  Without the sandbox, since it cannot be made: {reason}")
    with TemporaryDirectory() as folder:
        paths = [_handed_in(Path(folder), number) for number in range(SUBMISSIONS)]
        chapter = _handed_in(Path(folder), SUBMISSIONS, whole=True)
        start = time.perf_counter()
        with Marker(_ASKED, seed=1, sandbox=reason is None) as marker:
            _warm(marker, paths[0])
            start = time.perf_counter() - start
            pairs = [
                (_seconds(lambda path=path: _cold(path)), _seconds(lambda path=path: _warm(marker, path)))
                for _ in range(max(1, rounds // 20))
                for path in paths
            ]
            cells, marked = _cold(chapter), _seconds(lambda: _warm(marker, chapter))
    whole = {"a whole chapter, against its cells' own time": Ratio(*(cells / marked,) * 3, 1e3 * marked)}
    return _table(pairs, start) | whole


def _table(pairs: list[tuple[float, float]], start: float) -> dict[str, Ratio]:
    ratios = [cold / warm for cold, warm in pairs]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    cold, warm = (statistics.median(taken) for taken in zip(*pairs, strict=True))
    share = start / SUBMISSIONS
    shared = Ratio(*(statistics.median(cold / (warm + share) for cold, warm in pairs),) * 3, 1e3 * (warm + share))
    return {
        "a cold kernel for each": Ratio(1, 1, 1, 1e3 * cold),
        "one warm sandbox": Ratio(median, low, high, 1e3 * warm),
        "one warm sandbox, its start shared by twelve": shared,
    }


def _handed_in(folder: Path, number: int, *, whole: bool = False) -> Path:
    """A chapter with its solutions in the place of its stubs; unless it is wanted `whole`, of its exercises alone."""
    notebook = json.loads(_NOTEBOOK.read_text(encoding="utf8"))
    stubs, solutions = (
        [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]
        for tag in ("exercise", "solution")
    )
    for stub, solution in zip(stubs, solutions, strict=True):
        stub["source"] = ["".join(solution["source"]), f"\n# learner {number}"]
    if not whole:
        imports = nbformat.v4.new_code_cell("import torch\n\nfrom gradelib import check")
        notebook["cells"] = [imports, *stubs]
    path = folder / f"learner-{number}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf8")
    return path


def _warm(marker: Marker, path: Path) -> None:
    marked = marker.mark(path)
    assert all(marked.marks), marked


def _cold(path: Path) -> float:
    """Run the notebook in a fresh kernel; the seconds of its cells alone."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(_NOTEBOOK.parent.parent))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    words = "".join(str(output.get("data", "")) for cell in code for output in cell.outputs)
    assert words.count("✓ Correct") >= len(_ASKED), words
    return sum(_own_seconds(cell.metadata["execution"]) for cell in code)


def _own_seconds(times: dict[str, str]) -> float:
    begin, end = (
        datetime.fromisoformat(times[name].replace("Z", "+00:00"))
        for name in ("iopub.status.busy", "iopub.status.idle")
    )
    return (end - begin).total_seconds()


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
