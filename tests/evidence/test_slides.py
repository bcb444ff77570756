"""The ledger and the errata quote the slides word for word, and the ledger leaves no word of them out."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from book.extensions.evidence import ledger, recorded, slides
from book.extensions.evidence.ledger import LedgerError
from gradelib import experiments

BOOK = Path(__file__).parents[2] / "book"
SLIDES = slides.read(BOOK / ledger.SLIDES)
LEDGER, ERRATA = ledger.read(BOOK / "claims.yml"), ledger.read(BOOK / "errata.yml")


def quoted() -> list[tuple[str, tuple[int, ...]]]:
    return [(quote, row.where) for row in LEDGER.rows("slides") for quote in row.quotes] + LEDGER.announced


def test_the_copy_of_the_slides_has_every_slide_and_says_what_it_is():
    assert list(SLIDES.texts) == list(range(1, 24))
    head = (BOOK / ledger.SLIDES).read_text(encoding="utf8").split("== 1 ==")[0]
    assert "extract" in head
    assert "The words are the authors'" in " ".join(head.replace("#", "").split())


def test_every_word_of_the_slides_stands_in_the_ledger():
    assert SLIDES.left_over(quoted()) == {}


def test_a_word_that_no_row_quotes_is_found():
    without = [(quote, where) for quote, where in quoted() if "First two moments" not in quote]
    assert SLIDES.left_over(without) == {10: [slides.squeezed("Assumption: First two moments exist for q(z|x).")]}


@pytest.mark.parametrize("row", [*LEDGER.rows("slides"), *(row for part in ERRATA.parts for row in part.rows)])
def test_each_quotation_is_on_its_slide(row):
    for quote in row.quotes:
        assert SLIDES.holds(quote, row.where), quote


def test_formulas_of_quotations_are_set_as_formulas():
    rows = [row for book in (LEDGER, ERRATA) for part in book.parts for row in part.rows]
    for quote in [quote for row in rows for quote in row.quotes] + [quote for quote, _ in LEDGER.announced]:
        assert "\\" not in re.sub(r"\$\$.*?\$\$|\$.*?\$", "", quote), quote


def written(tmp_path: Path, **changes: object) -> Path:
    """A ledger with one row, right but for the changes."""
    row = {
        "name": "a",
        "kind": "statement",
        "where": 1,
        "quotes": ["$x$ is so"],
        "status": "partly",
        "evidence": ["eq-a"],
    }
    row = {key: value for key, value in (row | changes).items() if value is not None}
    part = {"chapter": "ch-a", "title": "A", "slides": [row]}
    (tmp_path / ledger.SLIDES).write_text("# About.\n== 1 ==\nA x  is\nso.\n== 2 ==\nOther\n", encoding="utf8")
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump({"chapters": [part]}), encoding="utf8")
    return path


def test_blanks_and_signs_of_maths_do_not_count(tmp_path):
    [row] = ledger.read(written(tmp_path)).rows("slides")
    assert row.quotes == ("$x$ is so",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quotes": ["x was so"]}, "x was so: not the words of slide 1"),
        ({"where": 2}, "not the words of slide 2"),
        ({"where": [1, 2]}, "nothing of this row stands on slide 2"),
        ({"quotes": []}, "quotes nothing"),
        ({"where": None}, "a row of slides needs 'where'"),
        ({"kind": "guess"}, "the kind 'guess' is none of statement"),
        ({"status": "proven"}, "'proven' is none of reproduced, partly"),
        ({"evidence": None}, "partly, but it names no evidence"),
        ({"status": "not attempted"}, "not attempted, but it names evidence"),
        ({"why": "so"}, "a row of slides has no 'why'"),
        ({"status": "reproduced", "experiments": ["mnist-blocks"]}, "reproduced, but mnist-blocks is not complete"),
    ],
)
def test_a_row_that_says_too_much_is_refused(tmp_path, monkeypatch, changes, says):
    monkeypatch.setattr(recorded, "seeds", lambda name: recorded.LEAST_SEEDS - 1)
    with pytest.raises(LedgerError, match=re.escape(says)):
        ledger.read(written(tmp_path, **changes))


def test_enough_seeds_may_reproduce(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "seeds", lambda name: recorded.LEAST_SEEDS)
    path = written(tmp_path, status="reproduced", experiments=["mnist-blocks"])
    assert ledger.read(path).rows("slides")[0].status == "reproduced"


def test_an_experiment_with_missing_rows_has_no_seeds(monkeypatch):
    found = SimpleNamespace(table=[{"seeds": 5}], missing=["a"])
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found)
    assert recorded.seeds("mnist-blocks") == 0
    found.missing = []
    assert recorded.seeds("mnist-blocks") == 5


def test_a_name_is_given_once(tmp_path):
    path = written(tmp_path)
    content = yaml.safe_load(path.read_text(encoding="utf8"))
    content["chapters"].append(content["chapters"][0])
    path.write_text(yaml.safe_dump(content), encoding="utf8")
    with pytest.raises(LedgerError, match="2 rows have the name a"):
        ledger.read(path)


def test_what_the_book_adds_takes_its_status_from_its_evidence():
    found = {row.name: row.status for row in LEDGER.rows("adds")}
    assert (found["metric"], found["cost"], found["celeba"]) == ("proved", "measured", "not attempted")


def test_the_totals_count_each_row_of_the_slides_once():
    counted = ledger.count(LEDGER)
    assert sum(found.total() for found in counted.values()) == len(LEDGER.rows("slides"))
    assert counted["equation"]["differs"] == 1


def test_the_slip_of_the_exponent_is_a_slip_and_missing_conditions_are_not():
    slips = " ".join(quote for row in ERRATA.rows("slips") for quote in row.quotes)
    assert r"\Sigma_{z|x}^{-1/2}" in slips
    for condition in ("relu", "Bern", "upper bound", "convex"):
        assert condition not in slips


@pytest.mark.parametrize("name", ["mnist-objectives", "mnist-blocks"])
def test_a_recorded_experiment_says_its_rows_lengths_and_controls(name):
    head, controls = recorded.words(name)
    assert re.fullmatch(r"\d+ of \d+ rows on MNIST, \d.* seeds for each setting, [\d,]+ .*steps\.", head)
    assert controls.startswith("Recorded: ")


@pytest.mark.parametrize("name", experiments.NAMES)
def test_the_ledger_says_all_lengths_and_data_of_an_experiment(name):
    jobs = [row["job"] for row in experiments.load(name).rows.values()]
    head, *_ = recorded.words(name)
    lengths = [job["steps"] for job in jobs]
    assert all(f"{steps:,}" in head for steps in (min(lengths), max(lengths)))
    for data in {experiments.find(name).data_of(job) for job in jobs}:
        assert recorded.DATA[data] in head


def test_an_experiment_without_rows_says_so(monkeypatch):
    found = SimpleNamespace(name="mnist-blocks", question="", rows={}, table=[], missing=["a"], stale=None)
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found)
    [head] = recorded.words("mnist-blocks")
    assert re.fullmatch(r"0 of \d+ rows on MNIST\.", head)


def test_numbers_of_slides_are_read_aloud():
    assert ledger._place((7,)) == "Slide 7"
    assert ledger._place((7, 8, 9)) == "Slides 7 to 9"
    assert ledger._place((10, 11)) == "Slides 10 and 11"
    assert ledger._place((1, 3, 4)) == "Slides 1, 3 and 4"
