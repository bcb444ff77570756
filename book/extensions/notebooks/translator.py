"""Translate the doctree of a chapter into the cells of a notebook: Markdown that Jupyter, Colab and GitHub show.

The doctree arrives with every number, reference and citation resolved, so that the notebook says what the HTML page
says. A node that has no form in a notebook is a warning, with which `--warningiserror` fails the build.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote as quote_url

from docutils import nodes
from sphinx.locale import admonitionlabels
from sphinx.util import logging
from sphinx.util.docutils import SphinxTranslator
from sphinx.util.math import get_node_equation_number
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node
from sphinx_proof.nodes import NODE_TYPES, unenumerable_node

from book.extensions.cells import is_code_cell
from book.extensions.notebooks.markdown import (
    code_span,
    details,
    escape,
    escape_line_starts,
    escape_url,
    fence,
    find_myst,
    join_blocks,
    list_item,
    one_line,
    quote,
)
from book.extensions.page.folds import fold, fold_title, stands_for_the_rest

if TYPE_CHECKING:
    from book.extensions.notebooks.builder import NotebookBuilder

logger = logging.getLogger(__name__)

ALIGNMENT = {"text-left": ":---", "text-center": ":---:", "text-right": "---:"}
THEOREMS = (*NODE_TYPES.values(), unenumerable_node)
EXERCISES = (exercise_enumerable_node, exercise_node)


@dataclass
class Cell:
    """A cell of the notebook, and the line of the source where it begins."""

    line: int
    blocks: list[str] = field(default_factory=list)  # of Markdown
    code: int | None = None  # the place of a code cell among the cells of the source; None for a Markdown cell
    solution: str = ""  # the name of the solution whose code this is


def source_line(node: nodes.Node) -> tuple[str, int]:
    """File and line of a node; of what it holds or of what holds it, where the node itself does not know them."""
    place: nodes.Node | None = node
    while place is not None:
        if known := next((inner for inner in place.findall() if inner.source and inner.line), None):
            return known.source, known.line
        place = place.parent
    return "(unknown)", 0


class NotebookTranslator(SphinxTranslator):
    """Collects `cells`; `stack` holds the texts of the nodes that are open, and is empty at the top level of a page."""

    builder: NotebookBuilder

    def __init__(self, document: nodes.document, builder: NotebookBuilder) -> None:
        super().__init__(document, builder)
        self.cells: list[Cell] = []
        self.stack: list[list[str]] = []
        self.level = 0  # of headings
        self.rows: list[list[str]] = []  # of the table
        self.in_entry = False  # of a table
        self.one_line_maths = 0  # how many of the open nodes ask for formulas on one line
        self.solution_cells: list[Cell] = []
        # MyST-NB leaves out of the doctree what a page does not show; a run needs these cells in their places.
        chapter = builder.current_chapter
        shown = {cell["cell_index"] for cell in document.findall(is_code_cell)}
        self.removed = [Cell(chapter.lines[i], code=i) for i in chapter.code if i not in shown]
        links = [*document.findall(nodes.reference), *document.findall(nodes.footnote_reference)]
        self.linked = {link["refid"] for link in links if "refid" in link}
        self.linked |= {link["refuri"][1:] for link in links if link.get("refuri", "").startswith("#")}
        self.placed: set[str] = set()

    # --- the stack of open nodes, and the cells

    def push(self, node: nodes.Element) -> None:
        self.stack.append([])

    def pop_text(self) -> str:
        """The text of an inline node that ends."""
        return "".join(self.stack.pop())

    def pop_blocks(self) -> str:
        return join_blocks(self.stack.pop())

    def add(self, text: str) -> None:
        self.stack[-1].append(text)

    def add_block(self, node: nodes.Element, text: str, *, opens: bool = False) -> None:
        """Put a block into the node that holds it, or at the top level into a cell, a new one if it `opens` one."""
        if self.stack:
            self.add(text)
            return
        for left in find_myst(text):
            self.warn(node, f"the text from here on leaves {left}")
        _, line = source_line(node)
        self.add_removed_cells(line)
        if opens or not self.cells or self.cells[-1].code is not None:
            self.cells.append(Cell(line))
        self.cells[-1].blocks.append(text)

    def add_anchored(self, node: nodes.Element, text: str) -> None:
        if block := join_blocks([self.anchors(node), text]):
            self.add_block(node, block)

    def add_code_cell(self, cell: Cell) -> None:
        self.add_removed_cells(cell.line)
        self.cells.append(cell)

    def add_removed_cells(self, line: float) -> None:
        """Add the code cells before this line of the source that the page does not show."""
        while self.removed and self.removed[0].line < line:
            self.cells.append(self.removed.pop(0))

    def unknown_visit(self, node: nodes.Node) -> None:
        self.refuse(node, f"a {type(node).__name__!r} has no form in a notebook")

    def unknown_departure(self, node: nodes.Node) -> None:
        """Most nodes need nothing when they end."""

    def refuse(self, node: nodes.Node, why: str) -> NoReturn:
        """Leave a node out, with a warning; for `visit_` methods."""
        self.warn(node, why)
        raise nodes.SkipNode

    def warn(self, node: nodes.Node, text: str) -> None:
        source, line = source_line(node)
        logger.warning(text, location=f"{source}:{line}", type="notebooks")

    def skip(self, node: nodes.Element) -> None:
        raise nodes.SkipNode

    visit_comment = visit_index = visit_substitution_definition = visit_tabular_col_spec = skip
    visit_highlightlang = visit_meta = visit_docinfo = visit_label = visit_colspec = skip

    # --- the page

    def visit_document(self, node: nodes.document) -> None:
        """Nothing is open yet."""

    def depart_document(self, node: nodes.document) -> None:
        self.add_removed_cells(float("inf"))
        if missing := self.linked - self.placed:
            logger.warning(
                "links lead to %s, which the notebook lacks", sorted(missing), location=f"{node['source']}:1"
            )

    def visit_section(self, node: nodes.section) -> None:
        if not self.stack:
            self.level += 1

    def depart_section(self, node: nodes.section) -> None:
        if not self.stack:
            self.level -= 1

    def visit_title(self, node: nodes.title) -> None:
        if isinstance(node.parent, solution_node):
            raise nodes.SkipNode
        if isinstance(node.parent, nodes.section) and self.stack:
            self.refuse(node, "a heading cannot stand inside another block")
        self.push(node)

    def depart_title(self, node: nodes.title) -> None:
        text, parent = self.pop_text(), node.parent
        if isinstance(parent, nodes.section):
            self.add_heading(parent, self.level, self.section_number(parent) + text)
        elif isinstance(parent, EXERCISES):
            self.add_heading(parent, self.level + 1, self.exercise_number(parent) + text)
        else:
            self.add(text)  # the node that holds it puts it in its place

    def add_heading(self, node: nodes.Element, level: int, title: str) -> None:
        self.add_block(node, f"{'#' * min(level, 6)} {self.anchors(node)}{one_line(title)}", opens=True)

    def section_number(self, section: nodes.section) -> str:
        numbers = self.builder.env.toc_secnumbers.get(self.builder.current_docname, {})
        # The chapter's own number is kept under the empty anchor.
        number = numbers.get("#" + section["ids"][0]) or (numbers.get("") if self.level == 1 else None)
        return ".".join(map(str, number)) + ". " if number else ""

    def exercise_number(self, exercise: nodes.Element) -> str:
        number = self.number(exercise, "exercise")
        return self.config.numfig_format["exercise"] % number if number else ""

    def visit_exercise_enumerable_node(self, node: nodes.Element) -> None:
        if self.stack:
            self.refuse(node, "an exercise cannot stand inside another block")

    visit_exercise_node = visit_exercise_enumerable_node

    def visit_solution_node(self, node: nodes.Element) -> None:
        if self.stack:
            self.refuse(node, "a solution cannot stand inside another block")
        self.push(node)

    def depart_solution_node(self, node: nodes.Element) -> None:
        """One folded cell with words and code; then the code cells themselves, which a run of the notebook needs."""
        summary, body = one_line(self.html_text(node[0])), self.pop_blocks()
        number = self.builder.fignumbers.get("exercise", {}).get(node["target_label"], ())
        name = f"Solution of exercise {'.'.join(map(str, number))}".removesuffix(" of exercise ")
        # The title is a copy of the exercise's and has its line.
        self.add_block(node.children[-1], details(summary, body, self.anchors(node)), opens=True)
        for cell in self.solution_cells:
            cell.solution = name
            self.add_code_cell(cell)
        self.solution_cells = []

    def visit_container(self, node: nodes.container) -> None:
        if is_code_cell(node):
            self.visit_code_cell(node)
        elif node.get("design_component") == "dropdown":
            node["summary"] = one_line(self.html_text(node.pop(0))) if node["has_title"] else "More"
        elif "literal-block-wrapper" not in node["classes"]:
            kind = node.get("design_component", node["classes"])
            self.refuse(node, f"a container {kind!r} has no form in a notebook")
        self.push(node)

    def depart_container(self, node: nodes.container) -> None:
        body = self.pop_blocks()
        self.add_anchored(node, details(node["summary"], body) if "summary" in node else body)

    def visit_code_cell(self, node: nodes.container) -> None:
        """The place of a code cell; its code and its outputs come from the jupyter-cache."""
        chapter, index = self.builder.current_chapter, node["cell_index"]
        cell = Cell(chapter.lines[index], code=index)
        if not self.stack:
            self.add_code_cell(cell)
        elif len(self.stack) == 1 and isinstance(node.parent.parent, solution_node):
            self.solution_cells.append(cell)
            self.add(fence(chapter.cells[index].source, "python"))
        else:
            self.refuse(node, "a code cell cannot stand inside another block")
        for figure in node.findall(nodes.figure):  # of a figure that the cell draws: its number and caption
            self.push(figure)
            for part in figure:
                if isinstance(part, nodes.caption | nodes.legend):
                    part.walkabout(self)
            self.depart_figure(figure)
        raise nodes.SkipNode

    def visit_fold(self, node: fold) -> None:
        self.push(node)
        if not stands_for_the_rest(node):
            node["summary"] = one_line(self.html_text(node.pop(0)))

    depart_fold = depart_container

    visit_fold_title = push

    def depart_fold_title(self, node: fold_title) -> None:
        """Of a fold that stands for the rest of its section, which a notebook cannot fold."""
        self.add(f"**{one_line(self.pop_text())}**")

    # --- blocks

    def depart_blocks(self, node: nodes.Element) -> None:
        self.add_anchored(node, self.pop_blocks())

    visit_proof_node = visit_glossary = visit_definition_list = visit_figure = push
    depart_proof_node = depart_glossary = depart_definition_list = depart_figure = depart_blocks

    def visit_paragraph(self, node: nodes.paragraph) -> None:
        self.push(node)

    def depart_paragraph(self, node: nodes.paragraph) -> None:
        text = self.pop_text()
        if isinstance(node.parent, nodes.entry):
            self.add(one_line(text))
        else:
            self.add_anchored(node, escape_line_starts(text))

    visit_rubric = visit_attribution = push

    def depart_rubric(self, node: nodes.rubric) -> None:
        self.add_anchored(node, f"**{one_line(self.pop_text())}**")

    def depart_attribution(self, node: nodes.attribution) -> None:
        self.add_anchored(node, f"— {self.pop_text()}")

    def visit_transition(self, node: nodes.transition) -> None:
        self.add_anchored(node, "---")

    def visit_raw(self, node: nodes.raw) -> None:
        text = node.astext() if "html" in node["format"].split() else ""
        if self.is_inline(node):
            self.add(text)
        else:
            self.add_anchored(node, text)
        raise nodes.SkipNode

    def visit_literal_block(self, node: nodes.literal_block) -> None:
        language = node.get("language", "")
        self.add_anchored(node, fence(node.astext().rstrip(), "" if language in ("none", "default") else language))
        raise nodes.SkipNode

    def visit_math_block(self, node: nodes.math_block) -> None:
        if self.is_inline(node):
            self.add(f"$$ {one_line(node.astext())} $$")
            raise nodes.SkipNode
        alone = node.get("nowrap")
        tex = self.tex_environment(node) if alone else _wrap_lines(node.astext())
        if node.get("number") and ("amsmath" in node["classes"] or not alone):  # as the page numbers them
            tex += f"\n\\tag{{{get_node_equation_number(self, node)}}}"
        # Jupyter takes maths out before it reads Markdown, quote marks included: there it must stand on one line.
        self.add_anchored(node, f"$$ {one_line(tex)} $$" if self.one_line_maths else f"$$\n{tex}\n$$")
        raise nodes.SkipNode

    def tex_environment(self, node: nodes.math_block) -> str:
        r"""`\begin{align}` alone is read by some hosts only; inside `$$` it has another name."""
        tex = node.astext().strip()
        match = re.fullmatch(r"\\begin\{(align|gather|alignat)\*?\}(.*)\\end\{\1\*?\}", tex, re.DOTALL)
        if match is None:
            self.refuse(node, "this formula stands in an environment of its own; write it as `$$ … $$`")
        name = {"align": "aligned", "gather": "gathered", "alignat": "alignedat"}[match[1]]
        return f"\\begin{{{name}}}{match[2]}\\end{{{name}}}"

    visit_bullet_list = visit_enumerated_list = visit_list_item = push

    def depart_bullet_list(self, node: nodes.Element) -> None:
        items = self.stack.pop()
        self.add_anchored(node, _item_separator(node).join(items))

    depart_enumerated_list = depart_bullet_list

    def depart_list_item(self, node: nodes.list_item) -> None:
        siblings = node.parent
        numbered = isinstance(siblings, nodes.enumerated_list)
        mark = f"{siblings.get('start', 1) + siblings.index(node)}." if numbered else "-"
        self.add_item(mark, _item_separator(siblings).join(self.stack.pop()))

    def add_item(self, mark: str, text: str) -> None:
        self.add(list_item(mark, text))

    visit_definition_list_item = visit_term = visit_definition = push

    def depart_term(self, node: nodes.term) -> None:
        text = f"**{one_line(self.pop_text())}**"
        self.add(self.anchors(node) + text)

    def depart_definition(self, node: nodes.definition) -> None:
        self.add(self.pop_blocks())

    def depart_definition_list_item(self, node: nodes.definition_list_item) -> None:
        *terms, definition = self.stack.pop()
        # A list, a formula or code cannot follow the term on its line.
        gap = " " if isinstance(node[-1][0], nodes.paragraph) else "\n\n"
        self.add_item("-", f"{', '.join(terms)}:{gap}{definition}")

    def visit_quoted(self, node: nodes.Element) -> None:
        """A block of which each line will begin with a quote mark."""
        self.push(node)
        self.one_line_maths += 1

    def pop_quoted(self) -> list[str]:
        self.one_line_maths -= 1
        return self.stack.pop()

    visit_block_quote = visit_quoted

    def depart_block_quote(self, node: nodes.block_quote) -> None:
        self.add_anchored(node, quote(join_blocks(self.pop_quoted())))

    def visit_admonition(self, node: nodes.Element) -> None:
        if "dropdown" in node["classes"]:
            self.push(node)
        else:
            self.visit_quoted(node)

    def depart_admonition(self, node: nodes.Element) -> None:
        blocks = self.stack.pop() if "dropdown" in node["classes"] else self.pop_quoted()
        if node.tagname in admonitionlabels:
            title = admonitionlabels[node.tagname]
        elif "proof" in node["classes"]:  # sphinx-proof writes "Proof." itself and gives no title
            self.add_anchored(node, quote(join_blocks(blocks)))
            return
        else:
            title, *blocks = blocks
        if "dropdown" in node["classes"]:
            self.add_block(node, details(one_line(html.escape(title)), join_blocks(blocks), self.anchors(node)))
        else:
            self.add_anchored(node, quote(join_blocks([f"**{one_line(title)}**", *blocks])))

    visit_note = visit_tip = visit_warning = visit_important = visit_seealso = visit_admonition
    visit_hint = visit_caution = visit_attention = visit_danger = visit_error = visit_admonition
    depart_note = depart_tip = depart_warning = depart_important = depart_seealso = depart_admonition
    depart_hint = depart_caution = depart_attention = depart_danger = depart_error = depart_admonition
    visit_sidebar = visit_topic = visit_admonition
    depart_sidebar = depart_topic = depart_admonition

    def depart_theorem(self, node: nodes.Element) -> None:
        title, *blocks = self.pop_quoted()
        name = node["realtype"].title()
        if number := self.number(node, node["countertype"]):
            name += f" {number}"
        self.add_anchored(node, quote(join_blocks([f"**{name}** {title.strip()}".rstrip(), *blocks])))

    visit_footnote = visit_citation = push

    def depart_footnote(self, node: nodes.footnote) -> None:
        self.add_anchored(node, f"<sup>{node[0].astext()}</sup> {self.pop_blocks()}")

    def depart_citation(self, node: nodes.citation) -> None:
        self.add_anchored(node, list_item("-", f"[{node[0].astext()}] {self.pop_blocks()}"))

    visit_caption = visit_legend = push

    def depart_caption(self, node: nodes.caption) -> None:
        text = self.pop_text()
        if isinstance(node.parent, nodes.figure):
            self.add(self.numbered("figure", node.parent) + text)
        else:
            self.add(f"**{one_line(text)}**")

    def depart_legend(self, node: nodes.legend) -> None:
        self.add(self.pop_blocks())

    def numbered(self, kind: str, node: nodes.Element) -> str:
        """`Fig. 1.2` in front of the words of a caption."""
        number = self.number(node, kind)
        return f"**{self.config.numfig_format[kind] % number}** " if number else ""

    # --- tables

    def visit_table(self, node: nodes.table) -> None:
        self.push(node)
        self.rows = []

    def visit_tgroup(self, node: nodes.tgroup) -> None:
        """Its rows are collected one by one."""

    visit_thead = visit_tbody = visit_tgroup

    def depart_tgroup(self, node: nodes.tgroup) -> None:
        body = next(iter(node.findall(nodes.tbody)))
        rule = [next((ALIGNMENT[name] for name in entry["classes"] if name in ALIGNMENT), "---") for entry in body[0]]
        if not any(node.findall(nodes.thead)):
            self.rows.insert(0, [""] * len(rule))  # Markdown tables must have a head
        self.rows.insert(1, rule)
        self.add("\n".join(f"| {' | '.join(row)} |" for row in self.rows))

    def depart_table(self, node: nodes.table) -> None:
        blocks = self.stack.pop()
        if isinstance(node[0], nodes.title):
            blocks[0] = self.numbered("table", node) + blocks[0]
        self.add_anchored(node, join_blocks(blocks))

    visit_row = push

    def depart_row(self, node: nodes.row) -> None:
        self.rows.append(self.stack.pop())

    def visit_entry(self, node: nodes.entry) -> None:
        if node.get("morecols") or node.get("morerows"):
            self.refuse(node, "a table cell that spans several others has no form in Markdown")
        for child in node:
            if not isinstance(child, nodes.paragraph):
                self.refuse(child, f"a {type(child).__name__!r} inside a table cell has no form in Markdown")
        self.push(node)
        self.in_entry = True

    def depart_entry(self, node: nodes.entry) -> None:
        self.in_entry = False
        self.add("<br>".join(self.stack.pop()).replace("|", r"\|"))

    # --- text inside a line

    def is_inline(self, node: nodes.Node) -> bool:
        return isinstance(node.parent, nodes.TextElement)

    def visit_Text(self, node: nodes.Text) -> None:  # noqa: N802  (the name of the docutils class)
        self.add(escape(node.astext()))

    def visit_inline(self, node: nodes.Element) -> None:
        self.add(self.anchors(node))

    visit_generated = visit_abbreviation = visit_inline

    def visit_emphasis(self, node: nodes.Element) -> None:
        self.add("*")

    depart_emphasis = visit_title_reference = depart_title_reference = visit_emphasis
    visit_literal_emphasis = depart_literal_emphasis = visit_emphasis

    def visit_strong(self, node: nodes.Element) -> None:
        self.add("**")

    depart_strong = visit_literal_strong = depart_literal_strong = visit_strong

    def visit_literal(self, node: nodes.literal) -> None:
        # Sphinx dresses some reference texts as code; they are words.
        if not {"std", "std-numref", "std-ref", "doc"} & {*node["classes"]}:
            self.add(code_span(node.astext()))
            raise nodes.SkipNode

    def visit_math(self, node: nodes.math) -> None:
        tex = node.astext()
        if self.in_entry:
            tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")  # a bar would end the cell of the table
        self.add(f"${one_line(tex)}$")
        raise nodes.SkipNode

    def visit_superscript(self, node: nodes.superscript) -> None:
        self.add("<sup>")

    def depart_superscript(self, node: nodes.superscript) -> None:
        self.add("</sup>")

    def visit_subscript(self, node: nodes.subscript) -> None:
        self.add("<sub>")

    def depart_subscript(self, node: nodes.subscript) -> None:
        self.add("</sub>")

    def visit_target(self, node: nodes.target) -> None:
        if self.is_inline(node):
            self.add(self.anchors(node))
        else:
            self.add_anchored(node, "")
            raise nodes.SkipNode

    visit_reference = push

    def depart_reference(self, node: nodes.reference) -> None:
        text = self.pop_text()
        self.add(f"{self.anchors(node)}[{text}]({escape_url(self.target(node))})")

    def visit_footnote_reference(self, node: nodes.footnote_reference) -> None:
        self.add(f"{self.anchors(node)}<sup>[{node.astext()}](#{node['refid']})</sup>")
        raise nodes.SkipNode

    def visit_image(self, node: nodes.image) -> None:
        if not node.get("alt"):
            self.refuse(node, "this image has no `:alt:` text")
        url = node["uri"]
        if url in self.builder.env.images:  # where Sphinx puts the file in the built book
            url = f"{self.builder.site_url}_images/{quote_url(self.builder.env.images[url][1])}"
        text = f"![{escape(one_line(node['alt']))}]({escape_url(url)})"
        if self.is_inline(node):
            self.add(text)
        else:
            self.add_anchored(node, text)
        raise nodes.SkipNode

    # --- links and numbers

    def target(self, node: nodes.reference) -> str:
        """Where a reference leads: `#anchor` in this notebook, or an address."""
        if "refid" in node:
            return f"#{node['refid']}"
        if "refuri" not in node:
            self.warn(node, f"the reference {node.astext()!r} leads nowhere")
        return node.get("refuri") or self.builder.get_target_uri(self.builder.current_docname)

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


for _kind in THEOREMS:
    setattr(NotebookTranslator, f"visit_{_kind.__name__}", NotebookTranslator.visit_quoted)
    setattr(NotebookTranslator, f"depart_{_kind.__name__}", NotebookTranslator.depart_theorem)


def _leaves(node: nodes.Node) -> Iterator[nodes.Node]:
    """The texts and formulas below a node."""
    if isinstance(node, nodes.Text | nodes.math):
        yield node
    else:
        for child in node.children:
            yield from _leaves(child)


def _item_separator(items: nodes.Element) -> str:
    """A list of paragraphs and bullet lists is written without blank lines."""
    compact = all(isinstance(child, nodes.paragraph | nodes.bullet_list) for item in items for child in item)
    return "\n" if compact else "\n\n"


def _wrap_lines(tex: str) -> str:
    """Sphinx aligns formulas with line breaks on its own; here that must be written out."""
    parts = [part.strip() for part in tex.split("\n\n") if part.strip()]
    split = [f"\\begin{{split}}\n{part}\n\\end{{split}}" if r"\\" in part else part for part in parts]
    if len(split) == 1:
        return split[0]
    return "\\begin{aligned}\n" + " \\\\\n".join(split) + "\n\\end{aligned}"
