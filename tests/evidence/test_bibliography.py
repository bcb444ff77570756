"""The bibliography holds what the book cites, and no more."""

from __future__ import annotations

import re
from pathlib import Path

BOOK = Path(__file__).parents[2] / "book"
ENTRIES = re.findall(r"^@\w+\{([\w-]+),$", (BOOK / "references.bib").read_text(encoding="utf8"), re.MULTILINE)
PAGES = [path.read_text(encoding="utf8") for path in BOOK.glob("*.md")]
CITED = [
    name.strip() for text in PAGES for names in re.findall(r"\{cite:[pt]\}`([^`]+)`", text) for name in names.split(",")
]


def test_each_entry_is_cited_and_each_citation_has_its_entry():
    assert sorted(set(ENTRIES)) == sorted(set(CITED))


def test_no_entry_stands_twice():
    assert len(set(ENTRIES)) == len(ENTRIES)
