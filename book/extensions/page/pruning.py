"""Smaller pages: CSS rules are pruned, fonts are subset, and spans that change no colour are left out of code.

What a page uses is known only once it is written: the theme's templates and scripts put their own classes, icons and
letters around the text, and a later build writes only the pages that changed. So all finished pages are read from disk
here, once, after everything else. This is the only place of the build that does so.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import shutil
from collections.abc import Container, Iterable, Iterator
from html import unescape
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tinycss2
from docutils import nodes
from fontTools.subset import Options, Subsetter, load_font, save_font
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from tinycss2.ast import AtRule, Node, QualifiedRule

from book.extensions import metadata

# Names, punctuation and white space of code have the colour of the rest.
COLOURLESS_SPAN = re.compile(r'<span class="(?:n|nn|p|w)">([^<]*)</span>')
CLASS_OR_ID = re.compile(r'\b(?:class|id)="([^"]*)"')
WORD = re.compile(r"[\w-]+")
# Arguments of :is() and :not() and values of attributes: a name in there that nothing has makes no rule unused.
BRACKETS = re.compile(r"\([^()]*\)|\[[^\]]*\]")
REQUIRED_NAME = re.compile(r"[.#]((?:[\w-]|\\.)+)")
FONT_SHEET = "text-font.css"
FONT_LICENCE = "text-font-LICENSE.txt"
FACES = {
    "Regular": "font-weight:400",
    "It": "font-weight:400;font-style:italic",
    "Bold": "font-weight:700",
}
# A browser decodes a face when text first uses it, and then breaks the lines anew (layout shift): ask for all at once.
LOAD_FACES = 'for (const face of ["", "italic ", "bold "]) document.fonts.load(`${face}1em "Source Serif Pro"`);'
ICON = re.compile("[\ue000-\uf8ff]")  # icon fonts draw at the code points for private use


def setup(app: Sphinx) -> ExtensionMetadata:
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)  # at INFO it reports each table of each font
    app.add_css_file(FONT_SHEET)
    app.add_js_file(None, body=LOAD_FACES, priority=100)
    app.connect("html-page-context", strip_colourless_spans)
    app.connect("build-finished", prune, priority=900)  # after the theme has written its last style sheet
    return metadata()


def strip_colourless_spans(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mark no part of the code that has the colour of plain code; Sphinx lets nobody choose Pygments' formatter."""
    if "body" in context:
        context["body"] = COLOURLESS_SPAN.sub(r"\1", context["body"])


def prune(app: Sphinx, error: Exception | None) -> None:
    """Leave in style sheets and fonts what the finished pages use."""
    if error is not None or app.builder.format != "html":
        return
    book = Path(app.outdir)
    for unused in ("fontawesome.js", "fontawesome.js.map"):  # no page loads it, and it would make each icon a used name
        (book / "_static/scripts" / unused).unlink(missing_ok=True)
    pages = [page.read_text(encoding="utf-8") for page in sorted(book.rglob("*.html"))]
    scripts = (path.read_text(encoding="utf-8") for path in book.rglob("*.js") if "mathjax" not in path.parts)
    sheets = [sheet for sheet in sorted(book.rglob("_static/**/*.css")) if "mathjax" not in sheet.parts]
    sheets = [sheet for sheet in sheets if sheet.name != FONT_SHEET]
    prune_style_sheets(sheets, UsedNames(pages, scripts))
    subset_icon_fonts(book / "_static", sheets)
    embed_text_font(book / "_static", "".join(pages))


# --- style sheets


class UsedNames(Container[str]):
    """The names of classes and elements that the pages have, or that their scripts may give."""

    def __init__(self, pages: Iterable[str], scripts: Iterable[str]) -> None:
        on_pages = {name for page in pages for names in CLASS_OR_ID.findall(page) for name in unescape(names).split()}
        in_scripts = {word for script in scripts for word in WORD.findall(script)}
        self.known = on_pages | in_scripts
        # Scripts put names together: "bs-" and "tooltip".
        self.prefixes = tuple(word for word in in_scripts if re.fullmatch(r"[a-z][\w-]*-", word))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and ("\\" in name or name in self.known or name.startswith(self.prefixes))


def prune_style_sheets(sheets: list[Path], used: Container[str]) -> None:
    """Take the rules out of the style sheets that could only apply to names which no page and no script has."""
    for sheet in sheets:
        sheet.write_text(pruned(sheet.read_text(encoding="utf-8"), used), encoding="utf-8")


def pruned(sheet: str, used: Container[str]) -> str:
    """A style sheet without comments and without unused rules."""
    rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return "\n".join(_used_rules(rules, used)) + "\n"


def _used_rules(rules: Iterable[Node], used: Container[str]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, QualifiedRule):
            selectors = [selector for selector in _selectors(rule) if _may_match(selector, used)]
            if selectors:
                yield f"{','.join(selectors)}{{{tinycss2.serialize(rule.content).strip()}}}"
        elif isinstance(rule, AtRule) and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            if kept := list(_used_rules(inner, used)):
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{''.join(kept)}}}"
        else:
            yield rule.serialize()


def _selectors(rule: QualifiedRule) -> Iterator[str]:
    """The selectors of a rule; commas in brackets separate none."""
    selector: list[Node] = []
    for token in [*rule.prelude, None]:
        if token is None or (token.type == "literal" and token.value == ","):
            yield tinycss2.serialize(selector).strip()
            selector = []
        else:
            selector.append(token)


def _may_match(selector: str, used: Container[str]) -> bool:
    while (bare := BRACKETS.sub("", selector)) != selector:
        selector = bare
    return all(name in used for name in REQUIRED_NAME.findall(selector))


# --- fonts


def subset_icon_fonts(static: Path, sheets: list[Path]) -> None:
    """Leave in the icon fonts what the style sheets still draw."""
    icons = "".join(icon for sheet in sheets for icon in ICON.findall(sheet.read_text(encoding="utf-8")))
    for font in (static / "vendor").rglob("*.woff2"):
        subset_font(font, icons, font, layout_features=[])


def embed_text_font(static: Path, text: str) -> None:
    """Write a style sheet that holds the text font, subset to the letters of the pages, as data.

    A font file of its own would arrive after the lines are broken, and they would be broken anew. The sheet begins with
    the hash of the letters; while they are the same, it is not made again.
    """
    letters = "".join(sorted(set(unescape(text))))
    sheet = static / FONT_SHEET
    digest = f"/* {hashlib.sha256(letters.encode()).hexdigest()} */"
    if sheet.exists() and sheet.read_text(encoding="utf-8").startswith(digest):
        return
    with resources.as_file(resources.files("font_source_serif_pro") / "files") as source:
        faces = [font_face(source / f"SourceSerifPro-{name}.ttf", letters, style) for name, style in FACES.items()]
        shutil.copy(source / "LICENSE.txt", static / FONT_LICENCE)
    sheet.write_text("\n".join([digest, *faces]), encoding="utf-8")


def font_face(font: Path, letters: str, style: str) -> str:
    """The @font-face rule that holds a font with these letters."""
    with TemporaryDirectory() as work:
        subset_font(font, letters, small := Path(work, font.name))
        data = base64.b64encode(small.read_bytes()).decode()
    return f"@font-face{{font-family:Source Serif Pro;{style};src:url(data:font/woff2;base64,{data})}}"


def subset_font(font: Path, letters: str, target: Path, **options: Any) -> None:
    """Write a font with these letters alone, as woff2."""
    chosen = Options(flavor="woff2", **options)
    loaded = load_font(font, chosen)
    subsetter = Subsetter(chosen)
    subsetter.populate(text=letters)
    subsetter.subset(loaded)
    save_font(loaded, target, chosen)
