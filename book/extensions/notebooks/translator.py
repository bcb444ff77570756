"""Turn a page that Sphinx has read and resolved into the Markdown that Jupyter, Colab and GitHub show.

The page arrives as a docutils tree with every number, reference and citation already in place, so that the notebook
says what the HTML page says. Each kind of node has one function here; a kind without one stops the export.
"""

import html
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from urllib.parse import quote

from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sphinx.builders import Builder
from sphinx.locale import admonitionlabels
from sphinx.util.math import get_node_equation_number
from sphinx_proof.nodes import NODE_TYPES

ADMONITIONS = ("note", "tip", "warning", "important", "seealso", "hint", "caution", "attention", "danger", "error")
THEOREMS = {f"{kind}_node" for kind in (*NODE_TYPES, "unenumerable")}
ALIGNMENT = {"text-left": ":---", "text-center": ":---:", "text-right": "---:"}
SILENT = ("comment", "index", "substitution_definition", "tabular_col_spec", "highlightlang", "meta", "docinfo")


class ExportError(Exception):
    """The book cannot become a notebook as it stands; the message is one sentence with file and line."""


@dataclass(frozen=True)
class Piece:
    """A block of Markdown, or the place of a code cell, in the order of the page."""

    text: str = ""
    cell: int | None = None  # index of the code cell in the source, None for Markdown
    line: int = 0
    opens: bool = False  # a heading starts a new Markdown cell
    solution: str = ""  # the name of the solution whose code this is


class NotebookBuilder(Builder):
    """A Sphinx builder that reads and numbers the book but writes no page; it says how links look in a notebook."""

    name = "notebook"
    format = "notebook"
    supported_remote_images = True
    base_url = ""  # set once the configuration is known

    def get_outdated_docs(self) -> Iterable[str]:
        return self.env.found_docs

    def write(self, *_: object) -> None:
        """Nothing: the chosen chapters are resolved and written one by one."""

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        return f"{self.base_url}/{docname}.html"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """A link inside one notebook stays inside; any other leads to the published page."""
        return "" if from_ == to else self.get_target_uri(to)


def pieces(builder: NotebookBuilder, docname: str, document: nodes.document, code: dict[int, str]) -> list[Piece]:
    """The Markdown blocks and code cells of one resolved page; raises ExportError where the page cannot be said.

    `code` has the source of each code cell under its index.
    """
    writer = _Writer(builder, docname, document, code)
    found = list(writer.flow(document.children))
    if missing := writer.linked - writer.placed:
        raise ExportError(f"{document['source']}:1: links lead to {sorted(missing)}, which the notebook does not show.")
    return found


def where(node: nodes.Node) -> tuple[str, int]:
    """File and line of a node; of what it holds or of what holds it, where the node itself does not know them."""
    while node is not None:
        if known := next((inner for inner in node.findall() if inner.source and inner.line), None):
            return known.source, known.line
        node = node.parent
    return "(unknown)", 0


def _refuse(node: nodes.Node, why: str) -> ExportError:
    source, line = where(node)
    return ExportError(f"{source}:{line}: {why}")


class _Writer:
    """Writes one page. `block_…` functions return blocks of Markdown, `span_…` functions text inside a line."""

    def __init__(self, builder: NotebookBuilder, docname: str, document: nodes.document, code: dict[int, str]) -> None:
        self.builder = builder
        self.code = code
        self.config = builder.config
        self.env = builder.env
        self.docname = docname
        # Sphinx's own helper for equation numbers reads `fignumbers` off the builder.
        builder.fignumbers = self.env.toc_fignumbers.get(docname, {})
        self.linked = {link[1:] for ref in document.findall(nodes.reference) if (link := self.link(ref))[0] == "#"}
        self.linked |= {ref["refid"] for ref in document.findall(nodes.footnote_reference)}
        self.placed: set[str] = set()
        self.one_line_maths = False

    # --- the order of the page

    def flow(self, children: Iterable[nodes.Node], level: int = 1) -> Iterator[Piece]:
        for child in children:
            kind = type(child).__name__
            if kind == "section":
                yield self.heading(child, level)
                yield from self.flow(child.children[1:], level + 1)
            elif kind in ("exercise_enumerable_node", "exercise_node"):
                yield self.exercise_heading(child, level)
                yield from self.flow(child.children[-1].children, level + 1)
            elif kind == "solution_node":
                yield from self.solution(child)
            elif _is_code_cell(child):
                yield from self.code_cell(child)
            elif text := self.block(child):
                yield Piece(text, line=where(child)[1])

    def heading(self, section: nodes.section, level: int) -> Piece:
        numbers = self.env.toc_secnumbers.get(self.docname, {})
        # The chapter's own number is kept under the empty anchor.
        number = numbers.get("#" + section["ids"][0]) or (numbers.get("") if level == 1 else None)
        prefix = ".".join(map(str, number)) + ". " if number else ""
        return self.title_piece(section, level, prefix + self.inline(section[0]))

    def exercise_heading(self, node: nodes.Element, level: int) -> Piece:
        title = self.inline(node[0])
        if number := self.number(node, "exercise"):
            title = self.config.numfig_format["exercise"] % number + title
        return self.title_piece(node, level, title)

    def title_piece(self, node: nodes.Element, level: int, title: str) -> Piece:
        text = f"{'#' * min(level, 6)} {self.anchors(node)}{_one_line(title)}"
        return Piece(text, line=where(node)[1], opens=True)

    def code_cell(self, node: nodes.container) -> Iterator[Piece]:
        yield Piece(cell=node["cell_index"], line=where(node)[1])
        for figure in node.findall(nodes.figure):  # a figure that the cell draws: its number and caption
            yield Piece(self.caption(figure), line=where(node)[1])

    def solution(self, node: nodes.Element) -> Iterator[Piece]:
        """One folded cell with words and code; then the code cells themselves, which a run of the notebook needs."""
        title = _one_line(self.html_text(node[0]))
        number = self.builder.fignumbers.get("exercise", {}).get(node["target_label"], ())
        name = f"Solution of exercise {'.'.join(map(str, number))}".removesuffix(" of exercise ")
        inner = list(self.flow(node.children[-1].children))
        body = _join(p.text if p.cell is None else _fence(self.code[p.cell], "python") for p in inner)
        # The title is a copy of the exercise's and has its line.
        yield Piece(_fold(title, body, self.anchors(node)), line=where(node.children[-1])[1], opens=True)
        yield from (replace(p, solution=name) for p in inner if p.cell is not None)

    # --- blocks

    def blocks(self, children: Iterable[nodes.Node]) -> str:
        return _join(self.block(child) for child in children)

    def block(self, node: nodes.Node) -> str:
        kind = type(node).__name__
        if kind in SILENT:
            return ""
        if kind in ADMONITIONS:
            return self.admonition(node, admonitionlabels[kind], node.children)
        if kind in THEOREMS:
            return self.theorem(node)
        render = getattr(self, f"block_{kind}", None)
        if render is None:
            raise _refuse(node, f"the exporter does not know how to show a {kind!r} in a notebook.")
        return _join([self.anchors(node), render(node)])

    def block_target(self, node: nodes.target) -> str:
        return ""  # its anchor is all there is

    def block_paragraph(self, node: nodes.paragraph) -> str:
        return _guard_line_starts(self.inline(node))

    def block_rubric(self, node: nodes.rubric) -> str:
        return f"**{_one_line(self.inline(node))}**"

    def block_transition(self, node: nodes.transition) -> str:
        return "---"

    def block_raw(self, node: nodes.raw) -> str:
        return node.astext() if "html" in node["format"].split() else ""

    def block_literal_block(self, node: nodes.literal_block) -> str:
        language = node.get("language", "")
        return _fence(node.astext().rstrip(), "" if language in ("none", "default") else language)

    def block_math_block(self, node: nodes.math_block) -> str:
        alone = node.get("nowrap")
        tex = self.environment(node) if alone else _as_sphinx_wraps(node.astext())
        if node.get("number") and ("amsmath" in node["classes"] or not alone):  # as the page numbers them
            tex += f"\n\\tag{{{get_node_equation_number(self, node)}}}"
        # Jupyter takes maths out before it reads Markdown, quote marks included: there it must stand on one line.
        return f"$$ {_one_line(tex)} $$" if self.one_line_maths else f"$$\n{tex}\n$$"

    def environment(self, node: nodes.math_block) -> str:
        r"""`\begin{align}` alone is read by some hosts only; inside `$$` it has another name."""
        tex = node.astext().strip()
        match = re.fullmatch(r"\\begin\{(align|gather|alignat)\*?\}(.*)\\end\{\1\*?\}", tex, re.DOTALL)
        if match is None:
            raise _refuse(node, "this formula stands in an environment of its own; write it as `$$ … $$`.")
        name = {"align": "aligned", "gather": "gathered", "alignat": "alignedat"}[match[1]]
        return f"\\begin{{{name}}}{match[2]}\\end{{{name}}}"

    def block_bullet_list(self, node: nodes.bullet_list) -> str:
        return self.items(node, ["-"] * len(node))

    def block_enumerated_list(self, node: nodes.enumerated_list) -> str:
        start = node.get("start", 1)
        return self.items(node, [f"{start + i}." for i in range(len(node))])

    def items(self, node: nodes.Element, marks: list[str]) -> str:
        simple = all(isinstance(child, nodes.paragraph | nodes.bullet_list) for item in node for child in item)
        return ("\n" if simple else "\n\n").join(
            _hang(mark, ("\n" if simple else "\n\n").join(filter(None, map(self.block, item))))
            for mark, item in zip(marks, node, strict=True)
        )

    def block_definition_list(self, node: nodes.definition_list) -> str:
        return "\n\n".join(self.definition(item) for item in node)

    def definition(self, item: nodes.definition_list_item) -> str:
        terms = [term for term in item if isinstance(term, nodes.term)]
        name = ", ".join(f"{self.anchors(term)}**{_one_line(self.inline(term))}**" for term in terms)
        body = self.blocks(item[-1])
        # A list, a formula or code cannot follow the term on its line.
        gap = " " if isinstance(item[-1][0], nodes.paragraph) else "\n\n"
        return _hang("-", f"{name}:{gap}{body}")

    def block_glossary(self, node: nodes.Element) -> str:
        return self.blocks(node)

    def block_block_quote(self, node: nodes.block_quote) -> str:
        with self.maths_on_one_line():
            return _quote(self.blocks(node))

    def block_attribution(self, node: nodes.attribution) -> str:
        return f"— {self.inline(node)}"

    def block_admonition(self, node: nodes.admonition) -> str:
        if "proof" in node["classes"]:  # sphinx-proof writes "Proof." itself and gives no title
            with self.maths_on_one_line():
                return _quote(self.blocks(node))
        return self.admonition(node, self.inline(node[0]), node.children[1:])

    def block_proof_node(self, node: nodes.Element) -> str:
        return self.blocks(node)

    def block_sidebar(self, node: nodes.sidebar) -> str:
        return self.admonition(node, self.inline(node[0]), node.children[1:])

    def block_topic(self, node: nodes.topic) -> str:
        return self.admonition(node, self.inline(node[0]), node.children[1:])

    def admonition(self, node: nodes.Element, title: str, body: list[nodes.Node]) -> str:
        if "dropdown" in node["classes"]:
            return _fold(_one_line(html.escape(title)), self.blocks(body), self.anchors(node))
        with self.maths_on_one_line():
            return _join([self.anchors(node), _quote(_join([f"**{_one_line(title)}**", self.blocks(body)]))])

    def theorem(self, node: nodes.Element) -> str:
        name = node["realtype"].title()
        if number := self.number(node, node["countertype"]):
            name += f" {number}"
        with self.maths_on_one_line():
            head = f"**{name}** {self.inline(node[0]).strip()}".rstrip()
            return _join([self.anchors(node), _quote(_join([head, self.blocks(node[-1])]))])

    def block_container(self, node: nodes.container) -> str:
        if _is_code_cell(node):
            raise _refuse(node, "a code cell cannot stand inside another block.")
        if node.get("design_component") == "dropdown":
            title = self.html_text(node[0]) if node["has_title"] else "More"
            return _fold(_one_line(title), self.blocks(node[1:] if node["has_title"] else node.children))
        if "literal-block-wrapper" in node["classes"]:
            return _join([f"**{_one_line(self.inline(node[0]))}**", self.blocks(node[1:])])
        kind = node.get("design_component", node["classes"])
        raise _refuse(node, f"the exporter does not know how to show a container {kind!r} in a notebook.")

    def block_footnote(self, node: nodes.footnote) -> str:
        label, body = node[0].astext(), _join([self.blocks(node[1:])])
        return f"<sup>{label}</sup> {body}"

    def block_citation(self, node: nodes.citation) -> str:
        return _hang("-", f"[{node[0].astext()}] {self.blocks(node[1:])}")

    def block_figure(self, node: nodes.figure) -> str:
        image = next(node.findall(nodes.image))
        return _join([self.block_image(image), self.caption(node)])

    def caption(self, figure: nodes.figure) -> str:
        """The number and the words of a figure. Its anchor is here too where a code cell draws the picture."""
        number = self.number(figure, "figure")
        name = f"**{self.config.numfig_format['figure'] % number}** " if number else ""
        words = [self.inline(child) for child in figure if isinstance(child, nodes.caption)]
        legends = [self.blocks(child) for child in figure if isinstance(child, nodes.legend)]
        return _join([self.anchors(figure), name + "".join(words), *legends])

    def block_image(self, node: nodes.image) -> str:
        return self.span_image(node)

    def block_table(self, node: nodes.table) -> str:
        title = next((child for child in node if isinstance(child, nodes.title)), None)
        number = self.number(node, "table") if title else ""
        name = f"**{self.config.numfig_format['table'] % number}** " if number else ""
        head = name + self.inline(title) if title else ""
        return _join([head, self.grid(node)])

    def grid(self, table: nodes.table) -> str:
        body = [row for part in table.findall(nodes.tbody) for row in part]
        head = [row for part in table.findall(nodes.thead) for row in part]
        rule = [next((ALIGNMENT[name] for name in entry["classes"] if name in ALIGNMENT), "---") for entry in body[0]]
        rows = [[self.entry(entry) for entry in row] for row in head + body]
        if not head:
            rows.insert(0, [""] * len(rule))  # Markdown tables must have a head
        rows.insert(1, rule)
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def entry(self, entry: nodes.entry) -> str:
        if entry.get("morecols") or entry.get("morerows"):
            raise _refuse(entry, "a table cell that spans several others has no form in Markdown.")
        for child in entry:
            if not isinstance(child, nodes.paragraph):
                raise _refuse(child, f"a {type(child).__name__!r} inside a table cell has no form in Markdown.")
        for maths in entry.findall(nodes.math):  # a bar would end the cell
            tex = maths.astext().replace(r"\|", r"\Vert ").replace("|", r"\vert ")
            maths.children = [nodes.Text(tex)]
        text = "<br>".join(_one_line(self.inline(child)) for child in entry)
        return text.replace("|", r"\|")

    # --- text inside a line

    def inline(self, node: nodes.Element) -> str:
        return "".join(self.span(child) for child in node.children)

    def span(self, node: nodes.Node) -> str:
        render = getattr(self, f"span_{type(node).__name__}", None)
        if render is None:
            if type(node).__name__ in SILENT:
                return ""
            raise _refuse(node, f"the exporter does not know how to show a {type(node).__name__!r} in a line of text.")
        return render(node)

    def span_Text(self, node: nodes.Text) -> str:  # noqa: N802  (the name of the docutils class)
        return _escape(node.astext())

    def span_inline(self, node: nodes.inline) -> str:
        return self.anchors(node) + self.inline(node)

    span_generated = span_abbreviation = span_inline

    def span_emphasis(self, node: nodes.Element) -> str:
        return f"*{self.inline(node)}*"

    span_title_reference = span_literal_emphasis = span_emphasis

    def span_strong(self, node: nodes.Element) -> str:
        return f"**{self.inline(node)}**"

    span_literal_strong = span_strong

    def span_literal(self, node: nodes.literal) -> str:
        # Sphinx dresses some reference texts as code; they are words.
        if any(name in ("std", "std-numref", "std-ref", "doc") for name in node["classes"]):
            return self.inline(node)
        return _code_span(node.astext())

    def span_math(self, node: nodes.math) -> str:
        return f"${_one_line(node.astext()).strip()}$"

    def span_math_block(self, node: nodes.math_block) -> str:
        return f"$$ {_one_line(node.astext())} $$"

    def span_superscript(self, node: nodes.Element) -> str:
        return f"<sup>{self.inline(node)}</sup>"

    def span_subscript(self, node: nodes.Element) -> str:
        return f"<sub>{self.inline(node)}</sub>"

    def span_raw(self, node: nodes.raw) -> str:
        return self.block_raw(node)

    def span_target(self, node: nodes.target) -> str:
        return self.anchors(node) + self.inline(node)

    def span_reference(self, node: nodes.reference) -> str:
        return f"{self.anchors(node)}[{self.inline(node)}]({_url(self.link(node))})"

    span_number_reference = span_reference

    def span_footnote_reference(self, node: nodes.footnote_reference) -> str:
        return f"{self.anchors(node)}<sup>[{node.astext()}](#{node['refid']})</sup>"

    def span_image(self, node: nodes.image) -> str:
        if not node.get("alt"):
            raise _refuse(node, "this image has no `:alt:` text.")
        url = node["uri"]
        if url in self.env.images:  # where Sphinx puts the file in the built book
            url = f"{self.builder.base_url}/_images/{quote(self.env.images[url][1])}"
        return f"![{_escape(_one_line(node['alt']))}]({_url(url)})"

    # --- help

    def link(self, node: nodes.reference) -> str:
        """Where a reference leads: `#anchor` in this notebook, or an address."""
        if "refid" in node:
            return "#" + node["refid"]
        if "refuri" not in node:
            raise _refuse(node, f"the reference {node.astext()!r} leads nowhere.")
        return node["refuri"] or self.builder.get_target_uri(self.docname)

    def anchors(self, node: nodes.Element) -> str:
        """Anchors for those names of a node that a link in this notebook leads to."""
        names = [name for name in node.get("ids", []) if name in self.linked and name not in self.placed]
        self.placed.update(names)
        return "".join(f'<a id="{name}"></a>' for name in names)

    def number(self, node: nodes.Element, kind: str) -> str:
        numbers = self.builder.fignumbers.get(kind, {})
        return next((".".join(map(str, numbers[name])) for name in node["ids"] if name in numbers), "")

    def html_text(self, node: nodes.Element) -> str:
        """A title for `<summary>`, where Markdown is not read: plain words and formulas."""
        spans = (f"${child.astext()}$" if isinstance(child, nodes.math) else child.astext() for child in _leaves(node))
        return html.escape("".join(spans), quote=False)

    @contextmanager
    def maths_on_one_line(self) -> Iterator[None]:
        before, self.one_line_maths = self.one_line_maths, True
        yield
        self.one_line_maths = before


def _leaves(node: nodes.Node) -> Iterator[nodes.Node]:
    """The texts and formulas below a node."""
    if isinstance(node, nodes.Text | nodes.math):
        yield node
    else:
        for child in node.children:
            yield from _leaves(child)


def _is_code_cell(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


# --- Markdown


def _join(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _hang(mark: str, text: str) -> str:
    """A list item: the mark before the first line, the others indented to it."""
    indent = " " * (len(mark) + 1)
    first, *rest = text.split("\n")
    return "\n".join([f"{mark} {first}", *(indent + line if line else "" for line in rest)])


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _fold(title: str, body: str, anchor: str = "") -> str:
    return f"{anchor}<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _fence(code: str, language: str = "") -> str:
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall("`{3,}", code))])
    return f"{ticks}{language}\n{code}\n{ticks}"


def _code_span(code: str) -> str:
    ticks = "`" * (max([0, *(len(run) for run in re.findall("`+", code))]) + 1)
    pad = " " if code.startswith("`") or code.endswith("`") else ""
    return f"{ticks}{pad}{_one_line(code)}{pad}{ticks}"


def _url(url: str) -> str:
    return url.replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def escape_paragraph(text: str) -> str:
    """A paragraph that says these words and nothing else."""
    return _guard_line_starts(_escape(text))


def _escape(text: str) -> str:
    """Plain words stay plain words: nothing in them may become mark-up."""
    text = re.sub(r"([\\`*<$~]|&(?=#?\w+;))", r"\\\1", text)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # inside a word an underscore is safe
    return re.sub(r"\[(?=\^)|\](?=[(:\[])", lambda match: f"&#{ord(match[0])};", text)


def _guard_line_starts(text: str) -> str:
    """A wrapped line that begins like a list, a heading or a quote must stay a line of the paragraph."""
    text = re.sub(r"^(>|(?:[-+]|#{1,6}|=+|-+)(?=\s|$))", r"\\\1", text, flags=re.MULTILINE)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text, flags=re.MULTILINE)


def _as_sphinx_wraps(tex: str) -> str:
    """Sphinx aligns formulas with line breaks on its own; here that must be written out."""
    parts = [part.strip() for part in tex.split("\n\n") if part.strip()]
    split = [f"\\begin{{split}}\n{part}\n\\end{{split}}" if r"\\" in part else part for part in parts]
    if len(split) == 1:
        return split[0]
    return "\\begin{aligned}\n" + " \\\\\n".join(split) + "\n\\end{aligned}"


# --- the gate

_READER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)
_MYST = re.compile(r"^[ \t]*(`{3,}|:{3,})[ \t]*\{.*\}|\{[a-zA-Z][\w:+.-]*\}`[^`]+`", re.MULTILINE)
_LEAKS = {
    "a role": re.compile(r"\{[a-zA-Z][\w:+.-]*\}\s*\Z"),
    "a directive": re.compile(r"^(:{3,}|`{3,}|~{3,})", re.MULTILINE),
    "a target": re.compile(r"^\([\w:.-]+\)=", re.MULTILINE),
    "a substitution": re.compile(r"\{\{"),
    "an unresolved number": re.compile(r"\?\?|%s|\{(number|name)\}"),
}


def leaks(markdown: str) -> list[str]:
    """What of MyST or of unresolved numbers is left in a text that should be plain Markdown and maths."""
    found = []
    for token in _READER.parse(markdown):
        if token.type == "fence" and (match := _MYST.search(f"```{token.info}\n{token.content}")):
            found.append(f"a directive or a role in a block of code: {match[0].strip()}")
        found += _leaks_inline(token.children or [token])
    return found


def _leaks_inline(tokens: list) -> list[str]:
    found = []
    for token, after in zip_longest(tokens, tokens[1:]):
        if token.type.startswith("math") and re.search(r"\\(eq)?ref\b|\\label\b|\\tag\{\D*\}", token.content):
            found.append(f"an unresolved number: {token.content}")
        if token.type == "link_open" and after.type == "link_close":
            found.append(f"a link without words: {token.attrGet('href')}")
        if token.type != "text":
            continue
        for name, pattern in _LEAKS.items():
            # A role is a name in braces with code behind it; braces alone are words.
            role_without_code = name == "a role" and (after is None or after.type != "code_inline")
            if (match := pattern.search(token.content)) and not role_without_code:
                found.append(f"{name}: {match[0]}")
    return found
