"""What no page uses is not shipped: rules of the style sheet, icons and files.

What a page uses is known only once it is written: the theme's templates and scripts put their own classes, icons and
letters around the text, and a later build writes only the pages that changed. So all finished pages are read from disk
here, once, after everything else. This is the only place of the build that does so.

Without it, chapter 4 would wait for 162 kB of compressed style sheet instead of 96 (71 of them fonts), and a first
visit to the shortest page would pass the 250 kB that a first visit may load (191 kB with it).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from html import unescape
from pathlib import Path

import tinycss2
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from tinycss2.ast import AtRule, Node, QualifiedRule

from book.extensions import metadata
from book.extensions.page.drawings import FRAMES
from book.extensions.page.fonts import copy_font_licence, font_faces, subset_font
from book.extensions.page.previews import FOLDER
from book.extensions.page.style_sheet import STYLE_SHEET, joined, registered_sheets
from gradelib._files import write_atomically

# All browsers that know MathML read woff2, so that no other form of a font need be there.
OTHER_FONTS = re.compile(r',\s*url\([^)]*\.ttf\)\s*format\("truetype"\)')
CLASS_OR_ID = re.compile(r'\b(?:class|id)="([^"]*)"')
WORD = re.compile(r"[\w-]+")
# Arguments of :is() and :not() and values of attributes: a name in there that nothing has makes no rule unused.
BRACKETS = re.compile(r"\([^()]*\)|\[[^\]]*\]")
REQUIRED_NAME = re.compile(r"[.#]((?:[\w-]|\\.)+)")
SOURCE_MAP = re.compile(r"\n//# sourceMappingURL=\S*")
ICON = re.compile("[\ue000-\uf8ff]")  # icon fonts draw at the code points for private use


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("build-finished", prune, priority=900)  # after the theme has written its last style sheet
    return metadata()


def prune(app: Sphinx, error: Exception | None) -> None:
    """Write the style sheet and the icon fonts with what the finished pages use, and remove what nothing names."""
    # Where no page is out of date Sphinx prepares no context for pages, and copies no sheets.
    if error is not None or app.builder.format != "html" or not hasattr(app.builder, "globalcontext"):
        return
    book, static = Path(app.outdir), Path(app.outdir, "_static")
    pages = [page.read_text(encoding="utf-8") for page in sorted(book.rglob("*.html")) if static not in page.parents]
    scripts = loaded_scripts(static, pages)
    sheet = pruned(joined(static, registered_sheets(app)), UsedNames(pages, scripts))
    write_atomically(static / STYLE_SHEET, sheet + font_faces(Path(app.doctreedir), "".join(pages)))
    remove_unnamed_files(static, "".join([STYLE_SHEET, *pages, sheet, *scripts]))
    subset_icon_fonts(static, sheet)
    copy_font_licence(static)


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


def pruned(sheet: str, used: Container[str]) -> str:
    """A style sheet without comments, without unused rules and without fonts in an old form."""
    rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return OTHER_FONTS.sub("", "\n".join(_used_rules(rules, used))) + "\n"


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


# --- files


def loaded_scripts(static: Path, pages: Iterable[str]) -> list[str]:
    """The texts of the scripts that pages name, or that such a script names; they lose the links to their sources."""
    frames = static / FRAMES  # drawings, whose letters are no names
    unread, named, found = [path for path in static.rglob("*.js") if frames not in path.parents], "".join(pages), []
    while loaded := [path for path in unread if path.name in named]:
        unread = [path for path in unread if path not in loaded]
        for path in loaded:
            before = path.read_text(encoding="utf-8")
            if (text := SOURCE_MAP.sub("", before)) != before:
                write_atomically(path, text)
            found.append(text)
            named += text
    return found


def remove_unnamed_files(static: Path, texts: str) -> None:
    """Remove what no text names, but for licences and for previews, whose names a script puts together."""
    for path in [path for path in static.rglob("*") if path.is_file()]:
        if path.name not in texts and "LICENSE" not in path.name and static / FOLDER not in path.parents:
            path.unlink()
    for folder in sorted((path for path in static.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):
            folder.rmdir()  # an empty one


# --- icons


def subset_icon_fonts(static: Path, sheet: str) -> None:
    """Leave in the icon fonts what the style sheet still draws."""
    icons = "".join(ICON.findall(sheet))
    for font in (static / "vendor").rglob("*.woff2"):
        subset_font(font, icons, font, layout_features=[])
