"""Audit of the built pages (`make pages`): weight, requests, dead links, alt text, axe, layout shift, overflow.

Each page is opened in headless Chromium, in light and dark mode, at the width of a desktop and of a phone. The tests
bound what is printed here. Lighthouse runs too, where npm has installed it.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

from benchmarks.browser import CHROMIUM, MISSING, Browser, chromium

ROOT = Path(__file__).parent.parent
DESKTOP, PHONE = (1300, 900), (375, 667)
MAX_LAYOUT_SHIFT = 0.02  # web.dev calls 0.1 good (CLS)
FOREIGN = ("http", "https", "mailto", "data", "javascript")
LIGHTHOUSE_CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
COLUMNS = {
    "html_kb": "HTML kB",
    "loaded_kb": "loaded kB",
    "requests": "requests",
    "foreign": "foreign",
    "console": "console",
    "dead_links": "dead links",
    "no_alt": "no alt",
    "axe": "axe",
    "shift_desktop": f"shift {DESKTOP[0]}",
    "shift_phone": f"shift {PHONE[0]}",
    "overflow": "overflow",
}


# --- the files


def html_pages(book: Path) -> list[Path]:
    """The HTML files of the built book, without those of its static files."""
    return [page for page in sorted(book.rglob("*.html")) if "_static" not in page.parts]


def parse(page: Path) -> BeautifulSoup:
    """The parsed HTML of a page, which all callers share: to be read, and not to be changed."""
    return _parse(page, page.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _parse(page: Path, _changed: int) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def dead_links(book: Path) -> list[str]:
    """Links and sources of all pages that lead to no file of the book, or to no anchor in it."""
    soups = {page: parse(page) for page in html_pages(book)}
    anchors = {page: {tag["id"] for tag in soup.find_all(id=True)} for page, soup in soups.items()}
    dead = []
    for page, soup in soups.items():
        for tag in soup.find_all(lambda tag: tag.get("href") or tag.get("src")):
            link = urlsplit(str(tag.get("href") or tag.get("src")))
            if link.scheme in FOREIGN or tag.name == "use":
                continue
            target = (page.parent / unquote(link.path)).resolve() if link.path else page
            fragment = unquote(link.fragment)
            if not target.is_file() or (fragment and fragment not in anchors.get(target, {fragment})):
                dead.append(f"{page.relative_to(book)} → {link.geturl()}")
    return dead


def images_without_alt(soup: BeautifulSoup) -> list[str]:
    """Images in the text without alt text, and SVG drawings without a role and a label."""
    images = [tag for tag in soup.select("article img") if not str(tag.get("alt", "")).strip()]
    drawings = [tag for tag in soup.select("article svg") if tag.get("role") != "img" or not tag.get("aria-label")]
    return [str(tag)[:100] for tag in images + drawings]


# --- the page that is open in the browser

# Elements of the text that overflow the viewport, and that no scroll container holds.
_OVERFLOW = """
const edge = document.documentElement.clientWidth + 1;
const scrolls = (tag) => tag && (/auto|scroll/.test(getComputedStyle(tag).overflowX) || scrolls(tag.parentElement));
const out = ({ left, right }) => left < -1 || right > edge;
const beyond = [...document.querySelectorAll("article *")].filter(
  (tag) => tag.getClientRects().length && out(tag.getBoundingClientRect()) && !scrolls(tag));
return [document.documentElement.scrollWidth, beyond.map((tag) => tag.outerHTML.slice(0, 90))];
"""
# The sum of all layout shifts, never less than CLS, which counts the worst window of five seconds.
_LAYOUT_SHIFT = """
const done = arguments[0];
let sum = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) sum += entry.value;
}).observe({ type: "layout-shift", buffered: true });
setTimeout(() => done(sum), 100);
"""
# axe reports a column head with nothing but a formula (empty-table-header): screen readers read its MathML.
_AXE = """
const done = arguments[0];
const formula = ({ target }) => document.querySelector(target[0])?.querySelector("math");
const how = { resultTypes: ["violations"], rules: { "color-contrast": { enabled: WHOLE } } };
axe.run(WHERE, how).then(({ violations }) => done(violations.flatMap(
  ({ id, nodes }) => nodes.filter((node) => id !== "empty-table-header" || !formula(node))
    .map(({ html }) => `${id}: ${html.slice(0, 120)}`))));
"""


def horizontal_overflow(browser: Browser) -> tuple[int, list[str]]:
    """The scroll width of the page in pixels, and the elements of its text that overflow the viewport."""
    width, beyond = browser.run(_OVERFLOW)
    return width, beyond


def layout_shift(browser: Browser) -> float:
    """The cumulative layout shift since the page was opened: 0 for none, 0.1 is noticed."""
    return browser.run_async(_LAYOUT_SHIFT)


def axe_script() -> str | None:
    """The source of axe-core, which the package axe-playwright-python contains; None without that package."""
    package = importlib.util.find_spec("axe_playwright_python")  # found, not imported: nothing here needs Playwright
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")


def axe_violations(browser: Browser, *, whole: bool = True) -> list[str]:
    """The accessibility violations that axe-core finds: rule and element.

    With `whole=False` it skips formulas, code and colour contrast, which take most of its time.
    """
    browser.run(f"{axe_script()}; window.axe = axe")
    where = "document" if whole else '{ exclude: [["math"], [".highlight"]] }'
    return browser.run_async(_AXE.replace("WHERE", where).replace("WHOLE", str(whole).lower()))


def transferred(browser: Browser) -> tuple[int, float]:
    """How many files the page requested, itself included, and their uncompressed size in kB."""
    files = {Path(unquote(urlsplit(url).path)) for url in browser.requests if url.startswith("file:")}
    return len(files), sum(file.stat().st_size for file in files if file.is_file()) / 1000


# --- the table


def measure(browser: Browser, page: Path, dead: list[str], name: str) -> dict[str, Any]:
    """The row of one page: a number or a list of findings for each of COLUMNS."""
    row: dict[str, Any] = {"html_kb": page.stat().st_size / 1000, "no_alt": images_without_alt(parse(page))}
    row["dead_links"] = [link for link in dead if link.startswith(f"{name} →")]
    row["axe"], row["foreign"], row["console"] = set(), [], []
    for (width, height), shift in ((DESKTOP, "shift_desktop"), (PHONE, "shift_phone")):
        for dark in (False, True):
            browser.emulate(width=width, height=height, dark=dark)
            foreign, errors = browser.open(page)
            row["foreign"] += foreign
            row["console"] += errors
            row[shift] = max(row.get(shift, 0), layout_shift(browser))
            if axe_script():
                row["axe"] |= set(axe_violations(browser))
    row["overflow"] = horizontal_overflow(browser)[0] - PHONE[0]
    row["requests"], row["loaded_kb"] = transferred(browser)
    return row | {"axe": sorted(row["axe"])}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as text; a list of findings is shown as its length."""
    head = ["page", *COLUMNS.values()]
    lines = [head, *([name, *(_cell(row[key]) for key in COLUMNS)] for name, row in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )


def _cell(value: Any) -> str:
    return str(len(value)) if isinstance(value, list) else f"{value:.3f}" if 0 < value < 1 else f"{value:.0f}"


# --- Lighthouse


class _GzipHandler(http.server.SimpleHTTPRequestHandler):
    """A quiet file server that compresses text with gzip, as hosts of static sites do."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if path.suffix not in (".html", ".css", ".js", ".svg") or not path.is_file():
            super().do_GET()
            return
        body = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        for name, value in {
            "Content-Type": f"{self.guess_type(str(path))}; charset=utf-8",
            "Content-Encoding": "gzip",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No access log."""


@contextmanager
def serve(book: Path) -> Iterator[str]:
    """Serve the book on a free local port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_GzipHandler, directory=str(book)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def lighthouse_command() -> list[str] | None:
    """The command of Lighthouse: from the PATH, or installed where npx finds it; None otherwise."""
    if found := shutil.which("lighthouse"):
        return [found]
    if (npx := shutil.which("npx")) is None:
        return None
    command = [npx, "--no-install", "lighthouse"]
    done = subprocess.run([*command, "--version"], capture_output=True, check=False)
    return command if done.returncode == 0 else None


def lighthouse(command: list[str], address: str, form: str) -> dict[str, int]:
    """Lighthouse's scores, out of 100; `form` is desktop or mobile."""
    flags = ["--quiet", "--output=json", "--chrome-flags=--headless=new --no-sandbox --disable-gpu"]
    flags += [f"--only-categories={','.join(LIGHTHOUSE_CATEGORIES)}"]
    flags += ["--preset=desktop"] if form == "desktop" else []
    done = subprocess.run(
        [*command, address, *flags],
        env={**os.environ, "CHROME_PATH": str(CHROMIUM)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: round(100 * part["score"]) for name, part in json.loads(done.stdout)["categories"].items()}


# --- the command


def main() -> None:
    """Measure all pages, or those whose names hold one of the words given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_audit", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="word", help="only pages whose name holds one of these words")
    parser.add_argument("--book", type=Path, default=ROOT / "_build" / "html", help="the built book (_build/html)")
    parser.add_argument("--json", type=Path, help="also write all findings to this file")
    arguments = parser.parse_args()
    if MISSING:
        parser.exit(1, f"Measuring pages {MISSING}.\n")
    names = {page: page.relative_to(arguments.book).as_posix() for page in html_pages(arguments.book)}
    wanted = [page for page, name in names.items() if any(word in name for word in arguments.words or [""])]
    dead = dead_links(arguments.book)
    with chromium() as browser:
        rows = {names[page]: measure(browser, page, dead, names[page]) for page in wanted}
    print(table(rows))
    for name, row in rows.items():
        for found in (found for value in row.values() if isinstance(value, list) for found in value):
            print(f"{name}: {found}")
    if axe_script() is None:
        print("axe was not run: it needs axe-playwright-python, which requirements.txt names.")
    if command := lighthouse_command():
        print("\nLighthouse: " + ", ".join(LIGHTHOUSE_CATEGORIES) + "; other work on the machine lowers the first")
        with serve(arguments.book) as address:
            for name, row in rows.items():
                row["lighthouse"] = {form: lighthouse(command, address + name, form) for form in ("desktop", "mobile")}
                print(name, *(f"{form} {[*scores.values()]}" for form, scores in row["lighthouse"].items()), sep="  ")
    else:
        print("Lighthouse was not run: `npm install --global lighthouse` would bring it.")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
