"""The package with the lowest versions that `pyproject.toml` declares, on the lowest Python."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from colab import colab, site_packages
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
# Only PyTorch's own index has old versions without gigabytes of CUDA; elsewhere the installed one is taken.
TORCH = "download.pytorch.org/whl/cpu" in os.environ.get("PIP_EXTRA_INDEX_URL", "")
ROOMS = ("marker", "mathematics", "figures", "classroom/test_judge.py", "experiments/test_parallel.py")


def lowest(lines: list[str]) -> list[str]:
    """Each requirement at the lower bound that it declares."""
    wanted = [Requirement(line) for line in lines]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    bounds = {one.name: part.version for one in wanted for part in one.specifier if part.operator in (">=", "==")}
    assert set(bounds) == {one.name for one in wanted}
    return [f"{name}=={version}" for name, version in bounds.items()]


def test_each_requirement_has_a_lower_bound():
    assert "numpy==1.26" in lowest(PROJECT["dependencies"])


@pytest.mark.slow
def test_the_tests_of_the_package_pass_with_the_lowest_versions(tmp_path):
    if sys.version_info[:2] != min(map(_version, SpecifierSet(PROJECT["requires-python"]))):
        pytest.skip("old packages have no wheels for a newer Python than the lowest")
    made = colab(tmp_path)
    (site_packages(made) / "book.pth").write_text(f"{ROOT}\n", encoding="utf8")
    pins = [
        pin
        for pin in lowest([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dask"]])
        if TORCH or "torch" not in pin
    ]
    python = str(made / "bin/python")
    flags = ["--quiet", "--ignore-installed", "--no-compile", "--only-binary=:all:", "--no-warn-conflicts"]
    done = subprocess.run([python, "-m", "pip", "install", *flags, *pins], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install the lowest versions here: {done.stderr.strip()[-300:]}")
    rooms = [f"tests/{room}" for room in ROOMS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *rooms]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def _version(part) -> tuple[int, ...]:
    return tuple(map(int, part.version.split(".")))
