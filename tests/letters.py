"""Which letters formulas use, and what the notation says of them, read off the sources of the pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from book.extensions import chapter_sources

BOOK = Path(__file__).parents[1] / "book"
GREEK = "alpha beta gamma delta epsilon varepsilon eta theta kappa lambda mu nu xi pi rho sigma tau phi varphi chi psi"
LETTERS = {
    *GREEK.split(),
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
    "ell",
}
_MARK = r"hat|tilde|bar|dot|ddot|mathcal|mathbb|mathbf"
_WORDS = re.compile(r"\\(?:text|mathrm|operatorname\*?|begin|end)\s*\{[^{}]*\}|\\mathrm d|_F(?![A-Za-z])")
_LETTER = re.compile(rf"\\({_MARK})(?![A-Za-z])\s*(?:\{{\s*)?((?:\\mathcal\s*)?\\?[A-Za-z]+)|\\([A-Za-z]+)|([A-Za-z])")
_CODE = re.compile(r"^```\{code-cell\}.*?^```", re.MULTILINE | re.DOTALL)
_DISPLAYED = re.compile(r"\$\$((?:(?!\$\$).)*?)\$\$(?:\s*\((eq-[\w-]+)\))?", re.DOTALL)


def of(tex: str) -> set[str]:
    r"""The letters of a formula, such as "J", "\Sigma" and "\hat P"; indices count, words and signs do not."""
    return set(_letters(_WORDS.sub(" ", tex)))


def first(tex: str) -> str:
    """The letter with which a formula begins, such as "I" of "I(x; z)"."""
    return next(_letters(tex))


def _letters(tex: str) -> Iterator[str]:
    for mark, marked, command, letter in _LETTER.findall(tex):
        if mark:
            yield " ".join([rf"\{mark}", *marked.split()])
        elif letter or command in LETTERS:
            yield letter or rf"\{command}"


def numbered_equations(markdown: str) -> dict[str, str]:
    """The numbered equations of a chapter by their labels."""
    return {label: tex for tex, label in _DISPLAYED.findall(_CODE.sub("", markdown)) if label}


def tables(notation: str) -> dict[str, list[tuple[str, str]]]:
    """The tables of letters below each heading of the third level: the letter, and what it means."""
    found = {}
    for section in re.split(r"^### ", notation, flags=re.MULTILINE)[1:]:
        title, _, rest = section.partition("\n")
        rows = re.findall(r"^\| \$([^$]+)\$ \| (.+?) \|$", rest.partition("\n## ")[0], re.MULTILINE)
        found[title] = [(tex, meaning) for tex, meaning in rows]
    return found


def sources() -> dict[str, str]:
    """The chapters by their names in sentences, such as "Chapter 7"."""
    return {f"Chapter {int(path.name[:2])}": path.read_text(encoding="utf8") for path in chapter_sources(BOOK.parent)}
