"""The PDF of a small book: the LaTeX source that is written, and, where LaTeX is installed, the file."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docutils import nodes
from PIL import Image
from small_book import FRONT, write_configuration

from book.extensions.evidence.nodes import table
from book.extensions.pdf import latex, make

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "book.extensions.pdf.make"]
CHAPTER = """\
(ch-first)=
# What is β?

$$ a = \\beta / (\\beta + m) $$ (eq-first)

```{code-cell}
from gradelib.equations import identity
identity("eq-first", "beta/(beta + m)", "1/(1 + m/beta)", m="pos")
```

$$ b = 1 $$ (eq-second)

```{code-cell}
identity("eq-second", "2*beta/beta", "2")
```

By {eq}`eq-second`, {prf:ref}`prop-one` and {ref}`ex-one`: GRAE≈ and 𝒟f.

```{prf:proposition} One
:label: prop-one
One is one.
```

```{prf:proof}
It is *so*.
```

```{exercise-start} How many
:label: ex-one
```
How many?
```{exercise-end}
```

````{solution-start} ex-one
:class: dropdown
````
Seventeen.
````{solution-end}
````

```{admonition} What you need
:class: note
Nothing.
```

```{code-cell}
:tags: [hide-input]
from gradelib import figures
from gradelib.figures import live

def draw(x):
    figure, axes = figures.axes(width=3, height=2)
    axes.plot([0, x])
    return figures.Picture(figure, alt=f"A line that rises to {x}.")

draw(7)
```

```{code-cell}
live.explore(draw, "height", [1, 2, 3], start=2)
```

| short | long |
|---|---|
| 1 | a cell whose words are so many that no page of paper could hold them in one line, as here for example |

## Summary

All is said.
"""
PAGES = {
    "index": "# A book\n\nFirst words.\n\n## For whom\n\nFor all.\n",
    "01-first": FRONT + CHAPTER,
    "report": "# Report\n\n```{equation-report}\n```\n",
}
TOC = """\
format: jb-book
root: book/index
parts:
  - {caption: The part & more, numbered: 1, chapters: [{file: book/01-first}]}
  - {caption: Back matter, chapters: [{file: book/report}]}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small book, written as LaTeX; where no converter is there, its pictures are empty files."""
    root = tmp_path_factory.mktemp("book")
    write_configuration(root, TOC)
    for name, text in PAGES.items():
        (root / "book" / f"{name}.md").write_text(text, encoding="utf8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        if shutil.which("rsvg-convert") is None:
            patch.setenv("PATH", str(stub(root)), prepend=os.pathsep)
        make.write_latex(root)
    return root


def stub(folder: Path) -> Path:
    program = folder / "stub/rsvg-convert"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncat > /dev/null\n")
    program.chmod(0o755)
    return program.parent


@pytest.fixture(scope="module")
def tex(root: Path) -> str:
    """All that stands between the covers."""
    text = (root / "_build/latex/book.tex").read_text(encoding="utf8")
    return text.partition("\\begin{document}")[2].replace("\\sphinxhyphen{}", "-").replace("\\sphinxAtStartPar\n", "")


# --- LaTeX


@pytest.mark.slow
def test_pages_become_front_matter_parts_and_back_matter(tex):
    order = [
        *(r"\booktitle", r"\bookcontents", r"\chapter{About this book}", "First words.", r"\section{For whom}"),
        *(r"\mainmatter\part{The part \& more}", r"\chapter{What is β?}", r"\section{Summary}", r"\section{Solutions}"),
        *(r"\backmatter", r"\chapter{Report}"),
    ]
    places = [tex.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.slow
def test_equations_and_their_links_keep_labels(root, tex):
    for label in ("eq-first", "eq-second"):
        assert rf"\label{{equation:book/01-first:{label}}}" in tex
    assert r"By (\ref{equation:book/01-first:eq-second})" in tex
    assert (root / "_build/latex/numbers.json").read_text() == '{"eq-first": "1.1", "eq-second": "1.2"}'


@pytest.mark.slow
def test_a_check_says_the_number_and_the_report_leads_to_it(tex):
    assert re.search(r"\\\(\\checkmark\\\) \(\\ref\{equation:book/01-first:eq-first\}\) · identity at \d+ points", tex)
    assert r"\hyperref[\detokenize{book/01-first:check-eq-first}]" in tex
    assert r"\label{\detokenize{book/01-first:check-eq-first}}" in tex


@pytest.mark.slow
def test_pictures_have_files_and_captions(root, tex):
    files = re.findall(r"\\sphinxincludegraphics\{\{(picture-\w+)\}\.pdf\}", tex)
    assert len(set(files)) == 2
    assert all((root / f"_build/latex/{name}.pdf").exists() for name in files)
    assert r"A line that rises to 7.}" in tex


@pytest.mark.slow
def test_a_live_figure_is_a_still_that_says_so(tex):
    caption = tex[tex.index("A line that rises to 2.") :].partition("\n")[0]
    assert "(Shown at height = 2; a slider" in caption
    assert r"{https://gradebook-vae.github.io/implicit-regularization/book/01-first.html}{in the HTML book}" in caption
    assert "goes from 1 to 3 in 3 steps.)" in caption
    assert "A line that rises to 3" not in tex


def test_a_live_figure_with_two_sliders_names_both():
    from gradelib import figures
    from gradelib.figures import live

    def draw(x, y):
        return figures.Picture(figures.axes(width=1, height=1)[0], alt="Nothing.")

    root = ElementTree.fromstring(live.explore(draw, "a", [1, 2], "b", [1, 2, 3], start=(2, 1)).html())
    words = "".join(node.astext() for node in latex._slider_note(root, "page.html"))
    assert words == " (Shown at a = 2, b = 1; sliders in the HTML book show all 6 pairs.)"


@pytest.mark.slow
def test_a_solution_stands_at_the_end_of_its_chapter(tex):
    exercise, lead, end = (tex.index(words) for words in ("How many?", r"\solutionat", "Seventeen."))
    assert exercise < lead < tex.index(r"\section{Summary}") < end
    assert r"{Solution of Exercise 1.1 (How many)}" in tex
    assert rf"\label{{{re.search(r'solutionat{(.*?)}', tex)[1]}}}" in tex


@pytest.mark.slow
def test_boxes_have_their_kinds_and_a_proof_has_none(tex):
    for kind in ("exercise", "solution", "theorem", "note"):
        assert tex.count(rf"\begin{{sphinxuseclass}}{{gl{kind}}}") == 1
    assert r"\sphinxstyleemphasis{Proof.} It is \sphinxstyleemphasis{so}.\proofend{}" in tex


@pytest.mark.slow
def test_a_table_wider_than_the_page_breaks_its_words(tex):
    before = tex[: tex.index("a cell whose words")]
    assert re.search(r"\\X\{\d+\}\{\d+\}\\X\{\d+\}\{\d+\}", before[before.rindex(r"\begin{tabular") :])


def test_a_narrow_table_stays_as_it_is():
    narrow = table(["a", "b"], [[[nodes.Text("1")], [nodes.Text("2")]]], kind="x")
    latex.fit_table(narrow)
    assert narrow["classes"] == ["colwidths-auto", "x"]


def test_a_column_is_never_narrower_than_its_formula():
    formula = nodes.math("", r"\log(1 + \lVert J_i\rVert^2/\beta) + \log(1 + \lVert J_k\rVert^2/\beta)")
    wide = table(["a", "b"], [[[formula], [nodes.Text("word " * 99)]]], kind="x")
    latex.fit_table(wide)
    narrow, broad = (column["colwidth"] for column in wide.findall(nodes.colspec))
    assert 30 < narrow < broad


def test_a_long_table_goes_over_pages_unless_in_a_box():
    long = table(["a"], [[[nodes.Text("1")]]] * 20, kind="x")
    boxed = long.deepcopy()
    nodes.admonition("", boxed)
    for found in (long, boxed):
        latex.fit_table(found)
    assert ["longtable" in found["classes"] for found in (long, boxed)] == [True, False]


# --- pictures


def test_a_drawing_for_paper_has_no_colours_of_the_page():
    from gradelib import figures

    figure, axes = figures.axes()
    axes.imshow([[0, 1]])
    text = latex.svg_for_print(figures.Picture(figure, alt="Two pixels.").drawing)
    assert "var(" not in text
    assert "currentColor" not in text
    assert figures.COLOURS["ink"] in text


def test_the_pixels_of_a_small_bitmap_are_repeated():
    buffer = io.BytesIO()
    Image.new("L", (8, 4)).save(buffer, "PNG")
    address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    head, _, data = latex.upscaled(address).partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (400, 200)


def test_a_refused_drawing_is_said(tmp_path, monkeypatch):
    program = stub(tmp_path) / "rsvg-convert"
    program.write_text("#!/bin/sh\ncat > /dev/null; echo no drawing >&2; exit 1\n")
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    with pytest.raises(RuntimeError, match="refused a figure: no drawing"):
        latex.svg_to_pdf("<svg/>", tmp_path / "x.pdf")


# --- the command


@pytest.mark.parametrize("options", [["--check"], []])
def test_without_latex_it_says_what_to_install_and_does_nothing(tmp_path, options):
    environment = {**os.environ, "PATH": ""}
    command = [*COMMAND, "--root", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("`make pdf` needs xelatex, latexmk, kpsewhich, rsvg-convert. On Debian: apt-get ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


LOG = """\
Missing character: There is no ⟒ (U+27D2) in font CMU Serif Roman!
Missing character: There is no ⟒ (U+27D2) in font CMU Serif Roman!
LaTeX Warning: Reference `equation:a:b' on page 7 undefined on input line 3.
LaTeX Warning: Hyper reference `a-very-long-name-of-a-label-that-goes-on-and-on:and
-on' on page vi undefined on input line 4.
Overfull \\hbox (20.5pt too wide) in paragraph at lines 1--2
Overfull \\hbox (3.0pt too wide) in paragraph at lines 3--4
Output written on book.xdv (12 pages, 3456 bytes).
"""


def test_the_log_is_read():
    result = make.read_log(LOG)
    assert (result.pages, result.missing_characters, result.overfull) == (12, ("⟒",), (20.5, 3.0))
    assert result.undefined_references == ("a-very-long-name-of-a-label-that-goes-on-and-on:and-on", "equation:a:b")
    sign, reference = make.faults_in(result)
    assert "⟒" in sign
    assert "equation:a:b" in reference
    assert make.faults_in(make.read_log(LOG[LOG.index("Overfull") :])) == []


def test_a_number_that_is_another_on_paper_is_said():
    aux = "\\newlabel{equation:book/01-first:eq-first}{{1.1}{3}{What?}{equation.1.1.1}{}}\n"
    assert make.number_mismatches({"eq-first": "1.1"}, aux) == []
    assert make.number_mismatches({"eq-first": "1.2"}, aux) == ["eq-first is (1.2) on its page, but (1.1) in the PDF."]
    assert make.number_mismatches({"eq-lost": "1.2"}, aux) == ["eq-lost is (1.2) on its page, but (None) in the PDF."]


# --- the file

LACKING = [
    *make.missing_requirements(),
    *(name for name in ("pdftotext", "pdfinfo", "pdffonts") if shutil.which(name) is None),
]


def output(*command: object) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)}")
@pytest.mark.slow
def test_the_book_is_one_file(root, tex):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*COMMAND, "--root", str(root)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    path = root / "_build/pdf/book.pdf"
    assert re.search(rf"{path}: \d+ pages, 0\.\d MB, 0 lines over the margin\n$", done.stdout)
    text = " ".join(output("pdftotext", path, "-").split())
    for words in ("(1.1)", "By (1.2), Proposition 1.1 and Exercise 1.1: GRAE≈ and 𝒟f.", "Fig. 1.2", "What is β?"):
        assert words in text
    assert re.search(r"Solution on page \d", text)
    assert "??" not in text
    information = output("pdfinfo", "-isodates", path)
    assert re.search(r"CreationDate: +1970-01-01", information)
    assert "A4" in information
    assert re.search(r"Title: +On Implicit Regularization in β-VAEs", information)
    assert {line.split()[-5] for line in output("pdffonts", path).splitlines()[2:]} == {"yes"}  # embedded
