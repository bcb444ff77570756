"""Run the chapters of a build side by side: myst-nb alone would run them one after another."""

from __future__ import annotations

from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from myst_nb.core.read import is_myst_markdown_notebook
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

READER = {"name": "myst_nb_md", "type": "plugin"}

log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-before-read-docs", run_chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def run_chapters(app: Sphinx, env: BuildEnvironment, names: list[str]) -> None:
    """Fill the cache, from which myst-nb then takes every chapter; one that fails here it runs again, and reports."""
    settings = env.mystnb_config
    if settings.execution_mode != "cache":
        return
    cache = get_cache(settings.execution_cache_path)
    sources = [Path(env.doc2path(name)) for name in names]
    chapters = [path for path in sources if is_myst_markdown_notebook(path.read_text(encoding="utf-8"))]
    records = [cache.add_nb_to_project(str(path), read_data=READER) for path in chapters]
    if records:
        executor = load_executor("local-parallel", cache, logger=logging.getLogger("jupyter_cache").logger)
        executor.run_and_cache(filter_pks=[record.pk for record in records], timeout=settings.execution_timeout)
