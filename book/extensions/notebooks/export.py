"""Write `book/X.ipynb` from `book/X.md`: the same words, numbers and code for Jupyter, Colab, GitHub and nbval.

    python -m book.extensions.notebooks.export [--check | --keep-outputs] [chapter ...]

The code cells are run once. Then Sphinx reads the book with these outputs, so that glued values, figure numbers and
references are those of the page, and each page is written as Markdown cells and code cells. `--check` runs nothing: it
writes the cells anew from the stored outputs and exits 1 at the first cell that differs from the file. `--keep-outputs`
runs nothing either, for a change of words alone: it keeps the stored outputs, and refuses where the code is another.
"""

import argparse
import copy
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode, ValidationError
from nbformat.reader import NotJSONError

from book.extensions.notebooks.reader import MIME_TYPES, Book, Chapter, open_book, read_config
from book.extensions.notebooks.translator import ExportError, Piece, leaks

CELL_TIMEOUT = 300  # seconds
# As in `conftest.py`: nbval must find what was stored here.
ENVIRONMENT = {"GRADELIB_STATIC": "1", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
GLUED = "application/papermill.record/"  # myst-nb stores a glued value under this prefix
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# How JupyterLab and Colab fold a cell; Colab then shows the `# @title` of its first line.
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


# --- cells


def set_up_cell(config: dict) -> NotebookNode:
    """The first cell of every notebook, from `_config.yml` alone."""
    repository = config.get("repository") or {}
    if not repository.get("url"):
        raise ExportError("_config.yml: `repository: url:` is missing; the set-up cell needs it.")
    package = f"{repository['url'].rstrip('/')}/archive/refs/heads/{repository.get('branch', 'main')}.zip"
    return nbformat.v4.new_code_cell(SET_UP.format(package=package), metadata=copy.deepcopy(FOLDED_CODE))


def code_cell(source: str, metadata: dict, solution: str = "") -> NotebookNode:
    """A code cell with its tags; the code of a solution is folded and says whose it is."""
    tags = list(metadata.get("tags", []))
    result = nbformat.v4.new_code_cell(source, metadata={"tags": tags} if tags else {})
    if solution:
        # The reader sees this code in the folded text above; the cell is there to be run.
        result.source = f"# @title {solution}: the code above, to run\n{source}"
        result.metadata.update(copy.deepcopy(FOLDED))
    elif hidden := _hidden(tags):
        result.metadata["jupyter"] = hidden
    return result


def _hidden(tags: list[str]) -> dict[str, bool]:
    """What a page hides or leaves out is folded in a notebook, where it must still run."""
    words = {tag.replace("remove", "hide") for tag in tags}
    kinds = {"source_hidden": {"hide-input", "hide-cell"}, "outputs_hidden": {"hide-output", "hide-cell"}}
    return {name: True for name, marks in kinds.items() if marks & words}


def assemble(chapter: Chapter, found: list[Piece], set_up: NotebookNode) -> tuple[NotebookNode, list[int]]:
    """The notebook with its stored outputs, and for each of its cells the line of the source where it begins."""
    cells, lines = [set_up], [1]
    for group in _groups(_with_unseen(chapter, found)):
        first = group[0]
        lines.append(first.line)
        if first.cell is None:
            cells.append(nbformat.v4.new_markdown_cell("\n\n".join(piece.text for piece in group)))
        else:
            source = chapter.cells[first.cell]
            cells.append(code_cell(source.source, source.metadata, first.solution))
            cells[-1].outputs = chapter.outputs.get(first.cell, [])
    _number(cells, chapter.docname)
    return nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA)), lines


def _with_unseen(chapter: Chapter, found: list[Piece]) -> Iterator[Piece]:
    """The pieces, and between them the code cells that the page leaves out: a run needs them in their places."""
    seen = {piece.cell for piece in found}
    unseen = [Piece(cell=index, line=chapter.lines[index]) for index in chapter.code if index not in seen]
    for piece in found:
        while unseen and unseen[0].line < piece.line:
            yield unseen.pop(0)
        yield piece
    yield from unseen


def _groups(found: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Blocks that share a Markdown cell; a heading and a code cell each begin anew."""
    group: list[Piece] = []
    for piece in found:
        if group and (piece.opens or piece.cell is not None or group[0].cell is not None):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


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
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count


# --- outputs


def run(chapter: Chapter, set_up: NotebookNode) -> dict[int, list[NotebookNode]]:
    """Run the chapter in a fresh kernel; the text outputs of each code cell."""
    indices = list(chapter.code)
    cells = [set_up, *(code_cell(chapter.cells[i].source, chapter.cells[i].metadata) for i in indices)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(chapter.source.parent)}},
    )
    with client.setup_kernel(env={**os.environ, **ENVIRONMENT}):
        for position, cell in enumerate(cells):
            line = chapter.lines[indices[position - 1]] if position else 1
            try:
                client.execute_cell(cell, position)
            except CellExecutionError as error:
                raise ExportError(
                    f"{chapter.source}:{line}: this cell failed: {error.ename}: {error.evalue}"
                ) from error
            except (CellTimeoutError, DeadKernelError) as error:
                raise ExportError(f"{chapter.source}:{line}: this cell was cut off: {error}") from error
            for output in cell.outputs:
                if output.get("name") == "stderr":
                    raise ExportError(f"{chapter.source}:{line}: this cell writes to stderr: {output.text.strip()}")
    return {index: text_outputs(cell.outputs) for index, cell in zip(indices, cells[1:], strict=True)}


def text_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Only what is text and the same in every run: no pictures, no HTML, no widgets, no tracebacks with paths."""
    kept = []
    for output in copy.deepcopy(outputs):
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if "data" in output:
            output.data = {kind: data for kind, data in output.data.items() if kind.removeprefix(GLUED) in MIME_TYPES}
            output.metadata = {name: value for name, value in output.metadata.items() if name == "scrapbook"}
        if output.get("data", True):
            kept.append(output)
    return kept


def committed(chapter: Chapter) -> NotebookNode:
    """The notebook that stands beside the source."""
    try:
        return nbformat.read(chapter.target, as_version=4)
    except (NotJSONError, ValidationError) as error:
        raise ExportError(f"{chapter.target}: this is no notebook; run `make notebooks`.") from error


def stored(chapter: Chapter) -> dict[int, list[NotebookNode]]:
    """The outputs in the committed notebook, as far as its code cells are those of the source."""
    if not chapter.target.exists():
        return {}
    cells = [cell for cell in committed(chapter).cells if cell.cell_type == "code"][1:]
    return {index: cell.outputs for index, cell in zip(chapter.code, cells, strict=False)}


# --- the two commands


def notebooks(book: Book, chosen: list[Chapter]) -> Iterator[tuple[Chapter, NotebookNode, list[int]]]:
    """The notebook of each chosen chapter, from the outputs that the chapters hold."""
    for chapter, found in zip(chosen, book.pieces(chosen), strict=True):
        for piece in found:
            if left := leaks(piece.text):
                raise ExportError(f"{chapter.source}:{piece.line}: the text from here on leaves {left[0]}.")
        notebook, lines = assemble(chapter, found, set_up_cell(read_config(book.root)))
        nbformat.validate(notebook)
        yield chapter, notebook, lines


def write(book: Book, chosen: list[Chapter]) -> None:
    for chapter in book.chapters.values():
        chapter.outputs = stored(chapter)
    _run_all(book, chosen)
    _save(book, chosen)


def rewrite(book: Book, chosen: list[Chapter]) -> None:
    """Write the words of chapters anew around their stored outputs; raise ExportError where the code has changed."""
    for chapter in chosen:
        _compare_code(chapter)
    for chapter in book.chapters.values():
        chapter.outputs = stored(chapter)
    _save(book, chosen)


def _run_all(book: Book, chosen: list[Chapter]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as kernels:  # the work is done in the kernels, each a process
        results = kernels.map(lambda chapter: run(chapter, set_up_cell(read_config(book.root))), chosen)
        for chapter, outputs in zip(chosen, results, strict=True):
            chapter.outputs = outputs


def _save(book: Book, chosen: list[Chapter]) -> None:
    for chapter, notebook, _ in notebooks(book, chosen):
        chapter.target.write_text(nbformat.writes(notebook) + "\n", encoding="utf8")
        size = chapter.target.stat().st_size / 1000
        print(f"{chapter.target.relative_to(book.root)}: {len(notebook.cells)} cells, {size:.1f} kB")


def check(book: Book, chosen: list[Chapter]) -> None:
    """Raise ExportError at the first cell of a committed notebook that its source would not give."""
    for chapter in chosen:
        _compare_code(chapter)
    for chapter in book.chapters.values():
        chapter.outputs = stored(chapter)
    for chapter, notebook, lines in notebooks(book, chosen):
        _compare(chapter, notebook, lines)


def _compare_code(chapter: Chapter) -> None:
    """New code may glue new values into the text, so that the text can be compared only when the code is the same."""
    if not chapter.target.exists():
        raise ExportError(f"{chapter.target}: this notebook is missing; run `make notebooks`.")
    old = [_untitled(cell.source) for cell in committed(chapter).cells if cell.cell_type == "code"][1:]
    for index, then in zip_longest(chapter.code, old):
        if index is None or _untitled(chapter.code[index]) != then:
            line = chapter.lines[-1 if index is None else index]
            raise ExportError(f"{chapter.source}:{line}: {chapter.target} has other code here; run `make notebooks`.")


def _untitled(code: str) -> str:
    return code.split("\n", 1)[-1] if code.startswith("# @title") else code


def _compare(chapter: Chapter, notebook: NotebookNode, lines: list[int]) -> None:
    old = committed(chapter)
    pairs = zip_longest(notebook.cells, old.cells)
    number = next((number for number, (new, then) in enumerate(pairs) if new != then), None)
    if number is not None:
        line = lines[min(number, len(lines) - 1)]
        raise ExportError(f"{chapter.source}:{line}: {chapter.target} is stale at cell {number}; run `make notebooks`.")
    if notebook.metadata != old.metadata:
        raise ExportError(f"{chapter.source}:1: {chapter.target} is stale in its metadata; run `make notebooks`.")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", help="names such as 06-optimal-covariance; all when none is given")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare instead of writing")
    mode.add_argument("--keep-outputs", action="store_true", help="write the words anew and run nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[3], help="the folder of _config.yml")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        with open_book(root) as book:
            chosen = book.choose(options.chapters)
            command = check if options.check else rewrite if options.keep_outputs else write
            command(book, chosen)
    except ExportError as error:
        print(str(error).replace(f"{root}/", ""), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
