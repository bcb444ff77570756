"""The committed notebooks: in step with their sources, small, run, and really compared by nbval."""

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
import small_book
import yaml
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError

from book.extensions import chapter_sources
from book.extensions.notebooks.builder import NotebookCheckBuilder
from book.extensions.notebooks.export import export
from book.extensions.notebooks.markdown import find_myst
from book.extensions.notebooks.notebook import GLUED, MIME_TYPES, code_cells, read_notebook, set_up_cell
from gradelib._kernel import ENVIRONMENT

ROOT = Path(__file__).parents[2]
CHAPTERS = chapter_sources(ROOT)
MOST_BYTES = 112_000
LEAST_COMPARED = 0.8
REASON = re.compile(r"^# NBVAL_\w+: \w", re.MULTILINE)  # beside the tag, for the reader: why nbval looks away

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def read(chapter: Path) -> NotebookNode:
    return read_notebook(chapter.with_suffix(".ipynb"))


# --- every chapter


def test_nbval_runs_cells_in_the_environment_in_which_they_were_stored() -> None:
    assert {name: os.environ.get(name) for name in ENVIRONMENT} == ENVIRONMENT


def test_there_are_chapters() -> None:
    assert CHAPTERS


def test_every_notebook_is_in_step_with_its_source(request: pytest.FixtureRequest) -> None:
    """And with the outputs of the built book, which has read all sources; `make quick` needs no built book."""
    if request.config.getoption("--within"):
        assert export(ROOT, [], only_check=True)
        return
    request.getfixturevalue("built_book")
    done = small_book.build(ROOT, "--builder", "custom", "--custom-builder", NotebookCheckBuilder.name)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_every_notebook_is_in_step_without_a_built_book() -> None:
    assert export(ROOT, [], only_check=True)


@each_chapter
def test_a_notebook_is_small_and_its_text_is_plain(chapter: Path) -> None:
    notebook = read(chapter)
    assert chapter.with_suffix(".ipynb").stat().st_size < MOST_BYTES
    assert [left for cell in notebook.cells if cell.cell_type == "markdown" for left in find_myst(cell.source)] == []
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]
    assert notebook.cells[0].source == set_up_cell(repository["url"], repository["branch"]).source


@each_chapter
def test_a_notebook_holds_text_outputs_that_every_machine_repeats(chapter: Path) -> None:
    notebook = read(chapter)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}  # no widget state
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))  # else nbval compares nothing
    for cell in cells:
        for output in cell.outputs:
            assert output.get("name") != "stderr"
            assert {kind.removeprefix(GLUED) for kind in output.get("data", {})} <= set(MIME_TYPES)
            words = str(output.get("data", output.get("text")))
            assert not re.search(r"0x[0-9a-f]{6,}|/(home|tmp|root|Users)/|[A-Z]:\\\\", words), words


# --- every output of every chapter goes red when it is falsified


class Recorded:
    """Stands in the place of a kernel and says what it is told, so that nbval compares without a run."""

    def __init__(self, outputs: list[NotebookNode]) -> None:
        said = [(output.output_type, output) for output in copy.deepcopy(outputs)]
        self.messages = iter([*said, ("status", {"execution_state": "idle"})])

    def is_alive(self) -> bool:
        return True

    def execute_cell_input(self, *_: object, **__: object) -> str:
        return "the cell"

    def await_reply(self, *_: object, **__: object) -> None:
        """There is nothing to wait for."""

    def get_message(self, *_: object, **__: object) -> dict:
        kind, content = next(self.messages)
        return {"msg_type": kind, "parent_header": {"msg_id": "the cell"}, "content": content}


def collected(notebook: Path, session: pytest.Session) -> list[IPyNbCell]:
    """The code cells as nbval collects them, with the book's rules of comparison."""
    file = IPyNbFile.from_parent(session, path=notebook)
    session.config.hook.pytest_collectstart(collector=file)  # the conftest.py of the book
    file.setup_sanitize_files()
    return list(file.collect())


def goes_red(item: IPyNbCell, said: list[NotebookNode], stored: list[NotebookNode]) -> bool:
    """Whether nbval refuses a cell that says one thing where another is stored."""
    item.parent.kernel = Recorded(said)
    item.cell.outputs = copy.deepcopy(stored)
    try:
        item.runtest()
    except NbCellError as error:
        return str(error) == "Cell outputs differ"
    return False


def one_off(text: str) -> str:
    """The text with its last digit altered; with its last character where it has no digit."""
    places = [match.start() for match in re.finditer(r"\d", text)] or [len(text) - 1]
    return text[: places[-1]] + ("1" if text[places[-1]] == "0" else "0") + text[places[-1] + 1 :]


def falsified(outputs: list[NotebookNode]) -> Iterator[list[NotebookNode]]:
    """These outputs with one thing false, in each way: a text is one off, an output is missing or one too many."""
    for place, output in enumerate(outputs):
        yield outputs[:place] + outputs[place + 1 :]
        for kind in output.get("data", ["text"]):
            false = copy.deepcopy(outputs)
            texts = false[place].get("data", false[place])
            texts[kind] = one_off(texts[kind])
            yield false
    yield [*outputs, nbformat.v4.new_output("stream", text="too many")]


def compared(items: list[IPyNbCell]) -> dict[IPyNbCell, int]:
    """The cells of which nbval sees each falsification, and how many that are."""
    seen = {}
    for item in items:
        stored = item.cell.outputs
        assert not goes_red(item, stored, stored)
        red = [goes_red(item, stored, false) for false in falsified(stored)]
        if all(red):
            seen[item] = len(red)
    return seen


@each_chapter
def test_every_output_is_compared_or_says_why_not(
    chapter: Path, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    items = collected(chapter.with_suffix(".ipynb"), request.session)
    speak = sum(bool(item.cell.outputs) for item in items)
    red = compared(items)
    share = len(red) / len(items)
    about = f"{share:.0%} of {len(items)} code cells are compared ({speak} have an output)"
    record_property("measured", f"{chapter.stem}: {about}, {sum(red.values())} falsifications went red")
    assert [item.cell.source for item in items if item not in red and not REASON.search(item.cell.source)] == []
    assert share >= LEAST_COMPARED


def planted() -> NotebookNode:
    """Three cells, as run: a printed line, a value and a formula."""
    sources = ["print('two', 2)", "1 + 1", "from IPython.display import Latex\nLatex('$2$')"]
    formula = {"text/latex": "$2$", "text/plain": "<IPython.core.display.Latex object>"}
    outputs = [
        nbformat.v4.new_output("stream", text="two 2\n"),
        nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=2),
        nbformat.v4.new_output("execute_result", formula, execution_count=3),
    ]
    cells = [
        nbformat.v4.new_code_cell(source, outputs=[output], execution_count=count)
        for count, (source, output) in enumerate(zip(sources, outputs, strict=True), start=1)
    ]
    return nbformat.v4.new_notebook(cells=cells)


def test_a_cell_that_is_not_compared_is_found(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A cell that was not run, with no output to its name, passes whatever it says; so does one with a tag."""
    notebook = planted()
    notebook.cells[0].update(execution_count=None, outputs=[])
    notebook.cells[1].metadata.tags = ["nbval-ignore-output"]
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    items = collected(tmp_path / "planted.ipynb", request.session)
    assert compared(items) == {items[2]: 4}  # either text one off, the output missing, and one too many


# --- the same with a kernel


def nbval(folder: Path, **notebooks: NotebookNode) -> dict[str, list[int]]:
    """Run notebooks under nbval with the book's own conftest; the numbers of the code cells that failed in each."""
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text(encoding="utf8"), encoding="utf8")
    for name, notebook in notebooks.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-cell-timeout=120", "-p", "no:cacheprovider", "-rA"]
    result = subprocess.run([*command, "--rootdir", folder, folder], capture_output=True, text=True, cwd=folder)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    assert "passed" in result.stdout
    failed = {name: re.findall(rf"^FAILED {name}.ipynb::Cell (\d+)", result.stdout, re.MULTILINE) for name in notebooks}
    return {name: [int(number) for number in numbers] for name, numbers in failed.items()}


def spoil(notebook: NotebookNode, numbers: list[int]) -> NotebookNode:
    """The same notebook with the stored text of these code cells one off."""
    result = copy.deepcopy(notebook)
    for number in numbers:
        output = code_cells(result)[number].outputs[-1]
        texts = output.get("data", output)
        kind = next(kind for kind in ("text/latex", "text/plain", "text") if kind in texts)
        texts[kind] = one_off(texts[kind])
    return result


def test_nbval_sees_each_kind_of_false_output(tmp_path: Path) -> None:
    """A printed line, a value and a formula. A cell without a count slips through: hence the test of counts."""
    true, not_run = planted(), nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    red = nbval(tmp_path, true=true, false=spoil(true, [0, 1, 2]), not_run=not_run)
    assert red == {"true": [], "false": [0, 1, 2], "not_run": []}


@pytest.mark.slow
def test_nbval_goes_red_in_the_falsified_cells_of_a_chapter_alone(tmp_path: Path) -> None:
    """The first third of a chapter with every other stored output one off."""
    notebook = read(CHAPTERS[5])
    notebook.cells = notebook.cells[: len(notebook.cells) // 3]
    numbers = [number for number, cell in enumerate(code_cells(notebook)) if cell.outputs][::2]
    assert len(numbers) > 4
    assert nbval(tmp_path, false=spoil(notebook, numbers)) == {"false": numbers}
