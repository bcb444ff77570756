"""Write or check the committed notebooks around their stored outputs, for when `make notebooks` would run too much.

    python -m book.extensions.notebooks.export --keep-outputs     # after a change of words alone; runs nothing
    python -m book.extensions.notebooks.export --check            # compares instead of writing; runs nothing
    python -m book.extensions.notebooks.export chapter ...        # runs these chapters, and no other that is unchanged

A jupyter-cache in a temporary folder is filled with the outputs of the committed notebooks. With it, jupyter-book
builds the notebooks as ever, so that MyST-NB finds these outputs and runs only what the cache does not have.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from jupyter_book.config import get_final_config
from jupyter_book.sphinx import build_sphinx
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_parser.config.main import MdParserConfig

from book.extensions import chapter_sources, is_chapter
from book.extensions.notebooks.builder import NotebookBuilder, NotebookCheckBuilder
from book.extensions.notebooks.chapter import Chapter, NotebookError, read_chapter
from book.extensions.notebooks.notebook import code_cells, read_notebook, untitled
from gradelib._files import write_atomically

ROOT = Path(__file__).parents[3]


def read_settings(root: Path) -> dict[str, Any]:
    """The settings that jupyter-book gives Sphinx; raises NotebookError where `_config.yml` cannot be read."""
    try:
        settings, _ = get_final_config(
            user_yaml=root / "_config.yml", cli_config={"latex_individualpages": False}, sourcedir=root
        )
    except (OSError, yaml.YAMLError) as error:
        raise NotebookError(f"_config.yml: {error}") from error
    return settings


def read_chapters(root: Path) -> list[Chapter]:
    """All chapters, read with the book's own configuration; raises NotebookError where one cannot be read."""
    config = MdParserConfig(enable_extensions=read_settings(root)["myst_enable_extensions"])
    return [read_chapter(source, config) for source in chapter_sources(root)]


def choose(chapters: list[Chapter], names: list[str]) -> list[Chapter]:
    """The chapters with these names, such as `06-optimal-covariance`; raises NotebookError where there is none."""
    known = {chapter.source.stem: chapter for chapter in chapters}
    if unknown := [name for name in names if Path(name).stem not in known]:
        raise NotebookError(f"{unknown[0]}: there is no chapter of this name; there are {', '.join(known)}.")
    return [known[Path(name).stem] for name in names]


def refuse_other_code(chapter: Chapter) -> None:
    """Raise NotebookError, with file and line, where a code cell is not that of the committed notebook."""
    path = chapter.source.with_suffix(".ipynb")
    committed = [untitled(cell.source) for cell in code_cells(read_notebook(path))[1:]]
    for index, code in zip_longest(chapter.code, committed):
        if index is None or untitled(chapter.cells[index].source) != code:
            line = chapter.lines[-1 if index is None else index]
            raise NotebookError(f"{chapter.source}:{line}: {path} has other code here; run `make notebooks`.")


def keeping(chapters: list[Chapter]) -> Iterator[Chapter]:
    """Those of the chapters whose committed notebooks have their code."""
    for chapter in chapters:
        try:
            refuse_other_code(chapter)
        except NotebookError:
            continue
        yield chapter


def fill_cache(folder: Path, chapters: list[Chapter]) -> None:
    """Store the outputs of the committed notebooks as if the build had run these chapters."""
    cache = get_cache(folder)
    for chapter in chapters:
        committed = code_cells(read_notebook(chapter.source.with_suffix(".ipynb")))[1:]
        for cell, stored in zip(chapter.code.values(), committed, strict=True):
            cell.outputs, cell.execution_count = stored.outputs, stored.execution_count
        bundle = CacheBundleIn(chapter.notebook, str(chapter.source))
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def build(root: Path, output: Path, builder: str) -> bool:
    """Do what `jupyter-book build -W -n --keep-going --builder custom` does; whether there was nothing to complain of.

    The function behind that command is called, since the command would add a traceback to each error. Pages that are
    no chapters are not run.
    """
    other_pages = [path.name for path in root.glob("book/*.md") if not is_chapter(path.stem)]
    result = build_sphinx(
        root,
        output / builder,
        path_config=root / "_config.yml",
        noconfig=True,
        confoverrides={
            "external_toc_path": str(root / "_toc.yml"),
            "latex_individualpages": False,
            "nb_execution_excludepatterns": other_pages,
            "nitpicky": True,
        },
        builder=builder,
        warningiserror=True,
        keep_going=True,
        quiet=True,
    )
    return result == 0


def export(root: Path, names: list[str], *, only_check: bool = False) -> bool:
    """Write the notebooks, all of them around their outputs, or those of `names` with new ones; whether it went well.

    Raises NotebookError where stored outputs are to be kept and the code has changed.
    """
    chapters = read_chapters(root)
    chosen = choose(chapters, names) or chapters
    if names:
        kept = list(keeping([chapter for chapter in chapters if chapter not in chosen]))
    else:
        kept = chapters
        for chapter in chapters:
            refuse_other_code(chapter)
    with TemporaryDirectory() as folder:
        output = Path(folder)
        fill_cache(output / ".jupyter_cache", kept)
        if only_check:
            return build(root, output, NotebookCheckBuilder.name)
        if done := build(root, output, NotebookBuilder.name):
            for chapter in chosen:
                target = chapter.source.with_suffix(".ipynb")
                built = output / NotebookBuilder.name / target.relative_to(root)
                write_atomically(target, built.read_text(encoding="utf8"))
        return done


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("chapters", nargs="*", default=[], help="names such as 06-optimal-covariance, to run anew")
    what.add_argument("--check", action="store_true", help="compare instead of writing")
    what.add_argument("--keep-outputs", action="store_true", help="write the words anew and run nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of _config.yml")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        return 0 if export(root, options.chapters, only_check=options.check) else 1
    except NotebookError as error:
        print(str(error).replace(f"{root}/", ""), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
