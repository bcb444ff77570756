"""Claims: what a cell may say, what the ledger may state, and that each row of it has its evidence in the chapters."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from book.extensions.evidence import ledger
from gradelib.claims import ClaimError, claim
from gradelib.records import MIME_TYPE

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*.md"))
PARTS = {name: ledger.read(BOOK / name).parts for name in ("claims.yml", "errata.yml")}
SETTING = {"length": "300 steps", "control": "another seed"}


@pytest.mark.parametrize("holds", [True, np.float64(1) > 0, torch.tensor(1.0) > 0])
def test_a_claim_says_what_was_measured(holds):
    shown = claim("some-claim", holds, "ratio  0.98", **SETTING)._repr_mimebundle_()
    assert shown["text/plain"] == "▪ some-claim · ratio 0.98\n  length: 300 steps\n  control: another seed"
    data = {"name": "some-claim", "measured": "ratio 0.98", **SETTING}
    expected = {"kind": "claim", "name": "some-claim", "text": shown["text/plain"], "data": data}
    assert shown[MIME_TYPE] == expected


def test_a_claim_that_does_not_hold_fails_its_cell():
    with pytest.raises(ClaimError, match=r"some-claim does not hold: ratio 0\.5"):
        claim("some-claim", 0.5 > 0.9, "ratio 0.5", **SETTING)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("eq-name", True, "1"), "The name of a claim"),
        (("Some Claim", True, "1"), "The name of a claim"),
        (("some-claim", 0.97, "1"), "True or False, but this is a float"),
        (("some-claim", True, "very good"), "give no number"),
    ],
)
def test_a_claim_that_says_nothing_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        claim(*arguments, **SETTING)


@pytest.mark.parametrize("what", ["length", "control"])
def test_a_claim_without_a_length_or_a_control_is_refused(what):
    with pytest.raises(ValueError, match=f"The {what} of some-claim is empty"):
        claim("some-claim", True, "1 of 2", **{**SETTING, what: " "})


# --- the rows


def shown(text: str) -> set[str]:
    """What a chapter has evidence for: the checks and the claims of its cells."""
    return set(re.findall(r'\b(?:identity|inequality|limit|definition|exact|by_squares|claim)\(\s*"([\w-]+)"', text))


def missing(parts: list[ledger.Part], chapters: list[str]) -> list[str]:
    """Evidence that rows name, whose chapter is there, and which no chapter shows."""
    there = {label for text in chapters for label in re.findall(r"^\((ch-[\w-]+)\)=$", text, re.MULTILINE)}
    found = {name for text in chapters for name in shown(text)}
    rows = [row for part in parts if part.chapter in there for row in part.rows]
    return sorted({name for row in rows for name in row.evidence} - found)


@pytest.mark.parametrize("name", PARTS)
def test_no_row_has_a_status_without_its_evidence(name):
    assert missing(PARTS[name], [path.read_text(encoding="utf8") for path in CHAPTERS]) == []


def test_a_row_without_its_evidence_is_found():
    [part] = [part for part in PARTS["errata.yml"] if part.chapter == "ch-optimal-covariance"]
    assert missing([part], ["(ch-grae)=\n# Another chapter"]) == []
    text = '(ch-optimal-covariance)=\n```\nidentity("eq-curvature-gaussian", 1, 1)\n```\n'
    assert missing([part], [text]) == ["eq-optimal-covariance"]


def test_every_measured_claim_has_a_row():
    named = {name for parts in PARTS.values() for part in parts for row in part.rows for name in row.evidence}
    claims = [re.findall(r'\bclaim\(\s*"([\w-]+)"', path.read_text(encoding="utf8")) for path in CHAPTERS]
    assert {name for found in claims for name in found} - named == set()


def test_every_chapter_has_its_part():
    labels = [re.search(r"^\((ch-[\w-]+)\)=$", path.read_text(encoding="utf8"), re.MULTILINE)[1] for path in CHAPTERS]
    assert set(labels) <= {part.chapter for part in PARTS["claims.yml"]}


def test_the_titles_are_those_of_the_chapters():
    for path in CHAPTERS:
        text = path.read_text(encoding="utf8")
        label, title = re.search(r"^\((ch-[\w-]+)\)=\n# (.+)$", text, re.MULTILINE).groups()
        assert {part.title for parts in PARTS.values() for part in parts if part.chapter == label} <= {title}
