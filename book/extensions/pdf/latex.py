"""The book as one PDF: what the LaTeX builder has to be told about our pages.

Pictures and live figures, which are HTML, become PDF files with captions. Chapters become parts, main matter and back
matter; solutions move to the end of their chapter, where nobody reads them by accident. Equations, exercises and
theorems keep the numbers of the page. `pdf.sty` holds the look, `make.py` makes the file.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from PIL import Image
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.latex.nodes import math_reference
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.texescape import escape
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node
from sphinx_proof.nodes import NODE_TYPES, proof_node, unenumerable_node

from book.extensions.evidence.domain import equation_link
from book.extensions.page import typesetter
from book.extensions.page.opengraph import address
from gradelib import _records
from gradelib._files import write_atomically
from gradelib.figures import COLOURS

HERE = Path(__file__).parent
ENGINE = "xelatex"
NUMBERS = "numbers.json"
PAPER = {"ink": COLOURS["ink"], "paper": "#ffffff"}
ELEMENTS = {
    "papersize": "a4paper",
    "pointsize": "10pt",
    "extraclassoptions": "openany,oneside",
    "fontpkg": "",  # the fonts stand in pdf.sty
    "fncychap": "",
    "preamble": r"\usepackage{pdf}",
    "maketitle": r"\booktitle",
    "tableofcontents": r"\bookcontents",
    "figure_align": "H",  # the text says “here”, so that no picture may drift
    "makeindex": "",
    "printindex": "",  # every term leads to the glossary, which is in alphabetical order itself
}
VARIABLE = re.compile(r"var\(--[\w-]+,\s*([^()]*)\)")
# The boxes of the text, by what makes them; pdf.sty gives each its colour.
BOXES = {
    exercise_enumerable_node: "exercise",
    exercise_node: "exercise",
    solution_node: "solution",
    unenumerable_node: "theorem",
    **dict.fromkeys(NODE_TYPES.values(), "theorem"),
}
SHARP = 400  # pixels that a bitmap has at least along its longer side
PROOF = "Proof."  # what its directive puts before the first words
GAP = 4  # characters that go between two columns of a table
NARROW = 15 + GAP  # a column with words no longer than this never breaks them
LINE = 95  # characters that a row of a table may have before its columns are given widths


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure)
    app.add_post_transform(Outputs)
    app.connect("doctree-resolved", arrange, priority=800)  # after the lists of evidence are filled in
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def configure(app: Sphinx, config: Config) -> None:
    """The settings of the LaTeX builder; no page of HTML depends on them."""
    config.latex_engine = ENGINE
    config.latex_use_xindy = False
    config.latex_domain_indices = False
    config.latex_docclass = {"manual": "book"}
    config.latex_elements = ELEMENTS
    config.latex_additional_files = [str(HERE / "pdf.sty")]


# --- outputs of cells


class Outputs(SphinxPostTransform):
    """Pictures and records, of which LaTeX would only show the words, before their form is chosen."""

    default_priority = 3
    formats = ("latex",)

    def run(self, **kwargs: Any) -> None:
        for bundle in list(self.document.findall(_is_bundle)):
            html = next((form.astext() for form in bundle if form.get("mime_type") == "text/html"), "")
            if 'class="gl-picture"' in html:
                bundle.replace_self(self.figure(html, _page(bundle)))
            elif record := _records.read(html):
                bundle.replace_self(self.line(*record))

    def figure(self, html: str, page: str) -> nodes.figure:
        root = ElementTree.fromstring(html)
        drawing = next(root.iter("svg"))
        image = nodes.image(uri=self.converted(drawing), alt=drawing.get("aria-label"), candidates={"*": ""})
        caption = nodes.caption("", "", nodes.Text(drawing.get("aria-label")))
        if root.get("class") == "gl-live":
            caption += _about_slider(root, address(self.config.html_theme_options["repository_url"]) + page)
        return nodes.figure("", image, caption, align="default")

    def converted(self, drawing: ElementTree.Element) -> str:
        """The name of the drawing as a PDF file beside the text, made unless it is there."""
        text = printable(drawing)
        name = f"picture-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pdf"
        path = Path(self.app.outdir, name)
        if not path.exists():
            to_pdf(text, path)
        return name

    def line(self, kind: str, data: dict[str, Any], text: str) -> nodes.container:
        """What a check or a claim says; the label of the equation becomes its number."""
        name = data["label"] if kind == "check" else data["name"]
        before, _, after = text.partition(name)
        number = equation_link(self.app, "", name) or nodes.Text(name)
        words = nodes.paragraph("", "", nodes.Text(before), number, nodes.Text(after))
        return nodes.container("", words, classes=["glrecord"])


def _is_bundle(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "mime_bundle"


def _page(node: nodes.Node) -> str:
    """The page of the HTML book on which a node stands."""
    while "docname" not in node:  # the builder leaves it with the sections of each page
        node = node.parent
    return f"{node['docname']}.html"


def _about_slider(root: ElementTree.Element, page: str) -> list[nodes.Node]:
    names, values = (["".join(part.itertext()) for part in root.iter(tag)] for tag in ("label", "output"))
    frames = [item.get("data-label") for item in root.iter("li")]
    shown = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    link = nodes.reference("", "in the HTML book", refuri=page, internal=False)
    if len(names) > 1:
        return [nodes.Text(f" (Shown at {shown}; sliders "), link, nodes.Text(f" show all {len(frames)} pairs.)")]
    steps = f" goes from {frames[0]} to {frames[-1]} in {len(frames)} steps.)"
    return [nodes.Text(f" (Shown at {shown}; a slider "), link, nodes.Text(steps)]


def printable(drawing: ElementTree.Element) -> str:
    """The text of a drawing as a file of its own, its variable colours fixed to those of a light page."""
    for image in drawing.iter("image"):
        image.set("href", enlarged(image.get("href")))
    drawing.set("xmlns", "http://www.w3.org/2000/svg")
    drawing.set("style", f"fill:{PAPER['ink']}")
    text = ElementTree.tostring(drawing, encoding="unicode")
    while VARIABLE.search(text):
        text = VARIABLE.sub(r"\1", text)
    return text.replace("currentColor", PAPER["ink"])


def enlarged(address: str) -> str:
    """A small bitmap with its pixels repeated: readers of PDF would blur 8 × 8 of them into clouds."""
    head, _, data = address.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    times = max(1, round(SHARP / max(image.size)))
    buffer = io.BytesIO()
    image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST).save(buffer, "PNG")
    return f"{head},{base64.b64encode(buffer.getvalue()).decode()}"


def to_pdf(svg: str, path: Path) -> None:
    """Write the drawing as PDF. Raises RuntimeError where the converter is missing or refuses it."""
    converter = shutil.which("rsvg-convert")
    if converter is None:
        raise RuntimeError("rsvg-convert is missing, which turns figures into PDF: install librsvg2-bin.")
    done = subprocess.run([converter, "--format", "pdf"], input=svg.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"rsvg-convert refused a figure: {done.stderr.decode().strip()}")
    write_atomically(path, done.stdout)


# --- the order of the book


def arrange(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Give the assembled text the form of a printed book."""
    if app.builder.format != "latex":
        return
    for chapter in list(tree.findall(addnodes.start_of_file)):
        mark_cells(chapter)
        move_solutions(chapter)
    for table in tree.findall(nodes.table):
        fit(table)
    for cell in list(tree.findall(_hides_its_code)):
        cell.remove(next(cell.findall(_is_source)))
    for proof in list(tree.findall(proof_node)):
        proof.replace_self(unboxed(proof))
    for kind, name in BOXES.items():
        for box in list(tree.findall(kind)):
            frame(box, name)
    for box in list(tree.findall(nodes.admonition)):
        if type(box) is nodes.admonition:
            frame(box, box["classes"][0])
    divide(app, next(tree.findall(nodes.section)))
    Path(app.outdir, NUMBERS).write_text(json.dumps(numbers(app)), encoding="utf8")


def numbers(app: Sphinx) -> dict[str, str]:
    """The numbers that the equations have on the pages, for `make_pdf.py` to compare with those of LaTeX."""
    known = app.env.get_domain("math").equations.items()
    counted = {label: app.env.toc_fignumbers.get(page, {}).get("displaymath", {}) for label, (page, _) in known}
    return {label: ".".join(map(str, found.get(f"equation-{label}", ()))) for label, found in counted.items()}


def divide(app: Sphinx, book: nodes.section) -> None:
    """Front matter from the words of the first page; then the parts, and as back matter what has no numbers."""
    wrappers = [node for node in book.children if _is_toctree(node)]
    words = [node for node in book.children[1:] if not _is_toctree(node)]
    about = nodes.section("", nodes.title("", "About this book"), *words, ids=["about-this-book"])
    book.children = [book[0]]
    book += about
    matter = ""
    for wrapper, tree in zip(wrappers, app.env.external_site_map.root.subtrees, strict=True):
        now = r"\mainmatter" if tree.numbered else r"\backmatter"
        opening = now * (now != matter)
        if tree.caption and tree.numbered:
            opening += rf"\part{{{escape(tree.caption, ENGINE)}}}"
        book += [_latex(opening), wrapper]
        matter = now


def _is_toctree(node: nodes.Node) -> bool:
    return isinstance(node, nodes.compound) and "toctree-wrapper" in node["classes"]


def move_solutions(chapter: addnodes.start_of_file) -> None:
    """Put the solutions of a chapter in a section at its end, and where they stood say on which page."""
    if not (solutions := list(chapter.findall(solution_node))):
        return
    exercises = {node["label"]: node for node in chapter.findall(exercise_enumerable_node)}
    section = nodes.section("", nodes.title("", "Solutions"), ids=["solutions"])
    for solution in solutions:
        label = f"{chapter['docname']}:{solution['label']}"
        lead = _latex(rf"\solutionat{{{label}}}")
        solution.replace_self(lead)
        title = exercises[solution["target_label"]][0].deepcopy()
        solution[0].children = [nodes.Text("Solution of "), *title.children]
        section += solution
    next(chapter.findall(nodes.section)).append(section)


def mark_cells(chapter: addnodes.start_of_file) -> None:
    """Links of the back matter lead to cells, which in LaTeX have no names of their own."""
    for cell in list(chapter.findall(_is_cell)):
        if cell["ids"]:
            cell.parent.insert(cell.parent.index(cell), nodes.target("", "", ids=cell["ids"]))


def _is_cell(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def _hides_its_code(node: nodes.Node) -> bool:
    return _is_cell(node) and "tag_hide-input" in node["classes"]


def _is_source(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_source"


def frame(box: nodes.Element, name: str) -> None:
    """Let the style know what kind of box this is; a link to it leads to its top."""
    outside = nodes.container("", classes=[f"gl{name}"])
    box.replace_self(outside)
    outside += [_latex(r"\phantomsection"), box]


def unboxed(proof: proof_node) -> nodes.container:
    """A proof is running text: its first word says what it is, and a square stands at its end."""
    box = proof[0]
    if box and isinstance(first := box[0], nodes.paragraph) and first.astext().startswith(PROOF):
        text = first[0].astext().removeprefix(PROOF)
        first.children = [nodes.emphasis(PROOF, PROOF), nodes.Text(" " + text.lstrip()), *first.children[1:]]
    if isinstance(box[-1], nodes.paragraph):
        box[-1] += nodes.raw("", r"\proofend{}", format="latex")
    return nodes.container("", *box.children)


def _latex(text: str) -> nodes.raw:
    return nodes.raw("", f"\n{text}\n", format="latex")


# --- tables


def fit(table: nodes.table) -> None:
    """Give a table that is wider than the page columns in which words may break, and let a long one go over pages."""
    rows = [[_length(entry) for entry in row] for row in table.findall(nodes.row)]
    if len(rows) > 12 and not any(isinstance(parent, nodes.Admonition) for parent in _above(table)):
        table["classes"].append("longtable")
    longest = [max(column) + GAP for column in zip(*rows, strict=True)]
    if sum(longest) <= LINE:
        return
    group = table[0]
    formulas = ([_rigid(entry) for entry in row] for row in table.findall(nodes.row))
    rigid = [max(column) for column in zip(*formulas, strict=True)]
    for column, share in zip(group.findall(nodes.colspec), _widths(rows, longest, rigid), strict=True):
        column["colwidth"] = share
    table["classes"] = [*(name for name in table["classes"] if name != "colwidths-auto"), "colwidths-given"]


def _length(entry: nodes.entry) -> int:
    """Its characters; the number of an equation is known to LaTeX alone."""
    return len(entry.astext()) + sum(len("(10.10)") for _ in entry.findall(math_reference))


def _rigid(entry: nodes.entry) -> int:
    """The characters of its widest formula, which cannot be broken; a character is about as wide as an x is high."""
    sizes = [typesetter.size(formula.astext()) for formula in entry.findall(nodes.math)]
    return max((round(size.width) for size in sizes if size), default=0)


def _widths(rows: list[list[int]], longest: list[int], rigid: list[int]) -> list[int]:
    """A narrow column and one with a formula get what they need; all that are wide share the rest by what they hold."""
    short = [max(min(most, NARROW), least) for most, least in zip(longest, rigid, strict=True)]
    held = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    rest = max(0, LINE - sum(short))
    wide = [held[place] * (most > NARROW) for place, most in enumerate(longest)]
    return [round(least + rest * share / (sum(wide) or 1)) for least, share in zip(short, wide, strict=True)]


def _above(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node
