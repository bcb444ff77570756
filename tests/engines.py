"""Three browser engines behind one small interface: Chromium and WebKit through their drivers, Firefox over BiDi.

Firefox speaks WebDriver BiDi by itself, so that it needs no driver. WebKitGTK has no headless mode, so that it gets
a display of its own from Xvfb.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import websocket
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.service import Service

from benchmarks.browser import MISSING, chromium

WIDTH, HEIGHT = 1400, 1200  # of the viewport, in pixels
TIMEOUT = 120  # seconds for one command, on a machine that is busy

FIREFOX = shutil.which("firefox") or shutil.which("firefox-esr")
WEBKIT_DRIVER, XVFB = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
# Debian's package of the driver brings this browser for it to drive; it is not on the path.
WEBKIT = next(iter(sorted(Path("/usr").glob("lib*/**/webkit2gtk-4.*/MiniBrowser"), reverse=True)), None)


class Engine(Protocol):
    """A browser with one page in it."""

    def open(self, url: str) -> None:
        """Open a page and wait until it has loaded, with its fonts."""

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function, async allowed, and return what it returns."""

    def press(self, key: str) -> None:
        """Press a key of `selenium.webdriver.common.keys.Keys`; what has the focus gets it."""

    def screenshot(self) -> bytes:
        """The viewport as PNG."""


@dataclass
class Driven:
    """A browser behind a driver, which Selenium speaks with."""

    driver: WebDriver

    def open(self, url: str) -> None:
        self.driver.get(url)
        self.run("await document.fonts.ready")

    def run(self, script: str, *arguments: Any) -> Any:
        # Some drivers take no promise from `execute_script`.
        called = "const done = arguments[arguments.length - 1];"
        caught = ".then((value) => done({value}), (error) => done({error: String(error)}))"
        answer = self.driver.execute_async_script(
            f"{called} (async function () {{ {script} }}).apply(null, arguments){caught}", *arguments
        )
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer.get("value")

    def press(self, key: str) -> None:
        ActionChains(self.driver, duration=0).send_keys(key).perform()

    def screenshot(self) -> bytes:
        return self.driver.get_screenshot_as_png()


@dataclass
class Firefox:
    """Firefox, spoken with over its own WebSocket."""

    socket: websocket.WebSocket
    context: str = ""
    _number: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        self.ask("session.new", capabilities={})
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]
        self.ask("browsingContext.setViewport", context=self.context, viewport={"width": WIDTH, "height": HEIGHT})

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv())).get("id") != self._number:
            pass  # an event
        if answer["type"] != "success":
            raise RuntimeError(answer["message"])
        return answer["result"]

    def open(self, url: str) -> None:
        self.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")
        self.run("await document.fonts.ready")

    def run(self, script: str, *arguments: Any) -> Any:
        called = f"(async function () {{ {script} }}).apply(null, {json.dumps(arguments)})"
        as_text = f"{called}.then((value) => JSON.stringify(value ?? null))"
        answer = self.ask(
            "script.evaluate",
            expression=as_text,
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] != "success":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def press(self, key: str) -> None:
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": strokes}
        self.ask("input.performActions", context=self.context, actions=[source])

    def screenshot(self) -> bytes:
        return base64.b64decode(self.ask("browsingContext.captureScreenshot", context=self.context)["data"])


@contextmanager
def open_chromium() -> Iterator[Engine]:
    with chromium() as browser:
        browser.emulate(width=WIDTH, height=HEIGHT)
        yield Driven(browser.driver)


@contextmanager
def open_firefox() -> Iterator[Engine]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Port 0: one that is free, which Firefox then says.
        command = [str(FIREFOX), "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            try:
                said = iter(process.stderr or ())
                address = next(line.split()[-1] for line in said if "BiDi listening on" in line)
                socket = websocket.create_connection(f"{address}/session", timeout=TIMEOUT, suppress_origin=True)
                yield Firefox(socket)
                socket.close()
            finally:
                process.terminate()


@contextmanager
def open_webkit() -> Iterator[Engine]:
    # Xvfb takes a display that is free and writes its number to the descriptor.
    command = [str(XVFB), "-displayfd", "1", "-screen", "0", f"{WIDTH + 200}x{HEIGHT + 200}x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as display:
        try:
            number = display.stdout.readline().strip() if display.stdout else ""
            options = webdriver.WebKitGTKOptions()
            options.binary_location = str(WEBKIT)
            options.add_argument("--automation")
            # Software rendering alone: a picture is the same with and without a graphics card.
            settings = {"DISPLAY": f":{number}", "LIBGL_ALWAYS_SOFTWARE": "1"}
            service = Service(WEBKIT_DRIVER, env={**os.environ, **settings})
            driver = webdriver.WebKitGTK(options=options, service=service)
            try:
                driver.set_script_timeout(TIMEOUT)
                set_viewport(driver)
                yield Driven(driver)
            finally:
                driver.quit()
        finally:
            display.terminate()


def set_viewport(driver: WebDriver) -> None:
    """Make the window so large that the page in it has the size of the viewport."""
    driver.set_window_rect(0, 0, WIDTH, HEIGHT)
    width, height = driver.execute_script("return [innerWidth, innerHeight]")
    driver.set_window_rect(0, 0, 2 * WIDTH - width, 2 * HEIGHT - height)


@dataclass(frozen=True)
class Kind:
    """An engine: how to start it, and why it cannot be, where it cannot."""

    start: Any
    missing: str | None

    def running(self) -> AbstractContextManager[Engine]:
        """The engine with a fresh profile, ended with the `with` block."""
        return self.start()


KINDS = {
    "chromium": Kind(open_chromium, MISSING),
    "firefox": Kind(open_firefox, None if FIREFOX else "needs Firefox (Debian: firefox-esr)"),
    "webkit": Kind(
        open_webkit,
        None
        if WEBKIT and WEBKIT_DRIVER and XVFB
        else "needs WebKitGTK's driver and Xvfb (Debian: webkit2gtk-driver, xvfb)",
    ),
}
