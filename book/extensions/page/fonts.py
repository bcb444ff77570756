"""The fonts of the pages, subset to the letters in use, which the style sheet holds as data.

The text is set in Source Serif, formulas in STIX Two Math. A font file of its own would arrive after the lines are
broken, and they would be broken anew (layout shift); a page opened as a file could not even preload it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from html import unescape
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from fontTools.subset import Options, Subsetter, load_font, save_font
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata
from gradelib._files import write_atomically

FONT_CACHE = "fonts.css"
FONT_LICENCE = "fonts-LICENSE.txt"
TEXT, MATHS = "Source Serif Pro", "STIX Two Math"


class Face(NamedTuple):
    """A font file: where a package has it, and what the @font-face rule says of it."""

    package: str
    path: str
    family: str
    style: str


_SERIF = ("font_source_serif_pro", "files/SourceSerifPro-{}.ttf")
FACES = {
    "text": Face(_SERIF[0], _SERIF[1].format("Regular"), TEXT, "font-weight:400"),
    "text-italic": Face(_SERIF[0], _SERIF[1].format("It"), TEXT, "font-weight:400;font-style:italic"),
    "text-bold": Face(_SERIF[0], _SERIF[1].format("Bold"), TEXT, "font-weight:700"),
    "maths": Face("ziamath", "fonts/STIXTwoMath-Regular.ttf", MATHS, "font-weight:400"),
}
# A browser decodes a face when text first uses it, and then breaks the lines anew: ask for all at once.
STYLES = [f"1em {TEXT}", f"italic 1em {TEXT}", f"bold 1em {TEXT}", f"1em {MATHS}"]
LOAD_FACES = f"for (const face of {json.dumps(STYLES)}) document.fonts.load(face);"
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
# The browser turns a single letter in an <mi> into one of these.
MATHS_ITALICS = "ℎ" + "".join(map(chr, [*range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)]))
RADICAL = "√"  # what an <msqrt> draws; no text has it
PRIMES = "′″‴⁗"


def setup(app: Sphinx) -> ExtensionMetadata:
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)  # at INFO it reports each table of each font
    app.add_js_file(None, body=LOAD_FACES, priority=100)
    return metadata()


def font_faces(cache: Path, pages: str) -> str:
    """The @font-face rules of all fonts, subset to the letters of `pages` (HTML).

    They are kept in the folder `cache` under the hash of the letters; while these are the same, no font is made again.
    """
    formulas = TAG.sub("", "".join(FORMULA.findall(pages)))
    letters = {TEXT: _letters(FORMULA.sub("", pages)), MATHS: _letters(formulas + MATHS_ITALICS + RADICAL)}
    kept = cache / FONT_CACHE
    digest = f"/* {hashlib.sha256(repr(letters).encode()).hexdigest()} */\n"
    if kept.exists() and (text := kept.read_text(encoding="utf-8")).startswith(digest):
        return text.removeprefix(digest)
    rules = "".join(font_face(face, letters[face.family]) + "\n" for face in FACES.values())
    write_atomically(kept, digest + rules)
    return rules


def copy_font_licence(static: Path) -> None:
    """Put the licence beside the style sheet: it must go with the text font."""
    with resources.as_file(resources.files(_SERIF[0]) / "files/LICENSE.txt") as licence:
        shutil.copy(licence, static / FONT_LICENCE)


def _letters(text: str) -> str:
    return "".join(sorted(set(unescape(text))))


def font_face(face: Face, letters: str) -> str:
    """The @font-face rule that holds a face with these letters."""
    with resources.as_file(resources.files(face.package) / face.path) as font, TemporaryDirectory() as work:
        subset_font(font, letters, small := Path(work, "small.woff2"))
        data = base64.b64encode(small.read_bytes()).decode()
    return f'@font-face{{font-family:"{face.family}";{face.style};src:url(data:font/woff2;base64,{data})}}'


def subset_font(font: Path, letters: str, target: Path, **options: Any) -> None:
    """Write a font with these letters alone, as woff2."""
    chosen = Options(flavor="woff2", hinting=False, **options)  # screens are finer than what hints were made for
    loaded = load_font(font, chosen)
    _set_script_primes(loaded)
    subsetter = Subsetter(chosen)
    subsetter.populate(text=letters)
    subsetter.subset(loaded)
    save_font(loaded, target, chosen)


def _set_script_primes(font: TTFont) -> None:
    """Let primes have the form that a mathematical font keeps for scripts (`ssty`), since TeX raises every prime.

    The usual form is raised already and would stand too high and too small; not every browser applies the feature.
    """
    forms = dict(_script_forms(font))
    for table in font["cmap"].tables:
        for prime in map(ord, PRIMES):
            if (glyph := table.cmap.get(prime)) in forms:
                table.cmap[prime] = forms[glyph]


def _script_forms(font: TTFont) -> Iterator[tuple[str, str]]:
    if "GSUB" not in font or font["GSUB"].table.FeatureList is None:
        return
    table = font["GSUB"].table
    features = [record.Feature for record in table.FeatureList.FeatureRecord if record.FeatureTag == "ssty"]
    lookups = sorted({number for feature in features for number in feature.LookupListIndex})
    for subtable in (part for number in lookups for part in table.LookupList.Lookup[number].SubTable):
        for glyph, forms in getattr(getattr(subtable, "ExtSubTable", subtable), "alternates", {}).items():
            yield glyph, forms[0]
