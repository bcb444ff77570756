"""Write the look-alike characters of the formula language into `gradelib/marker/language.json`, from Unicode's data.

    python tools/lookalikes.py [--check]

A character is taken by its name, its category and its compatibility decomposition (NFKC), never because somebody
happened to type it. A reader looks a character up here first; what is not here is replaced by its NFKC form, which
Python and browsers both know (fullwidth forms, mathematical alphanumerics, ϐ, µ), and looked up once more. So the table
holds only what NFKC does not give, and what it would give wrongly: ² is a power and no 2. With `--check` nothing is
written, and the exit status is 1 where the file is not what this would write.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).parent.parent / "gradelib" / "marker" / "language.json"

# What a name must match to look like the operator on a screen. The names are Unicode's, which never change.
_LIKE = {
    "-": r"(SOFT |ARMENIAN |NON-BREAKING )?HYPHEN|HYPHEN BULLET|(EN|EM|FIGURE|TWO-EM|THREE-EM) DASH|HORIZONTAL BAR|"
    r"(MODIFIER LETTER |HEAVY )?MINUS SIGN|BOX DRAWINGS (LIGHT|HEAVY) HORIZONTAL|HORIZONTAL LINE EXTENSION|"
    r"KATAKANA-HIRAGANA PROLONGED SOUND MARK",
    "+": r"(MODIFIER LETTER |HEAVY |HEBREW LETTER ALTERNATIVE )?PLUS SIGN|INVISIBLE PLUS",
    "*": r"MULTIPLICATION SIGN|(HEAVY )?MULTIPLICATION X|VECTOR OR CROSS PRODUCT|N-ARY TIMES OPERATOR|INVISIBLE TIMES|"
    r"(BULLET|ASTERISK|DOT) OPERATOR|BULLET|(KATAKANA |WORD SEPARATOR )?MIDDLE DOT|HYPHENATION POINT|GREEK ANO TELEIA|"
    r"((LOW|HEAVY|OPEN CENTRE|FULL STAR) )?ASTERISK|ARABIC FIVE POINTED STAR|BLACK VERY SMALL SQUARE|"
    r"CIRCLED DOT OPERATOR|Z NOTATION SPOT|RAISED DOT|STAR OPERATOR|BOX DRAWINGS LIGHT DIAGONAL CROSS",
    "/": r"(HEAVY )?DIVISION SIGN|(DIVISION|FRACTION|BIG) SLASH|BIG SOLIDUS|MATHEMATICAL RISING DIAGONAL|"
    r"BOX DRAWINGS LIGHT DIAGONAL UPPER RIGHT TO LOWER LEFT",
    "^": r"MODIFIER LETTER (LOW |UP )?(CIRCUMFLEX ACCENT|ARROWHEAD)|UP ARROWHEAD|CARET",
    "=": r"MODIFIER LETTER (SHORT )?EQUALS SIGN|HEAVY EQUALS SIGN|KATAKANA-HIRAGANA DOUBLE HYPHEN",
    ",": r"(ARABIC|IDEOGRAPHIC) COMMA|INVISIBLE SEPARATOR",
    ".": r"IDEOGRAPHIC FULL STOP",
    "|": r"DIVIDES|(DOUBLE|TRIPLE) VERTICAL (LINE|BAR)|PARALLEL TO|LIGHT VERTICAL BAR|BOX DRAWINGS LIGHT VERTICAL",
    "'": r"(LEFT|RIGHT) SINGLE QUOTATION MARK|SINGLE (HIGH-REVERSED|LOW)-9 QUOTATION MARK|(DOUBLE |TRIPLE )?PRIME|"
    r"MODIFIER LETTER (PRIME|DOUBLE PRIME|APOSTROPHE)|ACUTE ACCENT",
    '"': r"(LEFT|RIGHT) DOUBLE QUOTATION MARK|DOUBLE (HIGH-REVERSED|LOW)-9 QUOTATION MARK|"
    r"(LEFT|RIGHT)-POINTING DOUBLE ANGLE QUOTATION MARK",
    ":": r"RATIO",
}
_BRACKETS = {"PARENTHESIS": "()", "TORTOISE SHELL BRACKET": "()", "SQUARE BRACKET": "[]", "LENTICULAR BRACKET": "[]"}
_BRACKETS |= {"CURLY BRACKET": "{}"}
# Letters that are drawn like a Latin or Greek one in most fonts; Unicode has no name or decomposition that says so.
_HOMOGLYPHS = {
    "CYRILLIC SMALL LETTER ": {"A": "a", "IE": "e", "O": "o", "ER": "p", "ES": "c", "HA": "x", "U": "y"}
    | {"BYELORUSSIAN-UKRAINIAN I": "i", "JE": "j", "DZE": "s", "SHHA": "h", "KOMI DE": "d", "QA": "q", "WE": "w"},
    "CYRILLIC CAPITAL LETTER ": {"A": "A", "VE": "B", "IE": "E", "EN": "H", "KA": "K", "EM": "M", "O": "O", "ER": "P"}
    | {"ES": "C", "TE": "T", "HA": "X", "DZE": "S", "BYELORUSSIAN-UKRAINIAN I": "I", "JE": "J"},
    "GREEK CAPITAL LETTER ": {"ALPHA": "A", "BETA": "B", "EPSILON": "E", "ZETA": "Z", "ETA": "H", "IOTA": "I"}
    | {"KAPPA": "K", "MU": "M", "NU": "N", "OMICRON": "O", "RHO": "P", "TAU": "T", "UPSILON": "Y", "CHI": "X"},
}
_BETAS = ("LATIN SMALL LETTER SHARP S", "LATIN SMALL LETTER BETA")  # ß is what a German keyboard has instead of β
_NAMED = {"N-ARY SUMMATION": "sum", "N-ARY PRODUCT": "prod", "SQUARE ROOT": "sqrt"}
_TRANSPOSED = ("DOWN TACK", "MODIFIER LETTER CAPITAL T", "MODIFIER LETTER SMALL T")


def table() -> dict[str, object]:
    """The part of the JSON file that describes characters."""
    like: dict[str, list[str]] = {}
    for character in _all_characters():
        if (target := _target(character)) is not None and _reads(character) != target:
            like.setdefault(target, []).append(character)
    return {
        "unicode": unicodedata.unidata_version,
        "like": {target: "".join(characters) for target, characters in sorted(like.items())},
        "ignored": "".join(c for c in _all_characters() if _is_ignored(c)),
        "superscripts": dict(_scripts("super")),
        "subscripts": dict(_scripts("sub")),
        "transposed": "".join(c for c in _all_characters() if unicodedata.name(c, "") in _TRANSPOSED),
        "fractions": dict(_fractions()),
        "zeros": "".join(c for c in _all_characters() if unicodedata.decimal(c, None) == 0 and c > "~" and _plain(c)),
    }


def _all_characters() -> Iterator[str]:
    """All of the planes for letters and symbols; what lies above is for private use and tags."""
    return map(chr, (n for n in range(0x80, 0x20000) if not 0xD800 <= n < 0xF900))


def _target(character: str) -> str | None:
    name, category = unicodedata.name(character, ""), unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp") or name in ("BRAILLE PATTERN BLANK", "HANGUL FILLER", "HALFWIDTH HANGUL FILLER"):
        return " "
    if category in ("Ps", "Pe"):
        return next((pair[category == "Pe"] for end, pair in _BRACKETS.items() if name.endswith(end)), None)
    for sign, pattern in _LIKE.items():
        if re.fullmatch(pattern, name):
            return sign
    for start, letters in _HOMOGLYPHS.items():
        if name.startswith(start) and name.removeprefix(start) in letters:
            return letters[name.removeprefix(start)]
    if name in _BETAS:
        return "beta"
    return _NAMED.get(name) or _greek(name)


def _greek(name: str) -> str | None:
    """`beta` for the small letter, `Sigma` for the capital one; NFKC brings the mathematical ones and ϐ here."""
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (FINAL )?([A-Z]+)", name)
    if not found or found[3] in ("DIGAMMA", "STIGMA", "KOPPA", "SAMPI", "SAN", "SHO", "HETA", "YOT"):
        return None
    letter = {"LAMDA": "LAMBDA"}.get(found[3], found[3])
    return letter.lower() if found[1] == "SMALL" else letter.capitalize()


def _reads(character: str) -> str:
    """What NFKC alone gives."""
    return unicodedata.normalize("NFKC", character)


def _plain(character: str) -> bool:
    return not unicodedata.decomposition(character)


def _is_ignored(character: str) -> bool:
    """Characters without a width: joiners, directions, marks that choose between emoji and text."""
    if _target(character) is not None:
        return False
    return unicodedata.category(character) == "Cf" or unicodedata.name(character, "").startswith("VARIATION SELECTOR")


def _scripts(kind: str) -> Iterator[tuple[str, str]]:
    for character in _all_characters():
        parts = unicodedata.decomposition(character).split()
        if parts[:1] == [f"<{kind}>"] and len(parts) == 2:
            inner = chr(int(parts[1], 16))
            inner = _target(inner) or inner
            if re.fullmatch(r"[\w()+=-]+", inner, re.ASCII):
                yield character, inner


def _fractions() -> Iterator[tuple[str, list[int]]]:
    for character in _all_characters():
        over = unicodedata.normalize("NFKC", character).split("⁄")
        if len(over) == 2 and all(part.isdecimal() for part in over):
            yield character, [int(part) for part in over]


def main() -> int:
    """Write the file, or with `--check` compare it."""
    language = json.loads(FILE.read_text(encoding="utf8"))
    language["characters"] = table()
    text = json.dumps(language, ensure_ascii=False, indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        return int(FILE.read_text(encoding="utf8") != text)
    FILE.write_text(text, encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
