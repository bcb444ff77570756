"""The committed notebooks: in step with their sources, small, run, and really compared by nbval."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import export_book
import nbformat
import pytest
from export import ENVIRONMENT, GLUED, MIME_TYPES, check, set_up_cell
from export_markdown import leaks
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("book/[0-9]*.md"))
MOST_BYTES = 100_000
LEAST_COMPARED = 0.8
ASIDE = {"nbval-ignore-output", "nbval-skip"}  # tags; nbval reads the same words as comments, in capitals

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def read(chapter: Path) -> NotebookNode:
    return nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def compares(cell: NotebookNode) -> bool:
    """Whether nbval compares what this cell prints with what is stored."""
    comments = {line.strip("# ").lower().replace("_", "-") for line in cell.source.splitlines() if line.startswith("#")}
    return cell.execution_count is not None and not ASIDE & {*cell.metadata.get("tags", []), *comments}


def share_compared(notebook: NotebookNode) -> float:
    cells = code_cells(notebook)
    return sum(map(compares, cells)) / len(cells)


# --- every chapter


def test_nbval_runs_cells_in_the_environment_in_which_they_were_stored() -> None:
    assert {name: os.environ.get(name) for name in ENVIRONMENT} == ENVIRONMENT


def test_there_are_chapters() -> None:
    assert CHAPTERS


def test_every_notebook_is_in_step_with_its_source() -> None:
    with export_book.open_book(ROOT) as book:
        check(book, book.choose([]))


@each_chapter
def test_a_notebook_is_small_and_its_text_is_plain(chapter: Path) -> None:
    notebook = read(chapter)
    assert chapter.with_suffix(".ipynb").stat().st_size < MOST_BYTES
    assert [left for cell in notebook.cells if cell.cell_type == "markdown" for left in leaks(cell.source)] == []
    assert notebook.cells[0].source == set_up_cell(export_book.read_config(ROOT)).source


@each_chapter
def test_a_notebook_holds_text_outputs_that_every_machine_repeats(chapter: Path) -> None:
    notebook = read(chapter)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}  # no widget state
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.get("name") != "stderr"
            assert {kind.removeprefix(GLUED) for kind in output.get("data", {})} <= set(MIME_TYPES)
            words = str(output.get("data", output.get("text")))
            assert not re.search(r"0x[0-9a-f]{6,}|/(home|tmp|root|Users)/|[A-Z]:\\\\", words), words


@each_chapter
def test_every_code_cell_was_run_and_most_are_compared(chapter: Path, capsys: pytest.CaptureFixture) -> None:
    cells = code_cells(read(chapter))
    share = share_compared(read(chapter))
    with capsys.disabled():
        print(f"\n{chapter.stem}: {share:.0%} of {len(cells)} code cells compare their output", end=" ")
    # nbval does not compare a cell without a count, and does not say so.
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert share >= LEAST_COMPARED


# --- nbval goes red


def falsified(notebook: NotebookNode) -> NotebookNode:
    """The same notebook with its last stored text output altered by one letter."""
    result = copy.deepcopy(notebook)
    output = [output for cell in code_cells(result) for output in cell.outputs][-1]
    if "text" in output:
        output.text += "x"
    else:
        output.data["text/plain"] += "x"
    return result


def nbval(folder: Path, **notebooks: NotebookNode) -> dict[str, int]:
    """Run notebooks under nbval with the book's own conftest; how many cells of each failed."""
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text(encoding="utf8"), encoding="utf8")
    for name, notebook in notebooks.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-cell-timeout=120", "-p", "no:cacheprovider", "-rA"]
    result = subprocess.run([*command, "--rootdir", folder, folder], capture_output=True, text=True, cwd=folder)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    assert "passed" in result.stdout
    return {name: len(re.findall(rf"^FAILED {name}.ipynb::", result.stdout, re.MULTILINE)) for name in notebooks}


def test_nbval_sees_each_kind_of_false_output(tmp_path: Path) -> None:
    """A printed line, a value and a formula. A cell without a count slips through: hence the test of counts above."""
    sources = ["print('two', 2)", "1 + 1", "from IPython.display import Latex\nLatex('$2$')"]
    true = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    for count, cell in enumerate(true.cells, start=1):
        cell.execution_count = count
    value = {"output_type": "execute_result", "execution_count": 2, "data": {"text/plain": "2"}, "metadata": {}}
    formula = {"text/latex": "$2$", "text/plain": "<IPython.core.display.Latex object>"}
    true.cells[0].outputs = [nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": "two 2\n"})]
    true.cells[1].outputs = [nbformat.from_dict(value)]
    true.cells[2].outputs = [nbformat.from_dict({**value, "execution_count": 3, "data": formula})]

    false = copy.deepcopy(true)
    false.cells[0].outputs[0].text = "two 3\n"
    false.cells[1].outputs[0].data["text/plain"] = "3"
    false.cells[2].outputs[0].data["text/latex"] = "$3$"
    not_run = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    assert nbval(tmp_path, true=true, false=false, not_run=not_run) == {"true": 0, "false": 3, "not_run": 0}
    assert share_compared(true) == 1
    assert share_compared(not_run) == 0


@each_chapter
def test_nbval_goes_red_when_a_chapter_is_falsified(chapter: Path, tmp_path: Path) -> None:
    """The chapter as far as its first output, which needs no training: once as it is, once falsified."""
    notebook = read(chapter)
    last = next(number for number, cell in enumerate(notebook.cells) if cell.get("outputs"))
    notebook.cells = notebook.cells[: last + 1]
    assert nbval(tmp_path, true=notebook, false=falsified(notebook)) == {"true": 0, "false": 1}
