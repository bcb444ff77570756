"""Exercises on the page: a field that marks an answer at once, lists of exercises, and the reader's progress.

The domain notes which exercise of `gradelib.exercises` stands where. Post-transforms put a field in the place of the
cell that a notebook has, and write the lists. What the scripts need to know of a page goes into it as JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from book.extensions import metadata
from book.extensions.exercises import assets, domain, nodes, overview, post_transforms

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_node(
        nodes.answer_field,
        html=(nodes.visit_answer_field_html, None),
        latex=(nodes.visit_answer_field_latex, None),
    )
    app.add_node(nodes.exercise_list, html=(nodes.visit_exercise_list, nodes.depart_exercise_list))
    app.add_css_file("marker.css")
    app.add_domain(domain.ExerciseDomain)
    app.add_directive("exercise-overview", overview.ExerciseOverview)
    app.add_post_transform(post_transforms.AnswerFields)
    app.add_post_transform(post_transforms.NotebookLinks)
    app.add_post_transform(overview.OverviewLists)
    app.add_post_transform(overview.ChapterList)
    app.connect("env-get-updated", overview.outdated_lists)
    app.connect("html-page-context", assets.add_to_page)
    app.connect("build-finished", assets.write_scripts)
    return {**metadata(), "env_version": 1}
