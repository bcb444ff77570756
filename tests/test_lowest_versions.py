"""The package with the lowest versions that `pyproject.toml` declares, on the lowest Python."""

from __future__ import annotations

import os
import re
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
LINES = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dask"]]
# Only PyTorch's own index has old versions without gigabytes of CUDA; elsewhere the installed one is taken.
TORCH = "download.pytorch.org/whl/cpu" in os.environ.get("PIP_EXTRA_INDEX_URL", "")
# What asks the package alone, without clusters and the kernels of a class, which take long.
ROOMS = ("marker", "mathematics", "figures", "evidence/test_equations.py")


def lower_bounds() -> dict[str, str]:
    """The lowest version of each package that counts here."""
    wanted = [one for one in map(Requirement, LINES) if one.marker is None or one.marker.evaluate()]
    bounds = {one.name: part.version for one in wanted for part in one.specifier if part.operator == ">="}
    assert set(bounds) == {one.name for one in wanted}
    return bounds


def test_what_the_book_pins_is_in_the_range_that_the_package_declares() -> None:
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(encoding="utf8"), re.M))
    assert set(lower_bounds()) <= set(pins)
    assert all(one.specifier.contains(pins[one.name]) for one in map(Requirement, LINES))


@pytest.mark.slow
def test_the_tests_of_the_package_pass_with_the_lowest_versions(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if not _is_lowest(sys.version_info[:2]):
        pytest.skip("old packages have no wheels for a newer Python than the lowest")
    made = colab(tmp_path)
    (site_packages(made) / "book.pth").write_text(f"{ROOT}\n", encoding="utf8")
    python = str(made / "bin/python")
    pins = [f"{name}=={version}" for name, version in lower_bounds().items() if TORCH or name != "torch"]
    flags = ["--quiet", "--ignore-installed", "--no-compile", "--only-binary=:all:", "--no-warn-conflicts"]
    done = subprocess.run([python, "-m", "pip", "install", *flags, *pins], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install the lowest versions here: {done.stderr.strip()[-300:]}")
    rooms = [f"tests/{room}" for room in ROOMS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    seed = f"--sample-seed={pytestconfig.getoption('--sample-seed')}"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "1", seed, *rooms]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def _is_lowest(version: tuple[int, int]) -> bool:
    supported = SpecifierSet(PROJECT["requires-python"])
    return supported.contains("{}.{}".format(*version)) and not supported.contains(f"{version[0]}.{version[1] - 1}")
