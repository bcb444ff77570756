"""What stands on a page in the place of the cells that a notebook has for an answer."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform

from book.extensions.cells import is_code_cell_source
from book.extensions.exercises.domain import asked, is_exercise_cell
from book.extensions.exercises.nodes import answer_field
from gradelib import exercises


class AnswerFields(SphinxPostTransform):
    """A field in the place of each cell that asks for a formula or a choice.

    The cell of a function stays, without the output that says that nothing was answered yet.
    """

    default_priority = 3  # before MyST-NB chooses a form for each output
    formats = ("html", "latex")

    def run(self, **kwargs: Any) -> None:
        for cell in list(self.document.findall(is_exercise_cell)):
            fields = [answer_field(exercise=name) for name, _ in asked(cell) if is_marked_on_page(name)]
            if fields:
                cell.replace_self(fields)
            else:
                cell.children = [part for part in cell.children if is_code_cell_source(part)]


class NotebookLinks(SphinxPostTransform):
    """Below the cell of a function two links to the notebook, where it can be run."""

    default_priority = AnswerFields.default_priority + 1
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        here = self.env.docname
        for cell in list(self.document.findall(is_exercise_cell)):
            links = nodes.paragraph("", "A function is marked in the notebook: ", classes=["gl-notebook"])
            links += nodes.reference("", "download it", refuri=f"{'../' * here.count('/')}_sources/{here}.ipynb")
            if address := colab_url(self.config, here):
                links += [nodes.Text(" or "), nodes.reference("", "open it in Colab", refuri=address)]
            links += nodes.Text(".")
            cell.parent.insert(cell.parent.index(cell) + 1, links)


def is_marked_on_page(name: str) -> bool:
    """Whether a page can mark this exercise: one for a formula or a choice."""
    return name in exercises.ids() and exercises.get(name).function is None


def colab_url(config: Config, docname: str) -> str | None:
    """The address at which Colab opens a page's notebook, by the launch buttons of `_config.yml`; None without any."""
    options = config.html_theme_options
    colab, repository = options.get("launch_buttons", {}).get("colab_url"), options.get("repository_url", "")
    _, _, name = repository.partition("github.com/")
    if not colab or not name:
        return None
    return f"{colab}/github/{name}/blob/{options.get('repository_branch', 'main')}/{docname}.ipynb"
