"""Folds: `{optional}` puts away what a first reader may skip; links into a fold open it, and print opens all.

    ```{optional} How the proof goes
    Words and formulas.
    ```

folds what it holds. Without content it folds all that follows it in its section, code and headings included: the
heading above keeps its place and its anchor. On paper, and in notebooks, which cannot fold code, that part stands open.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator
from sphinx.writers.latex import LaTeXTranslator

from book.extensions import metadata

# nodes of docutils have small letters
# ruff: noqa: N801

WORD = "Optional"


class fold(nodes.General, nodes.Element):
    """An optional part: a `fold_title`, and what it holds; nothing else where it stands for the rest of its section."""


class fold_title(nodes.TextElement):
    """What the reader sees of a closed fold."""


class Optional(SphinxDirective):
    """`{optional} Title`: an optional part, which holds its content or the rest of its section."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        words, messages = self.parse_inline(self.arguments[0])
        made = fold("", fold_title("", "", nodes.emphasis("", WORD), nodes.Text(": "), *words))
        self.set_source_info(made)
        self.set_source_info(made[0])
        made += self.parse_content_to_nodes()
        return [made, *messages]


class FoldSections(SphinxPostTransform):
    """A fold without content takes in what follows it in its section, when numbers and contents are settled."""

    default_priority = 5
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for place in list(self.document.findall(stands_for_the_rest)):
            section = place.parent
            start = section.index(place) + 1
            rest = section[start:]
            del section[start:]
            place += rest


def stands_for_the_rest(node: nodes.Node) -> bool:
    """Whether a fold has nothing but its title."""
    return isinstance(node, fold) and len(node) == 1


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_node(fold, html=(visit_fold_html, depart_fold_html), latex=(pass_by, pass_by))
    app.add_node(
        fold_title,
        html=(visit_fold_title_html, depart_fold_title_html),
        latex=(visit_fold_title_latex, depart_fold_title_latex),
    )
    app.add_directive("optional", Optional)
    app.add_post_transform(FoldSections)
    app.add_js_file("folds.js", loading_method="defer")
    return metadata()


# --- writing


def visit_fold_html(self: HTML5Translator, node: fold) -> None:
    self.body.append(self.starttag(node, "details", CLASS="gl-fold"))


def depart_fold_html(self: HTML5Translator, node: fold) -> None:
    self.body.append("</details>\n")


def visit_fold_title_html(self: HTML5Translator, node: fold_title) -> None:
    self.body.append(self.starttag(node, "summary", ""))


def depart_fold_title_html(self: HTML5Translator, node: fold_title) -> None:
    self.body.append("</summary>\n")


def pass_by(self: LaTeXTranslator, node: nodes.Element) -> None:
    """On paper everything is open."""


def visit_fold_title_latex(self: LaTeXTranslator, node: fold_title) -> None:
    self.body.append("\n\\par\\needspace{3\\baselineskip}\\noindent\\textbf{")


def depart_fold_title_latex(self: LaTeXTranslator, node: fold_title) -> None:
    self.body.append("}\\par\n")
