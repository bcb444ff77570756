"""What a page with exercises carries for its scripts: their addresses, and the exercises as JSON.

The page that marks needs the whole of each exercise. A page with a list needs the ids alone.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import minify
import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from book.extensions.exercises.domain import IDS, Posed, domain, read_ids
from book.extensions.exercises.nodes import answer_field, exercise_list
from book.extensions.exercises.post_transforms import is_marked_on_page
from gradelib import exercises
from gradelib.marker.diagnosis import trial_points
from gradelib.marker.exercise import Exercise
from gradelib.marker.language import Op, walk
from gradelib.marker.page import language_data, page_data
from gradelib.marker.vocabulary import FUNCTIONS

SCRIPTS = "scripts"
LANGUAGE = f"{SCRIPTS}/marker-language.js"
PROGRESS = f"{SCRIPTS}/progress.js"
MARKING = (LANGUAGE, f"{SCRIPTS}/marker.js", f"{SCRIPTS}/exercise.js")
KINDS = {0: "a number", 1: "a vector", 2: "a matrix"}


def write_scripts(app: Sphinx, error: Exception | None) -> None:
    """Write the words of the formula language as a script, since a page opened as a file may load no JSON.

    The scripts of this part lose their comments and spaces, as the style sheets do.
    """
    if error is None and app.builder.format == "html" and domain(app.env).posed:
        static = Path(app.outdir, "_static")
        words = f"globalThis.GradeLanguage={_json(language_data())};\n"
        (static / LANGUAGE).write_text(words, encoding="utf-8")
        for name in (PROGRESS, *MARKING[1:]):
            script = (static / name).read_text(encoding="utf-8")
            (static / name).write_text(minify.string("application/javascript", script), encoding="utf-8")


def add_to_page(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Add style, scripts and data to a page that has an answer field, a list of exercises or the list of chapters."""
    if doctree is None:
        return
    known, marks = domain(app.env), next(doctree.findall(answer_field), None) is not None
    if marks:
        pages = {name: known.posed[name]}
    elif name == app.config.root_doc or next(doctree.findall(exercise_list), None) is not None:
        pages = known.posed
    else:
        return
    if not pages:
        return
    for script in [PROGRESS, *(MARKING if marks else ())]:
        app.add_js_file(script, loading_method="defer")
    data = page_json(app, name, pages, whole=marks)
    context["body"] += f'<script type="application/json" id="gl-exercises">{_json(data)}</script>\n'


def page_json(app: Sphinx, name: str, pages: dict[str, list[Posed]], *, whole: bool) -> dict[str, Any]:
    """What the scripts know of the exercises of these pages; with `whole`, enough to mark them."""
    overview, relative = domain(app.env).overview, app.builder.get_relative_uri
    data: dict[str, Any] = {
        "book": urlsplit(app.config.html_theme_options.get("repository_url", "")).path.rpartition("/")[2] or "book",
        "overview": relative(name, overview) if overview else None,
        "pages": {
            relative(name, page): {one.id: [one.anchor, revision(one.id)] for one in posed}
            for page, posed in pages.items()
        },
        "aliases": _aliases(app.env) if overview else {},
    }
    if whole:
        marked = [one for posed in pages.values() for one in posed if is_marked_on_page(one.id)]
        data["exercises"] = {one.id: page_data(exercises.get(one.id)) for one in marked}
        data["fields"] = {one.id: field(exercises.get(one.id), one.name) for one in marked}
    return data


def field(exercise: Exercise, name: str) -> dict[str, Any]:
    """What the field of an exercise shows: its name if the page asks for several answers, keys or options, a hint."""
    shown: dict[str, Any] = {"label": "" if name in ("answer", "choice") else name.replace("_", " ")}
    if exercise.choice is None:
        return {**shown, "keys": list(exercise.names), "hint": hint(exercise)}
    options, reasons = exercise.choice.labels(exercise.id)
    return {
        **shown,
        "options": [[key, label, exercise.choice.options[key]] for label, key in options.items()],
        "reasons": [[key, label, exercise.choice.reasons[key]] for label, key in reasons.items()],
        "hint": "Begin with the reasons. One that is false cannot be right with any letter.",
    }


def hint(exercise: Exercise) -> str:
    """What the right formula of an exercise is made of, in a sentence that does not put it together."""
    formula = exercise.formula
    point = trial_points(exercise)[0]
    functions = {node.op for node in walk(formula.root) if isinstance(node, Op)} & FUNCTIONS.keys()
    kind = KINDS[np.ndim(formula.evaluate(point.values()))]
    made_of = [f"{name}(…)" if name in functions else name for name in [*sorted(formula.names), *sorted(functions)]]
    return f"The answer is {kind}. One way to write it uses {_listed(made_of)}."


@cache
def revision(name: str) -> str:
    """Changes with what an exercise marks; empty where no page can mark it."""
    if not is_marked_on_page(name):
        return ""
    return page_data(exercises.get(name))["revision"]


def _aliases(env: BuildEnvironment) -> dict[str, str]:
    return read_ids(Path(env.srcdir, IDS))["aliases"] or {}


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _json(data: object) -> str:
    """JSON without spaces that no `</script>` can end."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
