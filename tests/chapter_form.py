"""How much of a chapter a first reader reads: its prose, and the code that is open, read off its source.

python -m tests.chapter_form        prints both for every chapter
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import yaml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from book.extensions import chapter_sources

ROOT = Path(__file__).parents[1]
MOST_WORDS, MOST_CODE = 4000, 25
LEAST_OPTIONAL, MOST_OPTIONAL = 0.27, 0.5  # about a third; a chapter that is half optional is two chapters

HIDDEN_CODE = {"hide-input", "hide-cell", "remove-input", "remove-cell", "exercise", "solution"}
ADMONITIONS = {"admonition", "note", "tip", "warning", "important", "seealso", "hint", "caution", "attention"}
NO_PROSE = {"math", "bibliography", "raw", "image", "code", "code-block", "eval-rst", "recorded", "toctree"}
WITH_TITLE = {*ADMONITIONS, "optional", "dropdown", "exercise-start", "prf:theorem", "prf:lemma", "prf:proposition"}

_OPTIONS = re.compile(r"\A(?:---\n.*?\n---\n|(?::[\w-]+:[^\n]*\n)+)", re.DOTALL)
_TITLED = re.compile(r"(.*?)\s*<([^<>]+)>", re.DOTALL)
_EXTENSIONS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["parse"]["myst_enable_extensions"]
_PARSER = create_md_parser(MdParserConfig(enable_extensions=_EXTENSIONS), RendererHTML)


@dataclass
class Form:
    """What a chapter holds.

    `prose` and `optional` are its words outside and inside of folds, without displayed formulas, code and solutions,
    `code` each heading with the lines of open code below it, `references` the labels of links that show a title.
    """

    prose: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)
    code: list[tuple[str, int]] = field(default_factory=lambda: [("the title", 0)])
    references: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The part of the words that is optional."""
        return len(self.optional) / max(1, len(self.optional) + len(self.prose))

    @property
    def most_code(self) -> int:
        return max(lines for _, lines in self.code)


def form_of(markdown: str) -> Form:
    """The form of a chapter with this source."""
    reading = _Reading()
    reading.read(_PARSER.parse(markdown), folded=False)
    return reading.form


def title_and_label(markdown: str) -> tuple[str, str]:
    """The title of a chapter, and the label that stands above it; either may be empty."""
    found = re.search(r"^(?:\(([\w-]+)\)=\n+)?# ([^\n]+)", markdown, re.MULTILINE)
    return (found[2], found[1] or "") if found else ("", "")


def faults(markdown: str, titles: dict[str, str]) -> list[str]:
    """What the form of a chapter lacks; `titles` maps the label of each chapter to its title."""
    form = form_of(markdown)
    found = []
    if len(form.prose) > MOST_WORDS:
        found.append(f"{len(form.prose)} words outside of optional folds, at most {MOST_WORDS}")
    if not LEAST_OPTIONAL <= form.share <= MOST_OPTIONAL:
        found.append(f"{form.share:.0%} of the words are optional, not {LEAST_OPTIONAL:.0%} to {MOST_OPTIONAL:.0%}")
    for heading, lines in form.code:
        if lines > MOST_CODE:
            found.append(f"{lines} lines of open code below {heading!r}, at most {MOST_CODE}")
    shown = dict.fromkeys(label for label in form.references if label in titles)
    found += [f"a link that shows the title of a chapter: {label}" for label in shown]
    said = " ".join([*form.prose, *form.optional]).lower()
    found += [
        f"a chapter named by its title: {title}" for title in titles.values() if title.lower().rstrip("?") in said
    ]
    return found


class _Reading:
    """Reads tokens from top to bottom; what is below an `optional` without content is folded up to the next heading."""

    def __init__(self) -> None:
        self.form = Form()
        self.level = 0  # of the last heading
        self.folded_from: int | None = None  # the level of the section whose rest is folded
        self.in_solution = False

    def read(self, tokens: list[Token], *, folded: bool) -> None:
        in_heading = False
        for token in tokens:
            if token.type == "heading_open":
                self.open_section(int(token.tag[1:]))
                in_heading = True
            elif token.type == "heading_close":
                in_heading = False
            elif token.type == "inline":
                words = self.words(token)
                if in_heading:
                    self.form.code.append((" ".join(words), 0))
                else:
                    self.add(words, folded)
            elif token.type in ("fence", "colon_fence") and (match := re.match(r"\{([^}]+)\}\s*(.*)", token.info)):
                self.directive(match[1], match[2], token.content, folded)

    def open_section(self, level: int) -> None:
        self.level = level
        if self.folded_from is not None and level <= self.folded_from:
            self.folded_from = None

    def directive(self, name: str, argument: str, content: str, folded: bool) -> None:
        options, body = _split_options(content)
        if name == "code-cell":
            self.add_code(options, body, folded)
        elif name in ("solution-start", "solution-end"):
            self.in_solution = name == "solution-start"
        elif name == "optional" and not body.strip():
            self.folded_from = self.level
            self.add(_text_words(argument), folded=False)
        elif name not in NO_PROSE and name not in ("solution", "hint"):
            inside = folded or name in ("optional", "dropdown") or (name in ADMONITIONS and "dropdown" in options)
            if name in WITH_TITLE:
                self.add(_text_words(argument), folded)
            self.read(_PARSER.parse(body), folded=inside)

    def add(self, words: list[str], folded: bool) -> None:
        if not self.in_solution:
            (self.form.optional if folded or self.folded_from is not None else self.form.prose).extend(words)

    def add_code(self, options: str, code: str, folded: bool) -> None:
        tags = set(re.findall(r"[\w-]+", options))
        if not (self.in_solution or folded or self.folded_from is not None or tags & HIDDEN_CODE):
            lines = sum(bool(line.strip()) for line in code.splitlines())
            heading, before = self.form.code[-1]
            self.form.code[-1] = heading, before + lines

    def words(self, inline: Token) -> list[str]:
        return _text_words("".join(self.parts(inline)))

    def parts(self, inline: Token) -> Iterator[str]:
        """The text that the page shows; a formula within a line is one word, and so is the number of an equation."""
        for child, after in zip_longest(inline.children or [], (inline.children or [])[1:]):
            if child.type in ("text", "code_inline"):
                yield child.content
            elif child.type in ("softbreak", "hardbreak"):
                yield " "
            elif child.type == "math_inline":
                yield "formula"
            elif child.type == "myst_role":
                yield self.role(child.meta["name"], child.content)
            elif child.type == "link_open" and after is not None and after.type == "link_close":
                self.form.references.append(str(child.attrGet("href")).lstrip("#"))

    def role(self, name: str, content: str) -> str:
        if titled := _TITLED.fullmatch(content):
            return titled[1]
        if name in ("ref", "doc"):
            self.form.references.append(content)
        return "reference" if name in ("ref", "doc", "eq", "numref") or name.startswith("cite") else content


def _split_options(content: str) -> tuple[str, str]:
    match = _OPTIONS.match(content + "\n")
    return (match[0], (content + "\n")[match.end() :]) if match else ("", content)


def _text_words(text: str) -> list[str]:
    return [word for word in text.split() if re.search(r"\w", word)]


def main() -> None:
    for path in chapter_sources(ROOT):
        form = form_of(path.read_text(encoding="utf8"))
        share = f"{form.share:4.0%} of all words optional"
        print(f"{path.stem:22} {len(form.prose):5} words, {share}, at most {form.most_code:3} lines of open code")


if __name__ == "__main__":
    main()
