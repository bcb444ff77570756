"""The verdict of the kernel is the verdict of the report, for every way in which a notebook comes to call `check`.

Each notebook is run in a real kernel, in which `check` writes down what it says, and is marked at the kernel's own
points. `notebooks.json` has those on which a marker that looks at code, instead of running it, goes wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpora import some_of
from handed_in import code, hand_in
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from gradelib import exercises
from gradelib.classroom import Limits, Marker, sandbox_problem

NOTEBOOKS = json.loads(Path(__file__).with_name("notebooks.json").read_text(encoding="utf8"))
KINDS = [kind for kind, members in NOTEBOOKS.items() if isinstance(members, dict)]
ASKED = ("opt-var-1d", "inverse-metric", "opt-cov", "optimal-variances", "kl-standard-normal", "what-training-leaves")

# In the kernel: `check` as it is, which writes down what it said.
TOLD = """
import functools, sys, warnings
import gradelib, gradelib.marker.check, torch
from IPython import get_ipython

said, plain = [], gradelib.marker.check.check

@functools.wraps(plain)
def check(*arguments, **named):
    result = plain(*arguments, **named)
    said.append([result.exercise, result.state, result.text, result.mistake])
    return result

def anew():
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    warnings.resetwarnings()
    for module in (gradelib, gradelib.marker.check):
        vars(module)["check"] = check
    get_ipython().run_line_magic("autocall", "0")
    get_ipython().reset(new_session=True, aggressive=False)
"""


class Kernel:
    """A kernel that runs one notebook after another."""

    def __init__(self, folder: Path) -> None:
        (folder / "told.py").write_text(TOLD)
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def ask(self, source: str, value: str = "None") -> Any:
        """Run a cell; then what an expression gives."""
        client: BlockingKernelClient = self.client
        reply = client.execute(source, user_expressions={"value": value}, reply=True, timeout=120, stop_on_error=False)
        found = reply["content"].get("user_expressions", {}).get("value")
        if found is None:  # the cell raised
            return self.ask("", value) if value != "None" else None
        return eval(found["data"]["text/plain"])

    def said(self, cells: list[dict[str, Any]]) -> dict[str, list[str]]:
        """The last verdict on each exercise that was answered, of the cells that are no solutions."""
        self.ask("", "__import__('told').anew()")
        verdicts: dict[str, list[str]] = {}
        for cell in cells:
            self.ask("", "__import__('told').said.clear()")
            for verdict in self.ask(cell["source"], "__import__('told').said"):
                if "solution" not in cell["metadata"]["tags"] and (
                    verdict[1] != "unanswered" or verdict[0] not in verdicts
                ):
                    verdicts[verdict[0]] = verdict
        return verdicts


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    made = Kernel(tmp_path_factory.mktemp("kernel"))
    yield made
    made.client.stop_channels()
    made.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def marker() -> Iterator[Marker]:
    with Marker(ASKED, seed=0, sandbox=sandbox_problem() is None, limits=Limits(seconds=30)) as warm:
        yield warm


def cells_of(kind: str, name: str) -> list[dict[str, Any]]:
    cells = [NOTEBOOKS["imports"], *NOTEBOOKS[kind][name]]
    parts = [cell if isinstance(cell, dict) else {"source": cell} for cell in cells]
    return [code("\n".join(part["source"]), *part.get("tags", ())) for part in parts]


def reported(marker: Marker, folder: Path, cells: list[dict[str, Any]]) -> dict[str, list[Any]]:
    marked = marker.mark(hand_in(folder, *cells))
    return {mark.exercise: [mark.exercise, mark.state, mark.text, mark.mistake] for mark in marked.marks}


MEMBERS = [(kind, name) for kind in KINDS if kind != "solutions" for name in NOTEBOOKS[kind]]


@pytest.mark.sampled
@pytest.mark.parametrize(("kind", "name"), some_of(MEMBERS, 5))
def test_the_report_says_what_the_kernel_said(
    kernel: Kernel, marker: Marker, tmp_path: Path, kind: str, name: str
) -> None:
    cells = cells_of(kind, name)
    told = kernel.said(cells)
    report = reported(marker, tmp_path, cells)
    told.pop("unknown", None)
    for verdict in told.values():
        if verdict[1] == "unanswered" and report[verdict[0]][1] == "unanswered":
            verdict[2] = report[verdict[0]][2]  # a stub's sentence, or why there is no answer
    assert {name: report[name] for name in told} == told
    others = {verdict[1] for name, verdict in report.items() if name not in told}
    assert others <= {"unanswered", "unreadable"}


@pytest.mark.parametrize("name", NOTEBOOKS["solutions"])
def test_an_answer_in_a_solutions_cell_does_not_count_and_is_told_so(marker: Marker, tmp_path: Path, name: str) -> None:
    report = reported(marker, tmp_path, cells_of("solutions", name))
    told = report["opt-cov" if "function" in name else "opt-var-1d"]
    assert told[1] == "unanswered"
    assert "the cell of the solution does not count" in told[2]


def test_every_kind_has_ten_members_and_more() -> None:
    assert all(len(NOTEBOOKS[kind]) > 10 for kind in KINDS)
    assert set(ASKED) <= {*exercises.ids()}
