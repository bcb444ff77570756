"""A headless Chromium (Selenium) that also reports the requests and the console errors of a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
MISSING = None if CHROMIUM and CHROMEDRIVER else "needs Chromium and its driver (Debian: chromium, chromium-driver)"

_QUIET = ("background-networking", "component-update", "default-apps", "extensions", "gpu", "sync")
_FLAGS = ("headless=new", "no-sandbox", "no-first-run", *(f"disable-{name}" for name in _QUIET))
# Resolves when fonts are loaded and formulas typeset. MathJax has its promise only some time after its script has run.
_READY = """
const done = arguments[0];
const formulas = () => {
  if (!document.querySelector("script[src*=mathjax]")) return Promise.resolve();
  const later = (go) => setTimeout(() => go(formulas()), 20);
  return window.MathJax?.startup?.promise ?? new Promise(later);
};
formulas().then(() => document.fonts.ready).then(() => requestAnimationFrame(() => done()));
"""


class Browser:
    """One Chromium with a fresh profile."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.requests: list[str] = []  # URLs that the page opened last has requested

    def emulate(
        self, *, width: int = 1400, height: int = 900, dark: bool = False, paper: bool = False, scripts: bool = True
    ) -> None:
        """Emulate viewport, colour scheme, media type and disabled scripts, for all pages opened from now on."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        mode = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        medium = {"media": "print" if paper else "", "features": [mode]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", medium)
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})

    def open(self, page: Path, *, query: str = "") -> tuple[list[str], list[str]]:
        """Open a file. Returns its requests to other hosts, and its errors in the console."""
        self._read_logs()
        self.driver.get(page.as_uri() + query)
        self.driver.execute_async_script(_READY)
        return self._read_logs()

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str) -> Any:
        """Run a script that calls its last argument with its result."""
        return self.driver.execute_async_script(script)

    def accessibility_tree(self) -> list[tuple[str, str]]:
        """Role and name of each node of the accessibility tree, as screen readers have it; works without scripts."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return [(node["role"]["value"], node["name"]["value"]) for node in nodes if "name" in node]

    def errors(self) -> list[str]:
        """Errors in the console since the last call."""
        return self._read_logs()[1]

    def _read_logs(self) -> tuple[list[str], list[str]]:
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        self.requests = [event["request"]["url"] for event in asked]
        errors = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [url for url in self.requests if urlsplit(url).scheme in ("http", "https", "ws", "wss")], errors


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium, ended with the `with` block."""
    with TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*_FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        try:
            driver.set_script_timeout(90)
            yield Browser(driver)
        finally:
            driver.quit()
