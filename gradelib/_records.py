"""Records: lines of output that a reader reads as words, and the build of the book as data.

A check of an equation and a measured claim print one line each. In HTML the same line carries its data, so that the
report of equations and the ledger of claims are made from what the cells of the book really printed.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

_LINE = re.compile(r'<pre class="gl-record" data-kind="(\w+)" data-record="([^"]*)">(.*?)</pre>', re.DOTALL)


def mimebundle(kind: str, text: str, data: dict[str, Any]) -> dict[str, str]:
    """What a notebook shows for the line `text`: the words alone, and the words with their data as HTML."""
    packed = html.escape(json.dumps(data, ensure_ascii=False))
    line = f'<pre class="gl-record" data-kind="{kind}" data-record="{packed}">{html.escape(text)}</pre>'
    return {"text/plain": text, "text/html": line}


def read(output: str) -> tuple[str, dict[str, Any], str] | None:
    """Kind, data and words of a record, from its HTML; None where the output is something else."""
    found = _LINE.fullmatch(output.strip())
    if found is None:
        return None
    kind, packed, text = found.groups()
    return kind, json.loads(html.unescape(packed)), html.unescape(text)
