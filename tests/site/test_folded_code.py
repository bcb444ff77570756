"""Folded code: neighbours share a fold, its line says what is in it, and no code, result or anchor is lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from myst_nb.sphinx_ import HideCodeCellNode

from benchmarks.page_audit import html_pages, parse
from book.extensions.page import folded_code
from gradelib.mime_renderer import record

CHECK, PRINTED = record("", "✓", kind="check"), nodes.literal_block("", "0.5")
CLAIM, FIGURE = record("", "✓", kind="claim"), nodes.raw("", '<div class="gl-picture"></div>', format="html")


def cell(code: str, *outputs: nodes.Node, name: str = "") -> nodes.container:
    source = nodes.container("", nodes.literal_block("", code), nb_element="cell_code_source")
    fold = HideCodeCellNode("", source, prompt_show="Show code cell source")
    made = nodes.container("", fold, nb_element="cell_code", ids=[name] if name else [])
    if outputs:
        made += nodes.container("", *(output.deepcopy() for output in outputs), nb_element="cell_code_output")
    return made


def joined(*cells: nodes.Node) -> nodes.document:
    document = new_document("page")
    document += nodes.section("", *cells)
    folded_code.join_folds(SimpleNamespace(builder=SimpleNamespace(format="html")), document, "page")
    return document


def folds(document: nodes.document) -> list[tuple[str, str]]:
    """The line and the code of each fold."""
    return [(fold["prompt_show"], fold.astext()) for fold in document.findall(HideCodeCellNode)]


def test_code_without_output_goes_with_what_follows_it():
    page = joined(cell("a = 1", name="first"), cell("plot(a)", FIGURE, name="second"))
    assert folds(page) == [("Code of this figure", "a = 1\n\nplot(a)")]
    [home] = page.findall(folded_code.is_folded)
    assert home["ids"] == ["second", "first"]


def test_checks_share_a_fold_and_keep_their_own_places():
    page = joined(cell("def f(): 1", CHECK, name="one"), cell("def g(): 2", CHECK, name="two"), cell("c = 3"))
    assert folds(page) == [("Code of these 2 checks: f, g", "def f(): 1\n\ndef g(): 2\n\nc = 3")]
    first, second = page[0]
    assert (first["ids"], second["ids"]) == (["one"], ["two"])
    assert [len(list(part.findall(record))) for part in (first, second)] == [1, 1]


@pytest.mark.parametrize("output", [FIGURE, PRINTED])
def test_other_outputs_stand_below_their_own_code(output):
    page = joined(cell("a", output), cell("b", CHECK), cell("c", output))
    assert [code for _, code in folds(page)] == ["a", "b", "c"]


def test_words_and_open_code_part_folds():
    shown = cell("b")
    shown[0].replace_self(shown[0][0])
    page = joined(cell("a", CHECK), shown, cell("c", CHECK), nodes.paragraph("", "Words."), cell("d", CHECK))
    assert [code for _, code in folds(page)] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("line", "code", "outputs"),
    [
        ("Code of this output", "print(1)", [PRINTED]),
        ("Code of this result", "holds(1)", [CLAIM]),
        ("Code of this output and this check", "print(1)", [PRINTED, CHECK]),
        ("Code: imports and settings", "import torch\nDEVICE = 'auto'", []),
        ("Code: f, g, C, …", "def f(): 1\ndef g(): 1\nclass C: pass\ndef h(): 1", []),
        ("Code: axis, grid", "axis, grid = 1, 2", []),
        ("Code", "%time 1", []),
    ],
)
def test_the_line_says_what_is_there(line, code, outputs):
    assert [words for words, _ in folds(joined(cell(code, *outputs)))] == [line]


def test_no_fold_of_the_book_is_empty_or_beside_another(built_book):
    for page in html_pages(built_book):
        found = parse(page).select("details.hide")
        assert all(fold.select("pre") and fold.summary.get_text().startswith("Code") for fold in found), page.name
        assert parse(page).select(".cell:has(> details.hide:only-child) + .cell > details.hide") == [], page.name
