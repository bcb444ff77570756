"""Pruning: unused CSS rules, icons and files are gone, and pages look as they do with them."""

from __future__ import annotations

from importlib import resources

import pytest
from corpora import some_of
from fontTools.ttLib import TTFont

from benchmarks.page_audit import PHONE
from book.extensions.page import pruning

NAMES = {"used", "also-used"}
KEPT = {
    "p{margin:0}": "p{margin:0}",
    ".used>p,.idle>p{margin:0}": ".used>p{margin:0}",
    "#used.also-used:hover::before{margin:0}": "#used.also-used:hover::before{margin:0}",
    ":is(.idle,.used) p{margin:0}": ":is(.idle,.used) p{margin:0}",
    "p:not(.idle){margin:0}": "p:not(.idle){margin:0}",
    '[class*=".idle"],[data-a="x,y"]{margin:0}': '[class*=".idle"],[data-a="x,y"]{margin:0}',
    "@media print{.idle{margin:0}.used{margin:0}}": "@media print{.used{margin:0}}",
    "@supports (a:b){@media print{.used{margin:0}}}": "@supports (a:b){@media print{.used{margin:0}}}",
    "@font-face{font-family:x}": "@font-face{font-family:x}",
    "@keyframes idle{from{margin:0}}": "@keyframes idle{from{margin:0}}",
    '@import "a.css";': '@import "a.css";',
}
DROPPED = [
    ".idle{margin:0}",
    ".used .idle{margin:0}",
    ".used.idle{margin:0}",
    "@media print{.idle{margin:0}}",
    "/* a */",
]


@pytest.mark.parametrize(("sheet", "left"), KEPT.items())
def test_a_rule_that_may_apply_stays(sheet, left):
    assert pruning.pruned(sheet, NAMES) == left + "\n"


@pytest.mark.parametrize("sheet", DROPPED)
def test_a_rule_that_applies_to_nothing_goes(sheet):
    assert pruning.pruned(sheet, NAMES).strip() == ""


def test_names_come_from_pages_and_from_scripts():
    page = '<p class="one  two&amp;three" id="four">five</p>'
    script = 'p.classList.add("six"); p.className = `seven-${eight}`; 9 - p'
    names = pruning.UsedNames([page], [script])
    assert [name for name in ("one", "two&three", "four", "six", "seven-up", r"md\:up") if name not in names] == []
    assert [name for name in ("five-up", "up", "eleven-up") if name in names] == []


def test_a_file_stays_only_where_something_names_it(tmp_path):
    for name in ("one.js", "two.js", "idle.js", "a.svg", "b.svg", "gone/c.svg", "LICENSE.txt", "previews/d.js"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "one.js").write_text("load('two.js');\n//# sourceMappingURL=one.js.map")
    (tmp_path / "one.js.map").touch()
    page = '<script src="one.js?v=1"></script><img src="a.svg">'
    scripts = pruning.loaded_scripts(tmp_path, [page])
    assert scripts == ["load('two.js');", ""]
    pruning.remove_unnamed_files(tmp_path, "".join([page, *scripts]))
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["LICENSE.txt", "a.svg", "one.js", "previews/d.js", "two.js"]
    assert not (tmp_path / "gone").exists()


def test_no_idle_file_is_shipped(built_book):
    """Nor is the theme's script with icons, or a file that only a tool for developers would ask for.

    What figures consist of, their frames and pixels, is the chapters' own and does not count as the theme's.
    """
    endings = {path.suffix for path in (built_book / "_static").rglob("*") if path.is_file()}
    assert endings <= {".css", ".js", ".svg", ".png", ".webp", ".woff2", ".txt"}
    names = {path.name for path in (built_book / "_static").rglob("*.js")}
    assert not {"fontawesome.js", "bootstrap.js", "design-tabs.js"} & names
    files = [path for path in (built_book / "_static").rglob("*") if path.is_file()]
    kept = [path for path in files if path.parent.name not in ("frames", "pixels")]
    assert sum(path.stat().st_size for path in kept) < 1_000_000


def test_the_icon_fonts_hold_what_the_style_sheets_draw(built_book):
    static = built_book / "_static"
    sheets = "".join(path.read_text(encoding="utf8") for path in static.rglob("*.css"))
    icons = {ord(icon) for icon in pruning.ICON.findall(sheets)}
    drawn = {sign for font in static.rglob("fa-*.woff2") for sign in TTFont(font).getBestCmap()}
    assert len(icons) > 20
    assert icons <= drawn | {0xF000}
    assert sum(font.stat().st_size for font in static.rglob("fa-*.woff2")) < 20_000


# --- in the browser

# Of each kind of part its name and a number that changes with any of its properties.
STYLES = """
const number = (text) => [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) | 0, 0);
document.getAnimations().forEach((animation) => animation.finish()); // of what fades in when a page is opened
const out = [], seen = new Set();
for (const tag of document.querySelectorAll("body, body *:not(math *, math)")) {
  const kind = [tag.parentElement.className, tag.localName, tag.className].join();
  if (seen.has(kind)) continue;
  seen.add(kind);
  for (const part of [null, "::before", "::after"]) {
    const style = getComputedStyle(tag, part);
    if (part && ["none", "normal"].includes(style.content)) continue;
    const said = [...style].filter((name) => !name.startsWith("--")).map((name) => style.getPropertyValue(name));
    out.push([`<${tag.localName} class="${tag.className}">${part ?? ""}`, number(said.join(";"))]);
  }
}
return out;"""
# Of two rules of one weight the later one applies: the whole sheets come before the pruned one.
WHOLE = """
const done = arguments[0], link = document.createElement("link");
Object.assign(link, { rel: "stylesheet", href: ADDRESS, onload: () => requestAnimationFrame(() => done()) });
document.querySelector("link[rel=stylesheet]").before(link);"""
SHEETS = [
    "pydata_sphinx_theme/theme/pydata_sphinx_theme/static/styles/pydata-sphinx-theme.css",
    "sphinx_book_theme/theme/sphinx_book_theme/static/styles/sphinx-book-theme.css",
    "sphinx_design/static/sphinx-design.min.css",
]


@pytest.mark.slow
@pytest.mark.sampled
@pytest.mark.parametrize("form", some_of(["desktop, light mode", "phone, dark mode"], 1))
def test_a_page_looks_as_it_would_with_all_rules(built_book, browser, form):
    width, height = PHONE if "phone" in form else (1300, 900)
    browser.emulate(width=width, height=height, dark="dark" in form)
    browser.open(built_book / "book" / "08-grae.html")
    before = browser.run(STYLES)
    assert len(before) > 200
    for sheet in SHEETS:
        package, _, path = sheet.partition("/")
        with resources.as_file(resources.files(package) / path) as whole:
            browser.run_async(WHOLE.replace("ADDRESS", f'"{whole.as_uri()}"'))
    after = browser.run(STYLES)
    assert [name for (name, old), (_, new) in zip(before, after, strict=True) if old != new] == []
