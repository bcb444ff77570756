"""Definitions where they are needed: a chapter's first use of a word of the glossary shows what the word means.

The word becomes a link to the glossary. Its definition stands behind it, hidden until the word has the mouse or the
keyboard's focus; the style sheet does that, and a script lets Escape close it. A word whose entry has a remark in
brackets, such as “code (of an example)”, has an everyday meaning too and is not marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import PurePosixPath

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector
from sphinx.writers.html5 import HTML5Translator

# Running text stands in paragraphs of these alone: boxes, tables and exercises stay as they are.
AROUND = (nodes.document, nodes.section, nodes.bullet_list, nodes.enumerated_list, nodes.list_item, nodes.paragraph)
INSIDE = (nodes.emphasis,)  # what is bold often serves as a heading


class defined_term(nodes.Inline, nodes.TextElement):  # noqa: N801  (nodes of docutils have small letters)
    """A word of the text with its definition."""


@dataclass(frozen=True)
class Term:
    """An entry of the glossary: the word, and where and how it is defined."""

    word: str
    docname: str
    anchor: str
    definition: str

    @property
    def pattern(self) -> str:
        """The word, also in the plural and across a line break."""
        words = r"\s+".join(map(re.escape, self.word.split()))
        ending = words[:-1] + "(?:y|ies)" if words.endswith("y") else words + "(?:e?s)?"
        return ending.replace("'", "['’]")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(defined_term, html=(visit, depart))
    app.add_env_collector(Collector)
    app.add_js_file("terms.js", loading_method="defer")
    app.connect("doctree-resolved", mark_terms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# --- the glossary


def glossaries(env: BuildEnvironment) -> dict[str, list[Term]]:
    """The terms of each page that has a glossary."""
    if not hasattr(env, "gradelib_terms"):
        env.gradelib_terms = {}
    return env.gradelib_terms


class Collector(EnvironmentCollector):
    """Reads the glossary. When it changes, every chapter is written anew."""

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        glossaries(env).pop(docname, None)

    def merge_other(self, app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
        glossaries(env).update({name: terms for name, terms in glossaries(other).items() if name in docnames})

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        docname = app.env.docname
        if found := list(read_terms(docname, doctree)):
            glossaries(app.env)[docname] = found

    def get_updated_docs(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        now = [term for terms in glossaries(env).values() for term in terms]
        before, env.gradelib_terms_shown = getattr(env, "gradelib_terms_shown", None), now
        return [] if now == before else list(filter(is_chapter, env.found_docs))


def read_terms(docname: str, doctree: nodes.document) -> Iterator[Term]:
    """The definition of a term is its first paragraph; what follows says where the book introduces it."""
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            definition = " ".join(item[-1][0].astext().split())
            for term in item.findall(nodes.term):
                yield Term(term.astext(), docname, term["ids"][0], definition)


def is_chapter(docname: str) -> bool:
    """Chapters have numbered names."""
    return PurePosixPath(docname).name[0].isdigit()


# --- the text


def mark_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Mark the first use of each term on a chapter's page. Notebooks, which another builder makes, stay as they are."""
    terms = [term for found in glossaries(app.env).values() for term in found if "(" not in term.word]
    if app.builder.format != "html" or not is_chapter(docname) or not terms:
        return
    longest_first = sorted(terms, key=lambda term: -len(term.word))
    # A hyphen or the sign of GRAE≈ makes another word of it.
    any_term = re.compile(rf"(?<![\w-])(?:{'|'.join(f'({t.pattern})' for t in longest_first)})(?![\w≈-])", re.I)
    seen: set[str] = set()  # definitions: of two words with one definition only the first is marked
    for text in running_texts(doctree):
        pieces = list(_split(app, docname, text.astext(), any_term, longest_first, seen))
        if len(pieces) > 1:
            text.parent.replace(text, pieces)


def running_texts(doctree: nodes.document) -> list[nodes.Text]:
    """The texts of paragraphs; each was a node for every line and is now one, so that a word may go over two lines."""
    for paragraph in filter(_is_running, doctree.findall(nodes.paragraph)):
        for parent in filter(_is_plain, paragraph.findall()):
            parent.children = list(_joined(parent.children))
    paragraphs = filter(_is_running, doctree.findall(nodes.paragraph))
    return [text for paragraph in paragraphs for text in paragraph.findall(nodes.Text) if _is_plain(text.parent)]


def _is_running(node: nodes.Node) -> bool:
    while node is not None and isinstance(node, AROUND):
        node = node.parent
    return node is None


def _is_plain(node: nodes.Node) -> bool:
    """Whether a node is a paragraph, or emphasis in one."""
    while isinstance(node, INSIDE):
        node = node.parent
    return isinstance(node, nodes.paragraph)


def _joined(children: list[nodes.Node]) -> Iterator[nodes.Node]:
    for is_text, group in groupby(children, key=lambda child: isinstance(child, nodes.Text)):
        if is_text:
            text = nodes.Text("".join(map(str, group)))
            text.parent = children[0].parent
            yield text
        else:
            yield from group


def _split(
    app: Sphinx, here: str, text: str, any_term: re.Pattern[str], terms: list[Term], seen: set[str]
) -> Iterator[nodes.Node]:
    """The text, cut at the terms that the page has not used yet."""
    start = 0
    for match in any_term.finditer(text):
        term = terms[match.lastindex - 1]
        if term.definition not in seen:
            seen.add(term.definition)
            yield nodes.Text(text[start : match.start()])
            address = f"{app.builder.get_relative_uri(here, term.docname)}#{term.anchor}"
            yield defined_term(match[0], match[0], address=address, anchor=term.anchor, definition=term.definition)
            start = match.end()
    yield nodes.Text(text[start:])


# --- the page


def visit(self: HTML5Translator, node: defined_term) -> None:
    address, name = escape(node["address"]), escape(node["anchor"])
    self.body.append(f'<a class="gl-term" href="{address}" aria-describedby="gl-{name}">')


def depart(self: HTML5Translator, node: defined_term) -> None:
    name, words = escape(node["anchor"]), escape(node["definition"])
    self.body.append(f'</a><span class="gl-definition" role="tooltip" id="gl-{name}" hidden>{words}</span>')
