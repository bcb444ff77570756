"""A server of a folder on this machine whose pages collect the errors of their scripts, in any engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

# Before every other script of the page: what it throws, what it reports, and the files that did not load.
COLLECT = """<head><script>
window.collectedErrors = [];
addEventListener("error", (event) => {
  const file = event.target.src || event.target.href;
  collectedErrors.push(event.message || `${file} did not load`);
}, true);
addEventListener("unhandledrejection", (event) => collectedErrors.push(String(event.reason)));
console.error = (...words) => collectedErrors.push(words.join(" "));
</script>"""


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        page = Path(self.translate_path(self.path))
        if page.suffix != ".html" or not page.is_file():
            return super().do_GET()
        body = page.read_text(encoding="utf8").replace("<head>", COLLECT, 1).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests have nobody who would read it."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve the folder; gives its address, without a slash at the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
