"""The words of the paper's slides, and whether a quotation is to be found in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Slides:
    """The text of each slide by its number, without what the extraction of text decides: blanks and signs of maths."""

    texts: dict[int, str]

    def holds(self, quote: str, where: tuple[int, ...]) -> list[int]:
        """The slides among `where` that say the quoted words."""
        return [number for number in where if squeezed(quote) in self.texts.get(number, "")]

    def left_over(self, quotes: list[tuple[str, tuple[int, ...]]]) -> dict[int, list[str]]:
        """What no quotation covers: the rest of each slide, in pieces, without marks of lists and of sentences."""
        rest = {}
        for number, text in self.texts.items():
            covered = [False] * len(text)
            for quote, where in quotes:
                if number in where:
                    words = squeezed(quote)
                    for found in re.finditer(re.escape(words), text):
                        covered[found.start() : found.end()] = [True] * len(words)
            pieces = "".join("\n" if known else letter for letter, known in zip(text, covered, strict=True)).split("\n")
            if left := [piece for piece in pieces if re.search(r"[^\W\d_]", piece)]:
                rest[number] = left
        return rest


def read(path: Path) -> Slides:
    """The slides of a file; each begins with a line "== number ==", and lines that begin with # are about the file."""
    lines = [line for line in path.read_text(encoding="utf8").splitlines() if not line.startswith("# ")]
    parts = re.split(r"^== (\d+) ==$", "\n".join(lines), flags=re.MULTILINE)[1:]
    return Slides({int(number): squeezed(text) for number, text in zip(parts[::2], parts[1::2], strict=True)})


def squeezed(text: str) -> str:
    return re.sub(r"[\s$]", "", text)
