"""Marking a class: one warm sandbox against a cold kernel for each notebook."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
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
    """How many notebooks of chapter 6 are marked while a cold kernel runs the same cells of one.

    Each of the twelve submissions takes its turn with both, once for each twenty rounds, by the clock: the work is done
    by other processes. In the second row the twelve pay for the start of the sandbox.
    """
    if reason := sandbox_problem():
        print(f"  Without the sandbox, since it cannot be made: {reason}")
    with TemporaryDirectory() as folder:
        paths = [_handed_in(Path(folder), number) for number in range(SUBMISSIONS)]
        start = time.perf_counter()
        with Marker(_ASKED, seed=1, sandbox=reason is None) as marker:
            _warm(marker, paths[0])
            start = time.perf_counter() - start
            pairs = [
                (_seconds(lambda path=path: _cold(path)), _seconds(lambda path=path: _warm(marker, path)))
                for _ in range(max(1, rounds // 20))
                for path in paths
            ]
    return _table(pairs, start)


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


def _handed_in(folder: Path, number: int) -> Path:
    """The chapter with its solutions in the place of its stubs."""
    notebook = json.loads(_NOTEBOOK.read_text(encoding="utf8"))
    stubs, solutions = (
        [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]
        for tag in ("exercise", "solution")
    )
    for stub, solution in zip(stubs, solutions, strict=True):
        stub["source"] = ["".join(solution["source"]), f"\n# learner {number}"]
    path = folder / f"learner-{number}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf8")
    return path


def _warm(marker: Marker, path: Path) -> None:
    marked = marker.mark(path)
    assert all(marked.marks), marked


def _cold(path: Path) -> None:
    """The cells that the answers need, and `check` itself, in a fresh kernel."""
    cells = submission.cells_of(path.read_bytes())
    steps = slicing.steps(cells, _ASKED)
    sources = ["\n".join(ast.unparse(node) for node in step.body) for step in steps]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(_NOTEBOOK.parent.parent))
    words = "".join(str(output.get("data", "")) for cell in notebook.cells for output in cell.outputs)
    assert words.count("✓ Correct") >= len(_ASKED), words


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
