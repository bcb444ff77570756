"""Lists of exercises: of one chapter at its end, and of the whole book on a page of its own."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from book.extensions.exercises.domain import Posed, domain
from book.extensions.exercises.nodes import exercise_list, exercise_overview
from book.extensions.exercises.post_transforms import is_marked_on_page


class ExerciseOverview(SphinxDirective):
    """`{exercise-overview}`: all exercises by chapter, each with a link."""

    def run(self) -> list[nodes.Node]:
        domain(self.env).note_overview(self.env.docname)
        return [exercise_overview()]


def outdated_lists(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The overview is written anew whenever any page is."""
    return list(domain(env).data["overviews"])


class _Lists(SphinxPostTransform):
    """What both kinds of list share."""

    default_priority = 7

    def items(self, posed: Iterable[Posed]) -> nodes.bullet_list:
        """One item for each exercise, even where it asks for several answers."""
        groups = (list(group) for _, group in groupby(posed, key=lambda one: one.anchor))
        return nodes.bullet_list("", *map(self.item, groups))

    def item(self, answers: list[Posed]) -> nodes.list_item:
        first = answers[0]
        numbers = self.env.toc_fignumbers.get(first.docname, {}).get("exercise", {}).get(first.anchor, ())
        words = nodes.paragraph("", "", self.link(f"{'.'.join(map(str, numbers))} {first.title}".strip(), first))
        if not any(is_marked_on_page(one.id) for one in answers):
            words += nodes.Text(" (in the notebook)")
        elif self.app.builder.format == "html":  # room for what a script will say of it
            words += [nodes.Text(" "), nodes.inline(classes=["gl-progress"])]
        return nodes.list_item("", words)

    def link(self, words: str, to: Posed) -> nodes.Node:
        return self.reference(words, to.docname, to.anchor)

    def reference(self, words: str, docname: str, anchor: str) -> nodes.Node:
        if self.app.builder.format != "html":  # on paper the number is enough
            return nodes.Text(words)
        return make_refnode(self.app.builder, self.env.docname, docname, anchor, nodes.Text(words))


class OverviewLists(_Lists):
    """The list in the place of the directive."""

    def run(self, **kwargs: Any) -> None:
        for place in list(self.document.findall(exercise_overview)):
            place.replace_self([part for page in domain(self.env).posed for part in self.of_page(page)])

    def of_page(self, docname: str) -> list[nodes.Node]:
        posed, number = domain(self.env).posed[docname], self.env.toc_secnumbers.get(docname, {}).get("", ())
        title = f"{'.'.join(map(str, number))} {self.env.titles[docname].astext()}".strip()
        heading = nodes.rubric("", "", self.reference(title, docname, ""), ids=[anchor_of_page(docname)], level=2)
        items = self.items(posed)
        for item, anchor in zip(items, dict.fromkeys(one.anchor for one in posed), strict=True):
            item["ids"].append(f"list-{anchor}")  # to which the field of the exercise leads
        return [heading, _listed(self.app, items, f"Exercises: {title}")]


class ChapterList(_Lists):
    """The list at the end of a page that poses exercises."""

    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        exercises, here = domain(self.env), self.env.docname
        chapter = next(self.document.findall(nodes.section), None)
        if not (posed := exercises.posed.get(here)) or chapter is None:
            return
        words = nodes.paragraph("", "Exercises of this chapter", classes=["gl-exercises-title"])
        if exercises.overview:
            to = anchor_of_page(here)
            words += [nodes.Text(" ("), self.reference("all of the book", exercises.overview, to), nodes.Text(")")]
        listed = _listed(self.app, self.items(posed), "Exercises of this chapter")
        listed.insert(0, words)
        chapter.append(listed)


def anchor_of_page(docname: str) -> str:
    """Where the overview lists the exercises of a page."""
    return f"exercises-{nodes.make_id(docname.rpartition('/')[2])}"


def _listed(app: Sphinx, items: nodes.bullet_list, label: str) -> nodes.Element:
    return exercise_list("", items, label=label) if app.builder.format == "html" else items
