"""What a page would carry for nothing: rules, icons and letters that no page uses, and marks that change no colour."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from html import unescape
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tinycss2
from docutils import nodes
from fontTools.subset import Options, Subsetter, load_font, save_font
from sphinx.application import Sphinx
from tinycss2.ast import AtRule, Node, QualifiedRule

# Names, punctuation and white space of code have the colour of the rest.
COLOURLESS = re.compile(r'<span class="(?:n|nn|p|w)">([^<]*)</span>')
NAMES = re.compile(r'\b(?:class|id)="([^"]*)"')
WORD = re.compile(r"[\w-]+")
# In brackets stand alternatives and negations: what is said there of a name that nothing has makes no rule idle.
BRACKETS = re.compile(r"\([^()]*\)|\[[^\]]*\]")
NEEDED = re.compile(r"[.#]((?:[\w-]|\\.)+)")
LETTERS = "letters.css"
FACES = {
    "Regular": "font-weight:400",
    "It": "font-weight:400;font-style:italic",
    "Bold": "font-weight:700",
}
# A face is made ready when something is first set in it: too late for a page that is not to break its lines anew.
READY = 'for (const face of ["", "italic ", "bold "]) document.fonts.load(`${face}1em "Source Serif Pro"`);'
ICON = re.compile("[\ue000-\uf8ff]")  # code points for private use


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_css_file(LETTERS)
    app.add_js_file(None, body=READY, priority=100)
    app.connect("html-page-context", drop_idle_marks)
    app.connect("build-finished", drop_icon_script)
    app.connect("build-finished", drop_idle_rules, priority=900)  # after the theme has written its last one
    app.connect("build-finished", drop_idle_icons, priority=910)
    app.connect("build-finished", bring_letters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def drop_idle_marks(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mark no part of the code that has the colour of plain code anyway."""
    if "body" in context:
        context["body"] = COLOURLESS.sub(r"\1", context["body"])


def drop_icon_script(app: Sphinx, error: Exception | None) -> None:
    """Empty the theme's 1.4 MB of icon script: its style sheet draws the same icons with a font."""
    script = Path(app.outdir, "_static", "scripts", "fontawesome.js")
    if error is None and script.exists():
        script.write_text("")


# --- style sheets


def drop_idle_rules(app: Sphinx, error: Exception | None) -> None:
    """Take the rules out of the style sheets that could only apply to names which no page and no script has."""
    if error is None and app.builder.format == "html":
        names = Names(Path(app.outdir))
        for sheet in style_sheets(app):
            text = sheet.read_text(encoding="utf-8")
            sheet.write_text(pruned(text, names), encoding="utf-8")


def style_sheets(app: Sphinx) -> Iterator[Path]:
    static = Path(app.outdir, "_static")
    return (sheet for sheet in sorted(static.rglob("*.css")) if "mathjax" not in sheet.parts and sheet.name != LETTERS)


class Names:
    """The names of classes and elements that a book's pages have, or that its scripts may give."""

    def __init__(self, book: Path) -> None:
        pages = (page.read_text(encoding="utf-8") for page in book.rglob("*.html"))
        scripts = (path.read_text(encoding="utf-8") for path in book.rglob("*.js") if "mathjax" not in path.parts)
        on_pages = {name for page in pages for names in NAMES.findall(page) for name in unescape(names).split()}
        in_scripts = {word for script in scripts for word in WORD.findall(script)}
        self.known = on_pages | in_scripts
        # Scripts put names together: "bs-" and "tooltip".
        self.beginnings = tuple(word for word in in_scripts if re.fullmatch(r"[a-z][\w-]*-", word))

    def __contains__(self, name: str) -> bool:
        return "\\" in name or name in self.known or name.startswith(self.beginnings)


def pruned(sheet: str, names: Names | set[str]) -> str:
    """A style sheet without comments and without the rules that apply to nothing."""
    rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return "\n".join(_kept(rules, names)) + "\n"


def _kept(rules: Iterable[Node], names: Names | set[str]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, QualifiedRule):
            selectors = [part for part in _selectors(rule) if _applies(part, names)]
            if selectors:
                yield f"{','.join(selectors)}{{{tinycss2.serialize(rule.content).strip()}}}"
        elif isinstance(rule, AtRule) and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            if kept := list(_kept(inner, names)):
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{''.join(kept)}}}"
        else:
            yield rule.serialize()


def _selectors(rule: QualifiedRule) -> Iterator[str]:
    """The alternatives before the braces; commas in brackets part none."""
    part = []
    for token in [*rule.prelude, None]:
        if token is None or (token.type == "literal" and token.value == ","):
            yield tinycss2.serialize(part).strip()
            part = []
        else:
            part.append(token)


def _applies(selector: str, names: Names | set[str]) -> bool:
    while (bare := BRACKETS.sub("", selector)) != selector:
        selector = bare
    return all(name in names for name in NEEDED.findall(selector))


# --- fonts


def drop_idle_icons(app: Sphinx, error: Exception | None) -> None:
    """Leave in the icon fonts what the style sheets still draw."""
    if error is None and app.builder.format == "html":
        text = "".join(sheet.read_text(encoding="utf-8") for sheet in style_sheets(app))
        for font in Path(app.outdir, "_static", "vendor").rglob("*.woff2"):
            keep(font, "".join(ICON.findall(text)), font, layout_features=[])


def bring_letters(app: Sphinx, error: Exception | None) -> None:
    """Write a style sheet that holds the letters of the pages: a font of its own would come when lines are broken."""
    if error is not None or app.builder.format != "html":
        return
    pages = sorted(Path(app.outdir).rglob("*.html"))
    letters = "".join(sorted({letter for page in pages for letter in unescape(page.read_text(encoding="utf-8"))}))
    sheet = Path(app.outdir, "_static", LETTERS)
    seal = f"/* {hashlib.sha256(letters.encode()).hexdigest()} */"
    if sheet.exists() and sheet.read_text(encoding="utf-8").startswith(seal):
        return  # these letters are there already
    with resources.as_file(resources.files("font_source_serif_pro") / "files") as source:
        faces = [_face(source / f"SourceSerifPro-{name}.ttf", letters, style) for name, style in FACES.items()]
        shutil.copy(source / "LICENSE.txt", sheet.with_name("letters-LICENSE.txt"))
    sheet.write_text("\n".join([seal, *faces]), encoding="utf-8")


def _face(font: Path, letters: str, style: str) -> str:
    """The rule of a style sheet that brings a font with these letters along."""
    with TemporaryDirectory() as work:
        keep(font, letters, small := Path(work, font.name))
        data = base64.b64encode(small.read_bytes()).decode()
    return f"@font-face{{font-family:Source Serif Pro;{style};src:url(data:font/woff2;base64,{data})}}"


def keep(font: Path, signs: str, target: Path, **options: Any) -> None:
    """Write a font with these signs alone."""
    chosen = Options(flavor="woff2", **options)
    loaded = load_font(font, chosen)
    subsetter = Subsetter(chosen)
    subsetter.populate(text=signs)
    subsetter.subset(loaded)
    save_font(loaded, target, chosen)
