"""The page's marker, loaded once for the tests of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from marker_page import MarkerPage, served_script

if TYPE_CHECKING:
    from benchmarks.browser import Browser


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> MarkerPage:
    return MarkerPage(browser, tmp_path_factory.mktemp("page"), served_script())
