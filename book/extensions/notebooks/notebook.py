"""The cells of a notebook: the set-up cell, folded code, outputs in words, and ids that depend on the words alone."""

from __future__ import annotations

import copy
import hashlib
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.reader import NotJSONError
from nbval.plugin import coalesce_streams

from book.extensions.notebooks.chapter import NotebookError

# nbval compares these forms of an output; pictures, HTML and widgets are not the same on every machine.
MIME_TYPES = ("text/plain", "text/latex", "text/markdown")
GLUED = "application/papermill.record/"  # MyST-NB stores a glued value under this prefix
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# How JupyterLab and Colab fold a cell; Colab then shows the `# @title` of its first line.
TITLE = "# @title"
FOLDED_CODE = {"cellView": "form", "jupyter": {"source_hidden": True}}
FOLDED = {"cellView": "form", "jupyter": {"outputs_hidden": True, "source_hidden": True}}

SET_UP = """\
# @title Set-up: on Colab and Binder this fetches the book's package; elsewhere it does nothing
import importlib.util

if importlib.util.find_spec("gradelib") is None:
    import subprocess
    import sys

    package = "{package}"
    # With its dependencies pip might replace the host's torch; without them it takes seconds.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--retries", "1", package]
    if subprocess.run(pip, capture_output=True).returncode:
        print(f"The set-up could not fetch {{package}}: is this machine online?")
    importlib.invalidate_caches()"""


def set_up_cell(repository: str, branch: str) -> NotebookNode:
    """The first cell of every notebook; `repository` is the address of one on GitHub."""
    package = f"{repository.rstrip('/')}/archive/refs/heads/{branch}.zip"
    return nbformat.v4.new_code_cell(SET_UP.format(package=package), metadata=copy.deepcopy(FOLDED_CODE))


def code_cell(cell: NotebookNode, solution: str = "") -> NotebookNode:
    """A code cell with its tags and its text outputs; the code of a solution is folded and says whose it is."""
    tags = list(cell.metadata.get("tags", []))
    result = nbformat.v4.new_code_cell(cell.source, metadata={"tags": tags} if tags else {})
    result.outputs = text_outputs(cell.get("outputs", []))
    if solution:
        # The reader sees this code in the folded text above; the cell is there to be run.
        result.source = f"{TITLE} {solution}: the code above, to run\n{cell.source}"
        result.metadata.update(copy.deepcopy(FOLDED))
    elif hidden := _hidden(tags):
        result.metadata["jupyter"] = hidden
    return result


def _hidden(tags: list[str]) -> dict[str, bool]:
    """What a page hides or leaves out is folded in a notebook, where it must still run."""
    words = {tag.replace("remove", "hide") for tag in tags}
    kinds = {"source_hidden": {"hide-input", "hide-cell"}, "outputs_hidden": {"hide-output", "hide-cell"}}
    return {name: True for name, marks in kinds.items() if marks & words}


def text_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What is text and the same in every run: no pictures, no HTML, no widgets, no tracebacks with paths.

    Streams of one name are one output, as nbval joins them before it compares.
    """
    kept = []
    for output in coalesce_streams(copy.deepcopy(outputs)):
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if "data" in output:
            output.data = {kind: data for kind, data in output.data.items() if kind.removeprefix(GLUED) in MIME_TYPES}
            output.metadata = {name: value for name, value in output.metadata.items() if name == "scrapbook"}
        if output.get("data", True):
            kept.append(output)
    return kept


def new_notebook(cells: list[NotebookNode], name: str) -> NotebookNode:
    """A valid notebook of these cells, numbered; the ids of cells differ from those of notebooks of other names."""
    _number(cells, name)
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))
    nbformat.validate(notebook)
    return notebook


def _number(cells: list[NotebookNode], name: str) -> None:
    """Give each cell an id that depends on its words alone, and each code cell its place in the run."""
    seen: dict[str, int] = {}
    count = 0
    for cell in cells:
        words = f"{name}\n{cell.cell_type}\n{cell.source}"
        seen[words] = seen.get(words, 0) + 1
        cell.id = hashlib.sha256(f"{words}\n{seen[words]}".encode()).hexdigest()[:12]
        if cell.cell_type == "code":
            count += 1
            _count(cell, count)


def _count(cell: NotebookNode, count: int) -> None:
    cell.execution_count = count
    for output in cell.outputs:
        if output.output_type == "execute_result":
            output.execution_count = count


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells of a notebook, the set-up cell among them."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def untitled(code: str) -> str:
    """The code of a cell without the title that `code_cell` gives to solutions."""
    return code.split("\n", 1)[-1] if code.startswith(TITLE) else code


def read_notebook(path: Path) -> NotebookNode:
    """A notebook of format 4; raises NotebookError where there is none."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError as error:
        raise NotebookError(f"{path}: this notebook is missing; run `make notebooks`.") from error
    except (NotJSONError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path}: this is no notebook; run `make notebooks`.") from error


def serialize(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook) + "\n"


def first_difference(one: NotebookNode, other: NotebookNode) -> int | None:
    """The number of the first cell in which two notebooks differ; None where all cells are the same."""
    pairs = enumerate(zip_longest(one.cells, other.cells))
    return next((number for number, (here, there) in pairs if here != there), None)
