"""A headless Chromium that says which hosts a page asked for and what its console complained about."""

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
# Resolves when the page and its formulas stand. MathJax shows its promise only some time after its script has run.
_SETTLED = """
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
        self.sent: list[str] = []  # every address that the page opened last has asked for

    def look(
        self, *, width: int = 1400, height: int = 900, dark: bool = False, paper: bool = False, scripts: bool = True
    ) -> None:
        """Set the window, the mode, the medium and whether pages may run scripts, for all pages opened from now on."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        mode = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        medium = {"media": "print" if paper else "", "features": [mode]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", medium)
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})

    def open(self, page: Path, *, query: str = "") -> tuple[list[str], list[str]]:
        """Open a file. Returns what it asked other hosts for, and its errors in the console."""
        self._drain()
        self.driver.get(page.as_uri() + query)
        self.driver.execute_async_script(_SETTLED)
        return self._drain()

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, script: str) -> Any:
        """Run a script that calls its last argument with what it found."""
        return self.driver.execute_async_script(script)

    def spoken(self) -> list[tuple[str, str]]:
        """Role and name of all that a screen reader finds on the page; works without scripts too."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return [(node["role"]["value"], node["name"]["value"]) for node in nodes if "name" in node]

    def errors(self) -> list[str]:
        """What the console has complained about since it was asked last."""
        return self._drain()[1]

    def _drain(self) -> tuple[list[str], list[str]]:
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        self.sent = [event["request"]["url"] for event in asked]
        errors = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [url for url in self.sent if urlsplit(url).scheme in ("http", "https", "ws", "wss")], errors


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium and end it."""
    with TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*_FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        try:
            driver.set_script_timeout(90)
            yield Browser(driver)
        finally:
            driver.quit()
