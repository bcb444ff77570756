"""What a code cell is in a doctree that MyST-NB has made."""

from __future__ import annotations

from docutils import nodes


def is_code_cell(node: nodes.Node) -> bool:
    """Whether a node holds a code cell: its source and its outputs, as far as the page shows them."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def is_code_cell_source(node: nodes.Node) -> bool:
    """Whether a node holds the code of a cell, without its outputs."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_source"


def is_mime_bundle(node: nodes.Node) -> bool:
    """Whether a node holds one output of a cell in all its forms, of which each builder chooses one."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "mime_bundle"
