"""Nodes of the exercises on a page and how they are written."""

from __future__ import annotations

from typing import NoReturn

from docutils import nodes
from sphinx.writers.html5 import HTML5Translator
from sphinx.writers.latex import LaTeXTranslator

# nodes of docutils have small letters
# ruff: noqa: N801


class answer_field(nodes.General, nodes.Element):
    """The place for an answer to the exercise `exercise`: a form that a script writes there, or a line on paper."""


class exercise_overview(nodes.General, nodes.Element):
    """The place of the list of all exercises, until all pages are read."""


class exercise_list(nodes.General, nodes.Element):
    """A list of exercises with the label `label`, beside which a script shows the reader's progress."""


def visit_answer_field_html(self: HTML5Translator, node: answer_field) -> NoReturn:
    self.body.append(self.starttag(node, "div", "", CLASS="gl-answer", **{"data-exercise": node["exercise"]}))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def visit_answer_field_latex(self: LaTeXTranslator, node: answer_field) -> NoReturn:
    self.body.append("\n\\par\\noindent\\rule{0pt}{2.5em}\\hrulefill\\par\n")
    raise nodes.SkipNode


def visit_exercise_list(self: HTML5Translator, node: exercise_list) -> None:
    self.body.append(self.starttag(node, "nav", CLASS="gl-exercises", **{"aria-label": node["label"]}))


def depart_exercise_list(self: HTML5Translator, node: exercise_list) -> None:
    self.body.append("</nav>\n")
