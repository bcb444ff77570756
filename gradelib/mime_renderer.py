"""The plugin with which MyST-NB makes a node of each record. It is found by its entry point in pyproject.toml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from docutils import nodes
from myst_nb.core.render import MimeData, MimeRenderPlugin, NbElementRenderer

from gradelib.records import MIME_TYPE


class record(nodes.literal_block):  # noqa: N801  (nodes of docutils have small letters)
    """The line of a check or a claim. Its attributes are those of the output: `kind`, `name` and `data`."""


class RecordRenderer(MimeRenderPlugin):
    """Every builder takes the record and not the plain text beside it."""

    mime_priority_overrides: ClassVar[Sequence[tuple[str, str, int | None]]] = [("*", MIME_TYPE, 1)]

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool) -> list[nodes.Element] | None:
        if data.mime_type != MIME_TYPE:
            return None
        shown = json.loads(json.dumps(data.content))  # plain dicts: a stored page must not depend on nbformat's
        return [record(shown["text"], shown["text"], kind=shown["kind"], name=shown["name"], data=shown["data"])]
