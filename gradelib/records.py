"""Records: the output of a cell that proved or measured something, as a line to read and as data.

Jupyter shows the line and passes over a MIME type that it does not know; Sphinx takes the data (`mime_renderer`).
"""

from __future__ import annotations

from typing import Literal

MIME_TYPE = "application/vnd.gradelib.record+json"


def mimebundle(kind: Literal["check", "claim"], name: str, text: str, data: dict[str, object]) -> dict[str, object]:
    """What a cell shows for the record `name`: the line `text`, which says its name, and beside it `data` as JSON."""
    return {"text/plain": text, MIME_TYPE: {"kind": kind, "name": name, "text": text, "data": data}}
