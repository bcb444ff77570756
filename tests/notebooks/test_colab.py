"""The notebook away from home: on a simulated Colab, which has torch but not the book's package, and on Binder.

Colab is a fresh environment that sees the packages of this one except `gradelib`, a kernel there, and a server on this
machine in the place of the network. pip builds the package as it does on Colab, in an environment of its own, for which
the server offers the setuptools that is installed here.
"""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata, util
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from colab import colab, site_packages
from nbclient import NotebookClient
from nbformat import NotebookNode
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from book.extensions.notebooks.notebook import code_cells, read_notebook, text_outputs

slow = pytest.mark.slow  # pip builds the package, and a whole chapter is run
ROOT = Path(__file__).parents[2]
CHAPTER = ROOT / "book" / "06-optimal-covariance.ipynb"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
ARCHIVE = "/main.zip"
# Where torch is, and which one, in words that a notebook can print.
PROBE = """\
from pathlib import Path
import gradelib, torch
print(torch.__version__, Path(torch.__file__).resolve(), Path(gradelib.__file__).resolve(), sep="\\n")"""


# --- what the network would send


def archive() -> bytes:
    """The working tree as GitHub packs it: a zip file with one folder."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for folder, folders, files in os.walk(ROOT):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith((".", "_build", "__pycache__")) and not name.endswith(".egg-info")
            )
            for path in (Path(folder, name) for name in sorted(files) if name[0] != "."):
                file.write(path, Path("book-main", path.relative_to(ROOT)))
    return packed.getvalue()


def wheel(name: str) -> bytes:
    """An installed package of pure Python, packed again."""
    distribution = metadata.distribution(name)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for path in distribution.files or []:
            if ".." not in path.parts and "__pycache__" not in path.parts:
                file.write(distribution.locate_file(path), path.as_posix())
    return packed.getvalue()


def builder() -> tuple[str, bytes]:
    """Name and content of a wheel of setuptools; the test is skipped where pip or setuptools would not do."""
    if util.find_spec("pip") is None:
        pytest.skip("needs pip in this environment")
    [wanted] = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        version = ""
    if not version or not wanted.specifier.contains(version):
        pytest.skip(f"needs {wanted} in this environment, to build the package without a network")
    return f"{wanted.name}-{version}-py3-none-any.whl", wheel(wanted.name)


@dataclass
class Network:
    """A server on this machine: what it offers, and what it was asked for."""

    offers: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Network:
        network = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                network.asked.append(self.path)
                content = network.offers.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                """Say nothing among the test's own words."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


# --- a machine of Colab's


def variables(index: str, cache: Path) -> dict[str, str]:
    """The kernel's environment: nothing that leads Python to the checkout, or pip to another index or a proxy."""
    ours = ("PIP_", "PYTHON", "GRADELIB")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    pip = {"INDEX_URL": index, "CONFIG_FILE": os.devnull, "CACHE_DIR": str(cache), "DISABLE_PIP_VERSION_CHECK": "1"}
    return kept | {f"PIP_{name}": value for name, value in pip.items()} | {"NO_PROXY": "127.0.0.1"}


def on_colab(folder: Path, cells: list[NotebookNode], index: str) -> tuple[list[NotebookNode], float]:
    """Run cells on a fresh machine, with pip's index at an address; the cells run, and the seconds of the first."""
    environment = colab(folder)
    python = [str(environment / "bin/python"), "-m", "ipykernel_launcher", "--IPKernelApp.log_level=ERROR"]
    kernel = {"argv": [*python, "-f", "{connection_file}"], "display_name": "Colab", "language": "python"}
    content, specification = folder / "content", folder / "kernels/colab/kernel.json"
    content.mkdir()
    specification.parent.mkdir(parents=True)
    specification.write_text(json.dumps(kernel), encoding="utf8")
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=cells),
        timeout=300,
        coalesce_streams=True,
        kernel_name="colab",
        resources={"metadata": {"path": str(content)}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        with client.setup_kernel(env=variables(index, folder / "cache")):
            begin = time.perf_counter()
            client.execute_cell(cells[0], 0)
            seconds = time.perf_counter() - begin
            for position, cell in enumerate(cells[1:], start=1):
                client.execute_cell(cell, position)
    return cells, seconds


def set_up_from(address: str) -> NotebookNode:
    """The first cell of the real notebook, with the address of the package replaced."""
    cell = code_cells(read_notebook(CHAPTER))[0]
    cell.source, times = re.subn(r"https://\S+\.zip", address, cell.source)
    assert times == 1
    return cell


def chapter() -> list[NotebookNode]:
    """All code of the chapter, without the set-up."""
    return code_cells(read_notebook(CHAPTER))[1:]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What happens on Colab, from the first cell to the last."""
    folder = tmp_path_factory.mktemp("colab")
    name, content = builder()
    page = f'<a href="/{name}">{name}</a>'.encode()
    with Network({ARCHIVE: archive(), "/simple/setuptools/": page, f"/{name}": content}) as network:
        cells = [set_up_from(network.address + ARCHIVE), *chapter(), nbformat.v4.new_code_cell(PROBE)]
        ran, seconds = on_colab(folder, cells, f"{network.address}/simple/")
    return SimpleNamespace(folder=folder, cells=ran, seconds=seconds, asked=network.asked, wheel=f"/{name}")


@slow
def test_the_first_cell_installs_the_package_and_nothing_else(
    run: SimpleNamespace, record_property: Callable[[str, object], None]
) -> None:
    record_property("measured", f"Colab: the set-up cell took {run.seconds:.1f} s")
    assert run.cells[0].outputs == []
    assert set(run.asked) == {ARCHIVE, "/simple/setuptools/", run.wheel}
    here = site_packages(run.folder / "environment")
    assert {path.name.split("-")[0] for path in here.iterdir()} == {"gradelib", "host.pth"}


@slow
def test_the_package_is_whole(run: SimpleNamespace) -> None:
    """`pyproject.toml` names the packages one by one; a forgotten one would be missing on Colab alone."""
    installed = site_packages(run.folder / "environment") / "gradelib"
    here, there = (
        {path.relative_to(package) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
        for package in (ROOT / "gradelib", installed)
    )
    assert here == there


@slow
def test_the_chapter_says_on_colab_what_is_stored(run: SimpleNamespace) -> None:
    stored = chapter()
    assert len(stored) > 20
    for cell, then in zip(run.cells[1:-1], stored, strict=True):
        assert text_outputs(cell.outputs) == then.outputs, cell.source


@slow
def test_torch_is_untouched(run: SimpleNamespace) -> None:
    version, torch, gradelib = run.cells[-1].outputs[0].text.split("\n")[:3]
    assert version == metadata.version("torch")
    assert Path(torch) == Path(util.find_spec("torch").origin).resolve()
    assert run.folder.resolve() in Path(gradelib).parents


def test_without_a_network_the_first_cell_says_so(tmp_path: Path) -> None:
    with Network({}) as gone:
        address = gone.address
    [cell], _ = on_colab(tmp_path, [set_up_from(address + ARCHIVE)], f"{address}/simple/")
    [output] = cell.outputs
    assert (output.name, output.text) == (
        "stdout",
        f"The set-up could not fetch {address}{ARCHIVE}: is this machine online?\n",
    )


# --- Binder


def pins(path: str) -> dict[str, str]:
    """Package and version of each line of a file of requirements."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / path).read_text(encoding="utf8").splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith("--")]
    return {one.name: str(one.specifier).removeprefix("==") for one in wanted}


def test_binder_has_what_the_package_needs_in_the_versions_of_the_page() -> None:
    needed = {Requirement(line).name for line in PROJECT["project"]["dependencies"]} | {"ipykernel"}
    binder, page = pins(".binder/requirements.txt"), pins("requirements.txt")
    assert set(binder) == needed | {"jupyterlab", "jupyterlab-myst"}
    assert {name: binder[name] for name in needed} == {name: page[name] for name in needed} | {
        "torch": f"{page['torch']}+cpu"  # a version that only the index without CUDA has
    }


def test_binder_finds_what_it_reads() -> None:
    """repo2docker installs `.binder/requirements.txt` before it has any other file, unless it names one."""
    text = (ROOT / ".binder/requirements.txt").read_text(encoding="utf8")
    options = [line for line in text.splitlines() if line.startswith(("-", "."))]
    assert options == ["--extra-index-url https://download.pytorch.org/whl/cpu"]
    runtime = (ROOT / ".binder/runtime.txt").read_text(encoding="utf8").strip()
    assert re.fullmatch(r"python-3\.\d+", runtime)
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(runtime.removeprefix("python-"))
    assert not (ROOT / ".binder/environment.yml").exists()  # it would win over requirements.txt


def test_binder_installs_the_checkout_alone_and_leaves_the_notebooks_plain() -> None:
    script = ROOT / ".binder/postBuild"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf8")
    assert re.search(r"^python -m pip install .*--no-deps \.$", text, re.MULTILINE)
    assert re.search("^jupyter labextension disable jupyterlab-myst$", text, re.MULTILINE)
