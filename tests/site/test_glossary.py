"""The glossary: every word is used in the chapter that it names, and explained in a sentence or two of plain text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from book.extensions import chapter_sources
from book.extensions.page.tooltips import Term

BOOK = Path(__file__).parents[2] / "book"
LONGEST = 45  # words; a definition must fit below a line of text
GREEK = {"β": "beta"}


@dataclass(frozen=True)
class Entry:
    """One entry as its source has it."""

    words: tuple[str, ...]
    definition: str
    chapter: str  # what the reference says, such as "Chapter 6"
    label: str


def entries(text: str) -> list[Entry]:
    """The entries of a glossary: words on lines of their own, a definition, and where the book introduces it."""
    body = re.search(r"^```\{glossary\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    found = []
    for block in re.split(r"\n\n(?=\S)", body.strip()):
        words, definition, where = re.fullmatch(r"((?:\S.*\n)+)((?:  .*\n)+)\n(  .*)", block).groups()
        chapter, label = re.fullmatch(r"  \{ref\}`(.*) <(.*)>`", where).groups()
        found.append(Entry(tuple(words.splitlines()), " ".join(definition.split()), chapter, label))
    return found


def chapters() -> dict[str, tuple[str, str]]:
    """Number and text of each chapter, under its label."""
    texts = {path.name: path.read_text(encoding="utf8") for path in chapter_sources(BOOK.parent)}
    return {
        re.search(r"^\((ch-.*)\)=$", t, re.MULTILINE)[1]: (f"Chapter {int(name[:2])}", t) for name, t in texts.items()
    }


def uses(text: str, word: str) -> bool:
    """Whether a text has the word, or its plural, anywhere; what stands in brackets belongs to the glossary alone."""
    pattern = Term(word.split(" (")[0], "", "", "").pattern
    return re.search(rf"(?<![\w-]){pattern}(?![\w≈-])", text.replace("*", ""), re.IGNORECASE) is not None


def order(word: str) -> str:
    """What a word is sorted by: its letters without accents, Greek ones by their names."""
    spelled = "".join(GREEK.get(letter, letter) for letter in word.lower())
    return re.sub(r"[^a-z ]", "", unicodedata.normalize("NFD", spelled.replace("-", " ")))


def faults(text: str, book: dict[str, tuple[str, str]]) -> list[str]:
    """What is wrong with a glossary, beside the chapters by their labels."""
    found, seen = [], set()
    for entry in (all_entries := entries(text)):
        name = entry.words[0]
        number, chapter = book.get(entry.label, ("", ""))
        sentences = len(re.findall(r"[.](?=\s|$)", entry.definition))
        wrong = {
            "twice": seen & {*entry.words},
            "no end": not entry.definition.endswith("."),
            "sentences": not 1 <= sentences <= 2,
            "long": len(entry.definition.split()) > LONGEST,
            "mark-up": re.search(r"[$*`{}\\]", entry.definition),
            "no chapter": not number,
            "number": number and entry.chapter != number,
            "not used": chapter and not all(uses(chapter, word) for word in entry.words),
        }
        seen |= {*entry.words}
        found += [f"{name}: {fault}" for fault, is_wrong in wrong.items() if is_wrong]
    names = [order(entry.words[0]) for entry in all_entries]
    return found + [f"{name}: order" for name, after in zip(names[1:], sorted(names)[1:], strict=True) if name != after]


def test_the_glossary_is_sound():
    text = (BOOK / "glossary.md").read_text(encoding="utf8")
    assert faults(text, chapters()) == []
    assert len(entries(text)) >= 35


PLANTED = """\
```{glossary}
β-VAE
  With a price β. Its nats.

  {ref}`Chapter 1 <ch-one>`

code (of x)
  A number, e.g. h.

  {ref}`Chapter 1 <ch-one>`

GRAE
GRAE≈
  It has no noise.

  {ref}`Chapter 1 <ch-one>`
```
"""
ONE = {"ch-one": ("Chapter 1", "The *codes* of β-VAEs and of\nGRAE, of GRAE≈.")}


def test_a_sound_glossary_passes_and_each_fault_is_found():
    assert faults(PLANTED, ONE) == []
    for old, new, fault in (
        ("code (of x)", "GRAE", "twice"),
        ("Its nats.", "Its nats", "no end"),
        ("Its nats.", "Its nats. And more.", "sentences"),
        ("It has no noise", "It has " + "no " * 50 + "noise", "long"),
        ("price β", "price $\\beta$", "mark-up"),
        ("Chapter 1 <ch-one>", "Chapter 1 <ch-two>", "no chapter"),
        ("Chapter 1 <ch-one>", "Chapter 2 <ch-one>", "number"),
        ("GRAE≈\n", "GRAE≈≈\n", "not used"),
        ("code (of x)", "codes of γ", "not used"),
        ("β-VAE", "VAE", "not used"),  # inside of β-VAE it is another word
        ("code (of x)", "VAE", "order"),
    ):
        assert fault in " ".join(faults(PLANTED.replace(old, new, 1), ONE)), fault
