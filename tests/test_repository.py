"""What README, CONTRIBUTING, the hooks and the licences say of the repository is so."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from chapter_form import LEAST_OPTIONAL, MOST_OPTIONAL

from book.extensions.site import site_url

ROOT = Path(__file__).parent.parent
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def named_paths(name: str) -> list[str]:
    """The files and folders that a page names in code type; a name without a folder lies in that of the one before."""
    found, folder = [], ""
    for code in " ".join(re.findall(r"`([^`\n]+)`", text(name))).split():
        if re.fullmatch(r"[\w./-]*(/|\w\.(md|py|yml|txt|cff|ipynb|toml))|LICENSE|tests/.*", code):
            here = code if "/" in code or (ROOT / code).exists() else folder + code
            folder = here.rpartition("/")[0] + "/" if "/" in here else ""
            found.append(here)
    return [path for path in found if not path.startswith("_build/")]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_is_named_is_there(page):
    paths = named_paths(page)
    assert len(paths) > 8
    for path in paths:
        pattern = path.replace("NN-name", "[0-9][0-9]-*").replace("NN", "[0-9][0-9]")
        assert list(ROOT.glob(pattern)), f"{page} names {path}"


def test_the_commands_of_make_exist():
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", text("README.md") + text("CONTRIBUTING.md"), re.MULTILINE)
    assert {"book", "test", "words", "notebooks"} <= set(named) <= targets


def test_the_numbers_of_all_chapters_are_printed_by_the_command_that_is_named():
    (module,) = re.findall(r"`\.venv/bin/python -m (tests\.\w+)`", text("CONTRIBUTING.md"))
    done = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(list(ROOT.glob("book/[0-9][0-9]-*.md")))


def test_the_share_that_may_be_optional_is_that_of_the_test():
    least, most = re.search(r"\((\d+) % to (\d+) %\)", text("CONTRIBUTING.md")).groups()
    assert (int(least) / 100, int(most) / 100) == (LEAST_OPTIONAL, MOST_OPTIONAL)


def test_the_readme_links_to_the_published_book():
    config = SimpleNamespace(
        html_baseurl=CONFIG["html"].get("baseurl", ""),
        html_theme_options={"repository_url": CONFIG["repository"]["url"]},
    )
    assert f"<{site_url(config)}>" in text("README.md")


def test_the_index_of_torch_without_cuda_is_that_of_the_workflows():
    lines = {line for path in (ROOT / ".github/workflows").glob("*.yml") for line in text(path).splitlines()}
    indices = {m[1] for line in lines if (m := re.search(r"PIP_EXTRA_INDEX_URL: (\S+)", line))}
    assert indices
    assert all(f"PIP_EXTRA_INDEX_URL={index}" in text("README.md") for index in indices)


def test_the_licences_are_there_and_named():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    for name in project["license-files"]:
        assert list(ROOT.glob(name)), name
    named = set(re.findall(r"`([\w.-]+\.txt)`", text("LICENSES/README.md")))
    assert named == {path.name for path in (ROOT / "LICENSES").glob("*.txt")}
    assert set(yaml.safe_load(text("CITATION.cff"))["license"]) == {"MIT", "CC-BY-4.0"}


def test_the_package_brings_the_files_that_are_no_code():
    """On Colab a forgotten one would be missing; `test_colab.py` looks at all that was installed."""
    globs = tomllib.loads(text("pyproject.toml"))["tool"]["setuptools"]["package-data"]
    brought = {path for name, each in globs.items() for glob in each for path in folder_of(name).glob(glob)}
    there = {path for path in (ROOT / "gradelib").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert there == brought


def folder_of(package: str) -> Path:
    return ROOT.joinpath(*package.split("."))


def test_the_fonts_that_are_installed_have_their_terms_in_the_list():
    listed = text("LICENSES/README.md")
    packages = re.findall(r"^(font-[\w-]+|ziamath|scikit-learn|matplotlib)==", text("requirements.txt"), re.M)
    assert packages
    assert all(f"`{package}`" in listed for package in packages)


def test_the_hooks_are_local_and_their_programs_are_there():
    (repository,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        words = shlex.split(hook["entry"])
        assert hook["language"] == "system"
        assert (ROOT / words[0]).exists(), words
        for word in words[1:]:
            if word.startswith("tests/"):
                assert re.search(rf"def test_\w*{words[words.index('-k') + 1]}", text(word)), hook
