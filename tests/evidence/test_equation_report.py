"""A small book with equations: badges, report and ledger; then the same book with one fault of each kind, which is red.

The builds share a folder, so that they also try what an incremental build does with pages that it does not read again.
"""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from small_book import FRONT, build, page, write_configuration
from sphinx.util.inventory import InventoryFile

from benchmarks.browser import MISSING, chromium
from book.extensions.evidence.ledger import ledger_part
from book.extensions.evidence.report import equation_report
from gradelib.mime_renderer import record

ROOT = Path(__file__).parents[2]
FIRST = """\
(ch-first)=
# First?

$$ a = \\beta / (\\beta + m) $$ (eq-first)

```{code-cell}
from gradelib.equations import definition, identity, inequality
identity("eq-first", "beta/(beta + m)", "1/(1 + m/beta)", m="pos")
```

```{code-cell}
from gradelib.exact import exact
exact("eq-first", "1/(1 + m/beta)", "beta/(beta + m)", m="pos")
```

$$ \\text{without a number} $$

$$
b \\ge 0
$$ (eq-second)

```{code-cell}
inequality("eq-second", "0", "m", equal_at={"m": "0"}, m="pos",
           excuse={"2*m": "a factor", "1/2*m": "a < factor", "m**2": "a power"})
```

```{code-cell}
from gradelib.claims import claim
claim("measured", 2 > 1, '2 < 3 & "so"', length="1 step", control="none")
```

By {eq}`eq-first`, {evidence:check}`eq-first`. We saw {evidence:claim}`measured`, {evidence:claim}`all that <measured>`,
[words](#measured).
"""
SECOND = """\
(ch-second)=
# Second?

$$ c = 1 $$ (eq-third)

```{code-cell}
from gradelib.equations import identity
for factor in (1, 2):
    display(identity("eq-third", f"{factor}*beta/beta", f"{factor}"))
```

$$ e = 2 $$ (eq-fourth)

```{code-cell}
identity("eq-fourth", "2*beta/beta", "2", case=("one β", "there are many"))
```
"""
REPORT = "# Report\n\n```{equation-report} exceptions.yml\n```\n"
EXCEPTIONS = """\
numbers: {eq-second: An inequality., eq-third: A number.}
part: {eq-first: For one latent.}
letters: {eq-second: {m: a part of $b$}}
"""
LEDGER = """\
# Ledger

```{ledger-totals} claims.yml
```

## Slides

```{claim-ledger} claims.yml
:list: slides
```

## Added

```{claim-ledger} claims.yml
:list: adds
```

## Announced

```{ledger-announced} claims.yml
```
"""
SLIPS = "# Slips\n\n```{claim-ledger} errata.yml\n:list: slips\n```\n"
SLIDES = "# About these words.\n== 1 ==\nFirst: a is so\n$$c = 2$$\n== 2 ==\nIt ends, and goes on\n"
CLAIMS = """\
chapters:
- chapter: ch-first
  title: First?
  slides:
    - name: so
      kind: equation
      where: 1
      quotes: [a is so]
      status: reproduced
      evidence: [eq-first, measured]
      note: Only here.
    - {name: end, kind: statement, where: 2, quotes: ["It ends,"], status: not attempted}
  adds:
    - {name: more, says: That b is so., evidence: [eq-second]}
- chapter: ch-later
  title: Later?
  slides:
    - {name: on, kind: statement, where: 2, quotes: [and goes on], status: partly, evidence: [eq-later]}
announced:
- {where: 1, quote: "First:"}
"""
ERRATA = """\
chapters:
- chapter: ch-second
  title: Second?
  slips:
    - {where: 1, quotes: [$$c = 2$$], correct: $c = 1$, evidence: [eq-third]}
"""
TOC = """\
format: jb-book
root: book/index
options: {numbered: true}
chapters: [{file: book/01-first}, {file: book/02-second}, {file: book/report}, {file: book/ledger}, {file: book/slips}]
"""


def write(root: Path, **pages: str) -> None:
    for name, text in pages.items():
        front = FRONT if "code-cell" in text else ""
        (root / "book" / f"{name.replace('_', '-')}.md").write_text(front + text, encoding="utf8")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built book, with the configuration, the extensions and the style of the real one."""
    root = tmp_path_factory.mktemp("book")
    write_configuration(root, TOC)
    (root / "book/claims.yml").write_text(CLAIMS)
    (root / "book/errata.yml").write_text(ERRATA)
    (root / "book/slides.txt").write_text(SLIDES)
    (root / "book/exceptions.yml").write_text(EXCEPTIONS)
    write(root, index="# A book\n", report=REPORT, ledger=LEDGER, slips=SLIPS)
    write(root, **{"01_first": FIRST, "02_second": SECOND})
    built = build(root)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr
    return root


def test_a_badge_leads_to_the_check_and_the_check_back(root):
    first = page(root, "01-first")
    badges = first.select(".gl-equation > div.math + a.gl-badge")
    assert [badge["href"] for badge in badges] == ["#check-eq-first", "#check-eq-second"]
    assert [badge["aria-label"] for badge in badges] == [
        "Equation (1.1) is proved: go to the check",
        "Equation (1.2) is checked: go to the check",
    ]
    for badge in badges:
        cell = first.find(id=badge["href"][1:])
        assert "cell" in cell["class"]
        back = cell.select_one("pre.gl-record a")
        assert back["aria-label"] == f"Back to equation {back.text}"
        assert first.find(id=back["href"][1:]) == badge.find_previous_sibling("div")


def test_the_printed_line_keeps_its_words(root):
    lines = [line.text for line in page(root, "01-first").select("pre.gl-record")]
    assert re.fullmatch(r"✓ \(1\.1\) · identity at 6 points · \d+ wrong variants refused", lines[0])
    assert re.fullmatch(r"✓ \(1\.1\) · exact identity · \d+ wrong variants refused", lines[1])
    assert re.search(r"refused, 3 excused: m\*\*2, 1/2\*m, 2\*m$", lines[2])
    assert lines[3] == '▪ measured · 2 < 3 & "so"\n  length: 1 step\n  control: none'


def test_words_can_lead_to_a_check_and_to_what_was_measured(root):
    links = [(a["href"], a.text) for a in page(root, "01-first").select("p a.reference") if "-" in a["href"]][1:]
    assert re.fullmatch(r"\d+ wrong variants refused", links[0][1])
    assert [links[0][0], *links[1:]] == [
        "#check-eq-first",
        ("#claim-measured", '2 < 3 & "so"'),
        ("#claim-measured", "all that"),
        ("#claim-measured", "words"),
    ]


def test_other_books_can_refer_to_a_check(root):
    with (root / "_build/html/objects.inv").open("rb") as file:
        known = InventoryFile.load(file, "", str.__add__)
    assert known["evidence:check"]["eq-first"][2] == "book/01-first.html#check-eq-first"
    assert set(known["evidence:claim"]) == {"measured"}


OURS = (record, equation_report, ledger_part)


def test_stored_pages_hold_data_alone(root):
    stored = (root / "_build/.doctrees/book").glob("*.doctree")
    trees = [pickle.loads(path.read_bytes()) for path in stored]
    ours = [node for tree in trees for node in tree.findall() if isinstance(node, OURS)]
    assert {type(node) for node in ours} == set(OURS)
    for node in ours:
        json.dumps(node.attributes)


def test_the_report_counts_by_chapter_and_leads_to_each_check(root):
    report = page(root, "report")
    rows = {row.td.text: row for row in report.select("table.gl-equations tbody tr")}
    assert list(rows) == ["(1.1) first", "(1.2) second", "(2.1) third", "(2.2) fourth"]
    links = [a["href"] for a in rows["(1.2) second"].select("a")]
    assert links == ["01-first.html#equation-eq-second", "01-first.html#check-eq-second"]
    tried, refused, same, excused = (int(cell.text) for cell in rows["(1.2) second"].find_all("td")[3:7])
    assert excused == 3
    assert tried == refused + same + excused
    shown = [math["data-tex"] for math in rows["(1.2) second"].find_all("math")]
    assert shown == [r"b \ge 0", r"0 \le m", "m", "b"]  # the equation, what was computed, and what a letter stands for
    assert " is a part of " in rows["(1.2) second"].text
    survivors = [[cell.text for cell in row.select("td")] for row in report.select("table.gl-survivors tbody tr")]
    assert ["(1.2)", "inequality", "1/2*m", "a < factor"] in survivors
    assert len(survivors) == 3


def test_the_report_says_which_kind_of_evidence_there_is_and_why(root):
    report = page(root, "report")
    told = [item.text.strip() for item in report.select("ul.gl-totals li")]
    assert [line.split()[0] for line in told[2:4]] == ["1", "2"]
    assert "proved with a symbol for every entry" in told[2]
    assert "checked with numbers only" in told[3]
    assert told[4].startswith("1 are checked in a case only")
    [case] = report.select(".gl-cases tbody tr")
    assert case.find_all("td")[1].text.strip() == "one β; not in full, since there are many"
    numbers, part = (
        [row.text.split("\n") for row in one.select("tbody tr")] for one in report.select(".gl-exceptions")
    )
    assert [row for row in numbers if "An inequality." in row]
    assert len(numbers) == 2
    assert [row for row in part if "For one latent." in row]
    links = {a.text for a in report.select("table.gl-equations a")}
    assert {"identity", "exact identity"} <= links


def test_the_report_stands_as_json_beside_the_page(root):
    data = json.loads((root / "_build/html/book/report.json").read_text())
    totals = data["totals"]
    assert (totals["labelled"], totals["checked"], totals["effective"], totals["excused"]) == (4, 4, 4, 3)
    assert totals["tried"] == sum(chapter["totals"]["tried"] for chapter in data["chapters"])
    assert [e["number"] for chapter in data["chapters"] for e in chapter["equations"]] == ["1.1", "1.2", "2.1", "2.2"]
    assert data["chapters"][0]["equations"][1]["checks"][0]["survivors"][0]["reason"]
    assert page(root, "report").find("a", href="report.json")


def table_rows(root: Path, name: str, kind: str) -> list[list[str]]:
    tables = page(root, name).select(f"table.{kind} tbody tr")
    return [[" ".join(cell.text.split()) for cell in row.select("td")] for row in tables]


def test_the_ledger_shows_the_slides_words_and_what_the_cells_measured(root):
    rows = table_rows(root, "ledger", "gl-claims")
    assert [row[0] for row in rows] == [
        "“a is so” Slide 1, equation",
        "“It ends,” Slide 2, statement",
        "“and goes on” Slide 2, statement",
        "That b is so.",
    ]
    assert [row[1] for row in rows] == ["reproduced", "not attempted", "not attempted", "proved"]
    measured = r'2 < 3 & "so" In the chapter: 1 step\. Control: none\.'
    assert re.fullmatch(rf"\(1\.1\) \d+ wrong variants refused {measured} Only here\.", rows[0][2])
    assert [row[2] for row in rows[1:3]] == ["", "not yet"]
    assert page(root, "01-first").find("a", string="measured")["href"] == "ledger.html#row-measured"
    assert [page(root, "ledger").find(id=f"row-{name}").name for name in ("measured", "so")] == ["span", "div"]


def test_the_ledger_counts_its_rows_and_lists_what_states_nothing(root):
    assert table_rows(root, "ledger", "gl-counts") == [
        ["statements", "0", "1", "0", "1", "2"],
        ["equations", "1", "0", "0", "0", "1"],
        ["figures", "0", "0", "0", "0", "0"],
        ["assumptions", "0", "0", "0", "0", "0"],
        ["together", "1", "1", "0", "1", "3"],
    ]
    ledger = page(root, "ledger")
    assert ledger.find(string=re.compile("What the book adds: 1 rows, 1 proved, 0 measured, 0 not attempted"))
    assert [item.text.strip() for item in ledger.select("li")] == ["Slide 1: “First:”"]


def test_a_slip_leads_to_its_check(root):
    [row] = page(root, "slips").select("tbody tr")
    assert [a["href"] for a in row.select("a")] == ["02-second.html#equation-eq-third", "02-second.html#check-eq-third"]


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_the_keyboard_follows_a_badge_and_print_leaves_it_out(root):
    badge = "document.querySelector('.gl-badge')"
    with chromium() as browser:
        browser.emulate(width=375, height=800)
        browser.open(root / "_build/html/book/01-first.html")
        assert ("link", "Equation (1.1) is proved: go to the check") in browser.accessibility_tree()
        assert ("link", "Back to equation (1.1)") in browser.accessibility_tree()
        browser.run(f"{badge}.focus()")
        browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
        assert browser.run("return document.querySelector(':target').id") == "check-eq-first"
        assert browser.run(f"return {badge}.getBoundingClientRect().width") >= 24  # room for a finger
        assert browser.run("return document.documentElement.scrollWidth") == 375
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert browser.run(f"return getComputedStyle({badge}).display") == "none"


# --- builds that must be red

FAULTS = {
    "$$ d = 1 $$ (eq-alone)": "no check of eq-alone: a cell on this page must end in one, or display one",
    '```{code-cell}\nidentity("eq-gone", "1", "1")\n```': "a check of eq-gone, but no equation has this label",
    "By {eq}`eq-nowhere`.": "equation not found: eq-nowhere",
    "We saw {evidence:claim}`nothing`.": "no cell shows the claim nothing",
    "By {evidence:check}`eq-alone`.": "no cell shows a check of eq-alone",
    "\\begin{equation}\nx = 1\n\\end{equation}": "a numbered equation without a label",
    '$$ e = 1 $$ (eq-idle)\n\n```{code-cell}\nidentity("eq-idle", lambda: 1.0, lambda: 1.0)\n```': (
        "the check of eq-idle could not fail, since it has nothing to vary"
    ),
    '$$ f = 1 $$ (eq-unseen)\n\n```{code-cell}\nidentity("eq-unseen", "beta", "beta")\nx = 1\n```': (
        "no check of eq-unseen"
    ),
    '```{code-cell}\nfrom gradelib.claims import claim\nclaim("unlisted", True, "1", length="1", control="1")\n```': (
        "no ledger has a row for unlisted"
    ),
}
WHEN_WRITTEN = ("not found", "shows the claim nothing", "shows a check of eq-alone")  # a page tells it once


@pytest.mark.slow
def test_each_fault_is_named_until_it_is_mended(root):
    planted = SECOND.replace("eq-third", "eq-changed")  # the slip loses its evidence
    write(root, **{"02_second": "\n\n".join([planted, *FAULTS])})
    expected = [*FAULTS.values(), "no cell shows a check of eq-third"]
    new = ("eq-alone", "eq-changed", "eq-idle", "eq-unseen")
    expected += [f"{label} has no exact check, and no reason why" for label in new]
    expected += ["eq-third has an exact check or a case, or is no equation; it needs no reason"]
    for again in (False, True):  # the second build reads nothing anew, and must be as red
        built = build(root)
        warnings = [line for line in built.stderr.splitlines() if " WARNING: " in line]
        assert built.returncode != 0
        ours = [said for said in expected if not (again and any(part in said for part in WHEN_WRITTEN))]
        assert [said for said in ours if not any(said in line for line in warnings)] == []
        assert len(warnings) == len(ours), warnings

    write(root, **{"02_second": SECOND + '\n```{code-cell}\nidentity("eq-third", "2*beta/beta", "2")\n```\n'})
    built = build(root)
    assert built.returncode == 0, built.stderr
    data = json.loads((root / "_build/html/book/report.json").read_text())
    assert data["totals"]["labelled"] == 4
    assert len(data["chapters"][1]["equations"][0]["checks"]) == 3
    links = page(root, "report").select("table.gl-equations")[1].select("tbody a")
    assert len(links) == 6  # the report follows the chapter: an equation and three checks, another and its case
    assert page(root, "02-second").find(id="check-eq-third-3")


@pytest.mark.slow
def test_a_wrong_sign_in_a_chapters_check_fails_the_build(root):
    text = (ROOT / "book/06-optimal-covariance.md").read_text(encoding="utf8")
    cell = re.search(r"```\{code-cell\} ipython3\n(def precision.*?)```", text, re.DOTALL)[1]
    right = '"I_d - T(J)@H@J/beta", precision'
    assert cell.count(right) == 1
    set_up = "import torch\nfrom gradelib.equations import definition\ntorch.set_default_dtype(torch.float64)\n"
    page = "(ch-second)=\n# Second?\n\n$$ P $$ (eq-precision)\n\n```{{code-cell}}\n{}{}```\n"
    write(root, **{"02_second": page.format(set_up, cell.replace(right, right.replace("-", "+")))})
    built = build(root)
    assert built.returncode != 0
    said = "EquationError: eq-precision does not hold: at a random point with n = 5, d = 3"
    assert said in re.sub(r"\x1b\[[\d;]*m", "", built.stdout + built.stderr)
