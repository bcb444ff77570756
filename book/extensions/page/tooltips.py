"""Tooltips with definitions: a chapter's first use of a word or a symbol shows what it means.

Words are defined in the glossary, symbols in the table of class `symbols`. The word becomes a link to its definition. A
copy follows it (role `tooltip`), hidden until the word has the mouse or the keyboard's focus; the style sheet shows it,
and `tooltips.js` lets Escape close it. A word whose entry has a remark in brackets, such as “code (of an example)”, has
an everyday meaning too and is not marked. Nor is a symbol in braces, `${P}$`, which a chapter uses in a sense of its
own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any, cast

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

from book.extensions import is_chapter, metadata
from book.extensions.mathml import to_mathml

# Paragraphs count as running text where all nodes around them are of these kinds: not in boxes, tables, exercises.
AROUND = (nodes.document, nodes.section, nodes.bullet_list, nodes.enumerated_list, nodes.list_item, nodes.paragraph)
INSIDE = (nodes.emphasis,)  # what is bold often serves as a heading


class defined_term(nodes.Inline, nodes.TextElement):  # noqa: N801  (nodes of docutils have small letters)
    """A word of the text with its definition."""


Pieces = tuple[tuple[bool, str], ...]  # of a text: whether it is a formula, and what it says


@dataclass(frozen=True)
class Term:
    """An entry of the glossary or a symbol: the word or the formula, and where and how it is defined."""

    word: str
    docname: str
    anchor: str
    definition: Pieces
    is_symbol: bool = False

    @property
    def pattern(self) -> str:
        """The word, also in the plural and across a line break."""
        words = r"\s+".join(map(re.escape, self.word.split()))
        ending = words[:-1] + "(?:y|ies)" if words.endswith("y") else words + "(?:e?s)?"
        return ending.replace("'", "['’]")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_node(defined_term, html=(visit_defined_term, depart_defined_term))
    app.add_domain(TermDomain)
    app.add_js_file("tooltips.js", loading_method="defer")
    app.connect("doctree-read", collect_terms)
    app.connect("env-updated", chapters_to_rewrite)
    app.connect("doctree-resolved", mark_terms)
    return metadata()


# --- the glossary and the symbols


class TermDomain(Domain):
    """Stores the terms of each page that has a glossary or a table of symbols."""

    name = "terms"
    label = "Terms with tooltips"
    initial_data: dict[str, Any] = {"terms": {}, "written": []}  # noqa: RUF012  (as Domain declares it)
    data_version = 1

    @property
    def terms(self) -> dict[str, list[Term]]:
        """The terms of each page, by its docname."""
        return self.data["terms"]

    @property
    def all(self) -> list[Term]:
        return [term for terms in self.terms.values() for term in terms]

    def clear_doc(self, docname: str) -> None:
        self.terms.pop(docname, None)

    def merge_domaindata(self, docnames: list[str], otherdata: dict[str, Any]) -> None:
        self.terms.update({name: terms for name, terms in otherdata["terms"].items() if name in docnames})


def term_domain(env: BuildEnvironment) -> TermDomain:
    return cast(TermDomain, env.get_domain(TermDomain.name))


def collect_terms(app: Sphinx, doctree: nodes.document) -> None:
    """Read the definitions of a page; its quotation marks are typographic by now, unlike in `Domain.process_doc`."""
    docname = app.env.docname
    if found := [*read_terms(docname, doctree), *read_symbols(docname, doctree)]:
        term_domain(app.env).terms[docname] = found


def chapters_to_rewrite(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """All chapters, where a definition is not what it was when they were written; otherwise none."""
    domain = term_domain(env)
    before, domain.data["written"] = domain.data["written"], domain.all
    return [] if domain.all == before else [name for name in env.found_docs if is_chapter(name)]


def read_terms(docname: str, doctree: nodes.document) -> Iterator[Term]:
    """The definition of a term is its first paragraph; what follows says where the book introduces it."""
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            for term in item.findall(nodes.term):
                yield Term(term.astext(), docname, term["ids"][0], pieces(item[-1][0]))


def read_symbols(docname: str, doctree: nodes.document) -> Iterator[Term]:
    """A row whose first cell is one formula defines it in its last cell; it gets an anchor."""
    for table in doctree.findall(nodes.table):
        rows = [row for body in table.findall(nodes.tbody) for row in body] if "symbols" in table["classes"] else []
        for number, row in enumerate(rows, start=1):
            formulas = list(row[0].findall(nodes.math))
            if len(formulas) == 1:
                row["ids"].append(f"symbol-{number}")
                yield Term(formulas[0].astext(), docname, f"symbol-{number}", pieces(row[-1]), is_symbol=True)


def pieces(node: nodes.Element) -> Pieces:
    """What a definition says, without emphasis and the like."""
    leaves = node.findall(lambda leaf: isinstance(leaf, nodes.Text | nodes.math) and _outside_of_formulas(leaf))
    return tuple((isinstance(leaf, nodes.math), re.sub(r"\s+", " ", leaf.astext())) for leaf in leaves)


def _outside_of_formulas(leaf: nodes.Node) -> bool:
    return not isinstance(leaf.parent, nodes.math)


# --- the text


def mark_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Mark the first use of each term on a chapter's HTML page: another builder makes the notebooks."""
    if app.builder.format != "html" or not is_chapter(docname):
        return
    known = term_domain(app.env).all
    mark_symbols(app, doctree, docname, [term for term in known if term.is_symbol])
    mark_words(app, doctree, docname, [term for term in known if not term.is_symbol and "(" not in term.word])


def mark_symbols(app: Sphinx, doctree: nodes.document, docname: str, symbols: list[Term]) -> None:
    """Mark the formulas in running text that consist of one symbol, each symbol once."""
    unseen = {term.word: term for term in symbols}
    paragraphs = filter(_is_running, doctree.findall(nodes.paragraph))
    for formula in [formula for paragraph in paragraphs for formula in paragraph.findall(nodes.math)]:
        if _is_plain(formula.parent) and (term := unseen.pop(formula.astext(), None)):
            marked = defined_term("", "", **_described(app, docname, term))
            formula.replace_self(marked)
            marked += formula


def mark_words(app: Sphinx, doctree: nodes.document, docname: str, terms: list[Term]) -> None:
    """Mark words and phrases in running text, each definition once."""
    if not terms:
        return
    longest_first = sorted(terms, key=lambda term: -len(term.word))
    # A hyphen or the sign of GRAE≈ makes another word of it.
    any_term = re.compile(rf"(?<![\w-])(?:{'|'.join(f'({t.pattern})' for t in longest_first)})(?![\w≈-])", re.I)
    seen: set[Pieces] = set()  # definitions: of two words with one definition only the first is marked
    for text in running_texts(doctree):
        parts = list(_split(app, docname, text.astext(), any_term, longest_first, seen))
        if len(parts) > 1:
            text.parent.replace(text, parts)


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
    app: Sphinx, here: str, text: str, any_term: re.Pattern[str], terms: list[Term], seen: set[Pieces]
) -> Iterator[nodes.Node]:
    """The text, cut at the terms that the page has not used yet."""
    start = 0
    for match in any_term.finditer(text):
        term = terms[(match.lastindex or 0) - 1]
        if term.definition not in seen:
            seen.add(term.definition)
            yield nodes.Text(text[start : match.start()])
            yield defined_term(match[0], match[0], **_described(app, here, term))
            start = match.end()
    yield nodes.Text(text[start:])


def _described(app: Sphinx, here: str, term: Term) -> dict[str, str | Pieces]:
    """What a page has to know of a term; a formula also needs a name that can be read out, such as Sigma."""
    address = f"{app.builder.get_relative_uri(here, term.docname)}#{term.anchor}"
    name = term.word.replace(r"\mid", "|").replace("\\", "") if term.is_symbol else ""
    return {"address": address, "anchor": term.anchor, "definition": term.definition, "name": name}


# --- the page


def visit_defined_term(self: HTML5Translator, node: defined_term) -> None:
    address, anchor, name = (escape(node[key]) for key in ("address", "anchor", "name"))
    label = f' aria-label="{name}"' if name else ""
    self.body.append(f'<a class="gl-term" href="{address}"{label} aria-describedby="gl-{anchor}">')


def depart_defined_term(self: HTML5Translator, node: defined_term) -> None:
    name, words = escape(node["anchor"]), "".join(_html(*piece) for piece in node["definition"])
    self.body.append(f'</a><span class="gl-definition" role="tooltip" id="gl-{name}" hidden>{words}</span>')


def _html(is_formula: bool, text: str) -> str:
    return to_mathml(text, annotated=False) if is_formula else escape(text)
