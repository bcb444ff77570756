"""The domain of checks and claims, and the plugin that makes their nodes, each by itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from docutils import nodes
from myst_nb.core.render import MimeData, load_mime_renders
from nbformat import from_dict

from book.extensions.evidence.domain import EvidenceDomain
from gradelib.claims import claim
from gradelib.equations import identity
from gradelib.mime_renderer import RecordRenderer, record
from gradelib.records import MIME_TYPE


def shown(result) -> record:
    """The node of a result, as MyST-NB gets it from a notebook."""
    content = from_dict(result._repr_mimebundle_())[MIME_TYPE]
    [node] = RecordRenderer.handle_mime(None, MimeData(MIME_TYPE, content), False)
    return node


def page(*results) -> nodes.document:
    """A page with a labelled equation, and a cell for each result."""
    tree = nodes.document(None, None)
    tree += nodes.math_block("", "1", label="eq-a")
    tree += [nodes.container("", shown(result), nb_element="cell_code") for result in results]
    return tree


@pytest.fixture
def domain() -> EvidenceDomain:
    return EvidenceDomain(SimpleNamespace(domaindata={}))


CHECK, CLAIM = (
    identity("eq-a", "2*m", "m + m", m="pos"),
    claim("some-claim", True, "1 of 2", length="1 step", control="none"),
)


def test_the_plugin_is_found_and_makes_a_node_of_a_record_alone():
    assert RecordRenderer in load_mime_renders()
    assert RecordRenderer.handle_mime(None, MimeData("text/plain", "✓ eq-a"), False) is None
    node = shown(CHECK)
    assert (node["kind"], node["name"], node.astext()) == ("check", "eq-a", str(CHECK))
    assert type(node["data"]) is dict
    assert (node["data"]["label"], node["data"]["tried"], node["data"]["evidence"]) == ("eq-a", CHECK.tried, "numeric")


def test_each_record_has_its_cell(domain):
    tree = page(CHECK, CLAIM, CHECK)
    domain.process_doc(None, "a", tree)
    anchors = ["check-eq-a", "claim-some-claim", "check-eq-a-2"]
    assert [cell["ids"] for cell in tree.findall(nodes.container)] == [[anchor] for anchor in anchors]
    assert [found.anchor for found in domain.records("check")] == [anchors[0], anchors[2]]
    assert [(found.name, found.data["measured"]) for found in domain.records("claim")] == [("some-claim", "1 of 2")]
    assert {tuple(found)[2:5] for found in domain.get_objects()} == {
        ("check", "a", "check-eq-a"),
        ("claim", "a", "claim-some-claim"),
    }


def test_pages_join_and_leave(domain):
    domain.process_doc(None, "b", page(CHECK))
    domain.note_row("b", ["eq-a"])
    other = EvidenceDomain(SimpleNamespace(domaindata={}))
    for name in ("a", "c"):
        other.process_doc(None, name, page(CHECK, CLAIM))
    other.note_report("a")
    domain.merge_domaindata(["a"], other.data)
    assert [found.docname for found in domain.records("check", "eq-a")] == ["a", "b"]
    assert set(domain.equations) == {"a", "b"}
    assert domain.page_of_row("eq-a") == "b"
    for name in ("a", "b"):
        domain.clear_doc(name)
    assert domain.data == EvidenceDomain(SimpleNamespace(domaindata={})).data


def test_data_of_another_version_is_refused(domain):
    stale = {domain.name: {**domain.data, "version": domain.data_version - 1}}
    with pytest.raises(OSError, match="out of date"):
        EvidenceDomain(SimpleNamespace(domaindata=stale))
