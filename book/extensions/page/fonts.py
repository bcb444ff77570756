"""The fonts of the pages, subset to the letters in use: a woff2 file for each face and the @font-face rules.

The text is set in Source Serif, formulas in STIX Two Math. `_templates/layout.html` preloads the faces, so that they
are there when the browser breaks its lines, and no line is broken anew (layout shift).
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator
from html import unescape
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from fontTools.subset import Options, Subsetter, load_font, save_font
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata

FONT_SHEET = "fonts.css"
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
TEXT_LICENCE = "files/LICENSE.txt"
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
NOT_SHOWN = re.compile(r"<annotation\b.*?</annotation>|<[^>]*>", re.DOTALL)
# The browser turns a single letter in an <mi> into one of these.
MATHS_ITALICS = "ℎ" + "".join(map(chr, [*range(0x1D434, 0x1D49C), *range(0x1D6E2, 0x1D71C)]))
PRIMES = "′″‴⁗"


def setup(app: Sphinx) -> ExtensionMetadata:
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)  # at INFO it reports each table of each font
    app.add_css_file(FONT_SHEET, priority=100)
    app.connect("html-page-context", preload_fonts)
    return metadata()


def preload_fonts(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Tell the template which fonts a page needs; it names them in the head, before any style sheet."""
    context["preloaded_fonts"] = list(FACES)


def write_fonts(static: Path, pages: str) -> None:
    """Write the faces with the letters of `pages` (HTML) into `static`/fonts, and the sheet of @font-face rules.

    The sheet names each file with a hash of its letters; a face whose letters are the same is not made again.
    """
    formulas = "".join(FORMULA.findall(pages))
    letters = {TEXT: _letters(FORMULA.sub("", pages)), MATHS: _letters(NOT_SHOWN.sub("", formulas) + MATHS_ITALICS)}
    (static / "fonts").mkdir(exist_ok=True)
    rules = [_face_rule(static, name, face, letters[face.family]) for name, face in FACES.items()]
    with resources.as_file(resources.files(_SERIF[0]) / TEXT_LICENCE) as licence:
        shutil.copy(licence, static / "fonts/SourceSerifPro-LICENSE.txt")
    (static / FONT_SHEET).write_text("\n".join(rules) + "\n", encoding="utf-8")


def _letters(text: str) -> str:
    return "".join(sorted(set(unescape(text))))


def _face_rule(static: Path, name: str, face: Face, letters: str) -> str:
    digest = hashlib.sha256(letters.encode()).hexdigest()[:8]
    target, stamp = static / f"fonts/{name}.woff2", static / f"fonts/.{name}-{digest}"
    if not (target.exists() and stamp.exists()):
        with resources.as_file(resources.files(face.package) / face.path) as font:
            subset_font(font, letters, target)
        for old in static.glob(f"fonts/.{name}-????????"):
            old.unlink()
        stamp.touch()
    source = f'url("fonts/{name}.woff2") format("woff2")'
    return f'@font-face{{font-family:"{face.family}";{face.style};font-display:block;src:{source}}}'


def subset_font(font: Path, letters: str, target: Path, **options: Any) -> None:
    """Write a font with these letters alone, as woff2."""
    chosen = Options(flavor="woff2", **options)
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
