"""Execute the chapters of a build in parallel, through the jupyter-cache: MyST-NB alone runs one after another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from myst_nb.core.read import is_myst_markdown_notebook
from myst_nb.sphinx_ import SphinxEnvType
from nbclient import NotebookClient
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata
from gradelib import _kernel

READER = {"name": "myst_nb_md", "type": "plugin"}  # MyST-NB registers it with the jupyter-cache

log = logging.getLogger(__name__)


def execute_outdated(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Put the runs of outdated pages with code into the jupyter-cache, from which MyST-NB takes their outputs.

    A page that fails here is not cached; MyST-NB runs it once more, and reports the error.
    """
    settings = cast(SphinxEnvType, env).mystnb_config
    if settings.execution_mode != "cache":
        return
    cache = get_cache(settings.execution_cache_path)
    paths = [Path(env.doc2path(name)) for name in docnames]
    sources = [path for path in paths if not any(map(path.match, settings.execution_excludepatterns))]
    notebooks = [path for path in sources if is_myst_markdown_notebook(path.read_text(encoding="utf-8"))]
    records = [cache.add_nb_to_project(str(path), read_data=READER) for path in notebooks]
    if records:
        executor = load_executor("local-parallel", cache, logger=logging.getLogger("jupyter_cache").logger)
        executor.run_and_cache(filter_pks=[record.pk for record in records], timeout=settings.execution_timeout)


def setup(app: Sphinx) -> ExtensionMetadata:
    os.environ.update(_kernel.ENVIRONMENT)  # every kernel of the build inherits it
    # A kernel has nothing left to do after its last cell, and would take a second or two to take itself apart.
    NotebookClient.shutdown_kernel.default_value = "immediate"
    app.connect("env-before-read-docs", execute_outdated)
    return metadata()
