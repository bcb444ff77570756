"""What teachers and learners get to read: every count is right, every name is harmless, and nobody is kept out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from benchmarks.browser import MISSING, Browser, chromium
from benchmarks.page_audit import axe_script, axe_violations
from gradelib import exercises
from gradelib._text import printable
from gradelib.classroom import Marked, reports, scores
from gradelib.classroom.learners import LeftOut
from gradelib.marker.check import mark

ASKED = ("opt-var-1d", "inverse-metric")
RIGHT = ("1/(1 + w**2/beta)", "beta*(inv(S) - I_d)")
INVERTED, SIGN = "1/(1 + beta*w**2)", "beta/(beta - w**2)"
SCRIPT = "<script>alert(1)<!--"
FORMULA = '=HYPERLINK("http://example.org";"ada")'


def marked(learner: str, *answers: object, problem: str | None = None, sandboxed: bool = True) -> Marked:
    marks = tuple(mark(exercises.get(name), answer) for name, answer in zip(ASKED, answers, strict=False))
    given = {name: answer for name, answer in zip(ASKED, answers, strict=False) if isinstance(answer, str)}
    return Marked(learner, sha256=repr(answers), marks=marks, problem=problem, sandboxed=sandboxed, answers=given)


CLASS = [
    marked("ada", *RIGHT),
    marked("bob", INVERTED, ...),
    marked("cem", INVERTED, RIGHT[1]),
    marked("dan", SIGN, "w +"),
    marked("eve", "w**5", RIGHT[1]),
    marked("fay", *RIGHT),
    marked("gil", problem="This file is empty."),
    marked(SCRIPT, RIGHT[0], "(" + SCRIPT),
    marked(FORMULA, ..., ...),
]


def write(results: Path, *everyone: Marked) -> dict:
    rows = {one.learner: scores.row(one.learner, [one], known_mistake=0) for one in everyone}
    left_out = [LeftOut(f"{SCRIPT}.zip", "It is an archive; unpack it first.")]
    asked = [exercises.get(name) for name in ASKED]
    return reports.write(results, rows, asked, left_out=left_out, folder="week <3>")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write(folder, *CLASS)
    return folder


def page(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")


def rows(table: BeautifulSoup) -> list[list[str]]:
    return [[cell.get_text(" ", strip=True) for cell in row.select("th, td")] for row in table.select("tbody tr")]


def test_the_counts_of_each_exercise(results):
    data = json.loads((results / "class.json").read_text(encoding="utf8"))
    first, second = data["exercises"]
    states = ("correct", "incorrect", "unreadable", "unanswered", "unmarked")
    assert [first[state] for state in states] == [3, 4, 0, 1, 1]
    assert [second[state] for state in states] == [4, 0, 2, 2, 1]
    assert (first["mean"], second["mean"], first["chapter"]) == (3 / 8, 4 / 8, 6)
    assert (data["submissions"], data["marked"], data["problems"]) == (9, 8, 1)
    assert (data["mean"], data["max_score"]) == (7 / 8, 2)


def test_the_mistakes_of_each_exercise_come_with_their_hints_the_most_frequent_first(results):
    hints = {str(known): known.hint for known in exercises.get(ASKED[0]).mistakes}
    first, second = json.loads((results / "class.json").read_text(encoding="utf8"))["exercises"]
    assert second["mistakes"] == []
    assert [(found["times"], found["hint"]) for found in first["mistakes"]] == [
        (2, hints[INVERTED]),
        (1, hints[SIGN]),
        (1, None),
    ]


def test_wrong_answers_are_kept_as_they_were_given(results):
    first, second = json.loads((results / "class.json").read_text(encoding="utf8"))["exercises"]
    inverted = {"answer": INVERTED, "state": "incorrect", "mistake": INVERTED, "times": 2, "learners": ["bob", "cem"]}
    assert first["answers"][0] == inverted
    assert [(found["answer"], found["times"]) for found in second["answers"]] == [("(" + SCRIPT, 1), ("w +", 1)]
    own = json.loads((results / "reports" / "bob.json").read_text(encoding="utf8"))["marks"]
    assert [mark["answer"] for mark in own] == [INVERTED, None]


def test_of_several_marks_the_best_counts(tmp_path):
    files = [marked("1", INVERTED, RIGHT[1]), marked("2", RIGHT[0], ...), marked("3", SIGN)]
    row = scores.row("ada", files, known_mistake=0.5)
    assert {name: mark.score for name, mark in row.marks.items()} == dict.fromkeys(ASKED, 1)
    assert row.answers == dict(zip(ASKED, RIGHT, strict=True))
    assert scores.row("ada", files[::2], known_mistake=0.5).answers[ASKED[0]] == SIGN, "of equal ones the last"


@pytest.mark.parametrize(("share", "score"), [(0, 0), (0.25, 0.25), (1, 1)])
def test_a_known_mistake_earns_its_share(share, score):
    row = scores.row("bob", [marked("bob", INVERTED, "1")], known_mistake=share)
    assert [mark.score for mark in row.marks.values()] == [score, 0]
    assert row.score == score


def test_the_page_of_the_class_says_what_its_data_say(results):
    shown = page(results / "class.html")
    by_caption = {table.caption.get_text(" ", strip=True): table for table in shown.find_all("table")}
    items, wrong, answers, unread, learners = (by_caption[name] for name in by_caption)
    assert [row[2:] for row in rows(items)] == [
        ["3", "4", "0", "1", "1", "0.38 of 1"],
        ["4", "0", "2", "2", "1", "0.5 of 1"],
    ]
    assert [row[0] for row in rows(wrong)] == ["2", "1", "1"]
    assert wrong.caption.get_text() == "4 wrong answers"
    assert rows(answers)[0] == ["2", INVERTED, INVERTED]
    assert sorted(rows(answers)[1:]) == [["1", SIGN, SIGN], ["1", "w**5", "no known mistake"]]
    assert ["1", "(" + SCRIPT, "cannot be read"] in rows(unread)
    assert f"{SCRIPT}.zip It is an archive" in shown.get_text(" ", strip=True)
    lines = {row[0]: row[1:] for row in rows(learners)}
    assert lines["ada"] == ["✓ Correct", "✓ Correct", "2", "Same file as fay ."]
    assert lines["dan"] == ["✗ Not yet", "? Cannot be read", "0", ""]
    assert lines["gil"] == ["– Not marked", "– Not marked", "–", "Problem ."]
    assert "gil This file is empty." in shown.select_one(".problems").get_text(" ", strip=True)
    assert [div.get_text(" ", strip=True) for div in shown.select(".facts div")] == [
        "Submissions 9",
        "Marked 8",
        "Mean 0.88 of 2",
        "Problems 1",
    ]


def test_tables_have_names_and_heads_and_their_boxes_take_the_focus(results):
    tables = page(results / "class.html").find_all("table")
    assert len(tables) == 5
    for table in tables:
        assert table.caption.get_text(strip=True)
        assert {head.get("scope") for head in table.find_all("th")} == {"col", "row"}
        assert (table.parent["role"], table.parent["tabindex"]) == ("region", "0")
        assert table.parent["aria-label"]


def test_bars_are_as_long_as_the_counts(results):
    bar = page(results / "class.html").select_one(".bar")
    assert [(part["class"][0], part["style"]) for part in bar.find_all("span")] == [
        ("correct", "flex-grow: 3"),
        ("incorrect", "flex-grow: 4"),
        ("unanswered", "flex-grow: 1"),
        ("unmarked", "flex-grow: 1"),
    ]


def test_every_link_of_the_class_leads_to_the_report_of_its_learner(results):
    data = json.loads((results / "class.json").read_text(encoding="utf8"))
    for line in data["learners"]:
        report = page(results / line["report"])
        assert report.h1.get_text() == line["learner"]
        own = json.loads((results / line["report"]).with_suffix(".json").read_text(encoding="utf8"))
        assert (own["learner"], own["score"]) == (line["learner"], line["score"])
    links = [unquote(link["href"]) for link in page(results / "class.html").select(".learners tbody th a")]
    assert links == [line["report"] for line in data["learners"]]


def test_a_learner_reads_prompt_verdict_and_points_and_nothing_of_others(results):
    shown = page(results / "reports" / "bob.html")
    boxes = shown.select("[role=status]")
    assert [box.strong.get_text() for box in boxes] == ["✗ Not yet", "○ No answer yet"]
    assert "As beta grows" in boxes[0].get_text()
    assert shown.select_one(".lead").get_text() == "0 of 2 points, 0 of 2 exercises right"
    assert exercises.get(ASKED[1]).prompt in shown.get_text()
    texts = "".join((results / "reports" / name).read_text(encoding="utf8") for name in ("ada.html", "ada.json"))
    assert "fay" not in texts
    assert "same" not in texts.lower()


def test_who_was_marked_without_a_sandbox_reads_so(tmp_path, results):
    write(tmp_path, marked("ada", *RIGHT, sandboxed=False), marked("bob", *RIGHT))
    for name in ("class.html", "reports/ada.html"):
        assert "ran unprotected" in page(tmp_path / name).get_text()
    assert "ran unprotected" not in page(tmp_path / "reports/bob.html").get_text()
    assert "ran unprotected" not in page(results / "class.html").get_text()
    assert json.loads((tmp_path / "class.json").read_text())["sandboxed"] is False


def test_nothing_from_a_learner_becomes_markup(results):
    for path in results.rglob("*.html"):
        shown = page(path)
        assert shown.find("script") is None, path
        assert "default-src 'none'" in shown.find("meta", attrs={"http-equiv": True})["content"]
        assert not shown.find_all(["link", "img", "iframe", "object"]), path


def test_the_spreadsheet_has_a_row_for_each_learner(results):
    raw = (results / "marks.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    head, *lines = csv.reader(raw.decode("utf-8-sig").splitlines())
    assert head == ["student_id", *ASKED, "score", "max_score", "problem"]
    assert lines[0] == ["ada", "1", "1", "2", "2", ""]
    assert lines[6] == ["gil", "", "", "", "2", "This file is empty."]
    assert len(lines) == len(CLASS)


@pytest.mark.parametrize("name", [FORMULA, "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "＝1", "\t=1"])
def test_no_name_becomes_a_formula(tmp_path, name):
    write(tmp_path, marked(name, problem=name))
    (_, row) = csv.reader((tmp_path / "marks.csv").read_text(encoding="utf-8-sig").splitlines())
    assert row[0] == row[-1] == f"'{name}"


def test_a_semicolon_in_a_name_begins_no_new_cell(tmp_path):
    write(tmp_path, marked("ada;=1+1", *RIGHT))
    assert '"ada;=1+1",1,1,2,2,""' in (tmp_path / "marks.csv").read_text(encoding="utf-8-sig")


def test_the_reports_have_safe_names_and_each_its_own():
    names = ["ada", "Ada", "ÉVE", "eve", "a/b", "a-b", "a b", "..", "../../etc/passwd", "", "nul", "x" * 300, "x" * 301]
    names += ["é" * 100, "王小明", SCRIPT, "café", "cafe\u0301", "a\\b", "week 3/ada"]
    found = reports.report_names(names)
    assert len({name.casefold() for name in found.values()}) == len(names)
    for name in found.values():
        assert name == name.strip(" .-")
        assert len(name.encode()) < 150
        assert not set(name) & set('/\\<>:"|?*\0')
    assert [found[name] for name in ("eve", "a-b", "a b", "王小明")] == ["eve", "a-b", "a b", "王小明"]
    assert found["ada"] != "ada"  # where case does not count, it would be the same file as Ada's
    assert found["nul"] != "nul"


def test_nobody_can_take_the_name_of_anothers_report():
    """Someone whose name looks like the file of `a/b` gets another file."""
    theirs = reports.report_names(["a/b"])["a/b"]
    assert len(set(reports.report_names(["a/b", theirs]).values())) == 2


def test_what_turns_the_direction_of_writing_is_shown():
    assert printable("ada\u202egpj.\x1b[31m\ud800") == "ada\\u202egpj.\\x1b[31m\\ud800"
    assert printable("Zoë 王\nline") == "Zoë 王\nline"


def test_learners_who_left_leave_and_other_files_stay(tmp_path):
    write(tmp_path, *CLASS[:3])
    (tmp_path / "reports" / "comment.pdf").touch()
    (tmp_path / "reports" / ".1.unfinished").touch()  # a run was killed here
    write(tmp_path, *CLASS[1:3])
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "bob.html",
        "bob.json",
        "cem.html",
        "cem.json",
        "comment.pdf",
    ]


def test_the_same_marks_are_the_same_bytes(tmp_path, results):
    write(tmp_path, *CLASS)
    files = [path.relative_to(results) for path in results.rglob("*") if path.is_file()]
    assert len(files) == 3 + 2 * len(CLASS)
    for name in files:
        assert (tmp_path / name).read_bytes() == (results / name).read_bytes(), name


# --- in a browser

needs_browser = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
needs_axe = pytest.mark.skipif(
    bool(MISSING) or axe_script() is None, reason=MISSING or "needs axe-playwright-python, which requirements.txt names"
)
LOOKS = [(1280, False), (375, True)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@needs_axe
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_the_reports_keep_nobody_out(results, browser, width, dark):
    browser.emulate(width=width, dark=dark)
    for name in ("class.html", "reports/bob.html", "reports/gil.html"):
        assert browser.open(results / name) == ([], []), name
        assert axe_violations(browser) == [], name


@needs_axe
def test_a_warning_is_legible_in_both_modes(tmp_path, browser):
    write(tmp_path, marked("ada", *RIGHT, sandboxed=False, problem="This file was stopped after 60 seconds."))
    for width, dark in LOOKS:
        browser.emulate(width=width, dark=dark)
        for name in ("class.html", "reports/ada.html"):
            browser.open(tmp_path / name)
            assert axe_violations(browser) == [], name


@needs_browser
def test_the_reports_fit_a_phone(tmp_path, browser):
    browser.emulate(width=375)
    write(tmp_path, *CLASS, marked("x" * 200, *RIGHT))
    for name in ("class.html", "reports/bob.html", "reports/" + "x" * 120 + "*.html"):
        (path,) = tmp_path.glob(name)
        browser.open(path)
        assert browser.run("return document.documentElement.scrollWidth") == 375, name
