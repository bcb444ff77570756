"""The book as one PDF: configuration of Sphinx's LaTeX builder, and transforms of the pages for print.

Pictures and live figures, which are HTML, become PDF files with captions. The pages are divided into front matter, main
matter with parts, and back matter; solutions move to the end of their chapter, where nobody reads them by accident.
Equations, exercises and theorems keep the numbers of the page. `pdf.sty` is the LaTeX style, `make.py` runs LaTeX.
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
from typing import Any, cast
from xml.etree import ElementTree

from docutils import nodes
from PIL import Image
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.latex.nodes import math_reference
from sphinx.config import Config
from sphinx.domains.math import MathDomain
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.texescape import escape
from sphinx.util.typing import ExtensionMetadata
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node
from sphinx_proof.nodes import NODE_TYPES, proof_node, unenumerable_node

from book.extensions import metadata
from book.extensions.cells import is_code_cell, is_mime_bundle
from book.extensions.mathml import text_width
from book.extensions.pdf.make import NUMBERS_FILE
from book.extensions.site import site_url
from gradelib._files import write_atomically
from gradelib.figures import COLOURS

HERE = Path(__file__).parent
ENGINE = "xelatex"
PRINT_COLOURS = {"ink": COLOURS["ink"], "paper": "#ffffff"}
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
CSS_VARIABLE = re.compile(r"var\(--[\w-]+,\s*([^()]*)\)")
# Node classes that LaTeX sets as boxes, and the style of each in pdf.sty.
BOXES = {
    exercise_enumerable_node: "exercise",
    exercise_node: "exercise",
    solution_node: "solution",
    unenumerable_node: "theorem",
    **dict.fromkeys(NODE_TYPES.values(), "theorem"),
}
MIN_BITMAP_SIDE = 400  # pixels that a bitmap has at least along its longer side
PROOF_WORD = "Proof."  # sphinx-proof begins the text of a proof with it
# Widths of tables, in characters
COLUMN_GAP = 4
MIN_COLUMN = 15 + COLUMN_GAP  # no column gets less: longer words may be broken
LINE_WIDTH = 95  # of a row; the columns of a wider table are given widths


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("config-inited", configure_latex)
    app.add_post_transform(Outputs)
    app.connect("doctree-resolved", assemble_book, priority=800)  # after the lists of evidence are filled in
    return metadata()


def configure_latex(app: Sphinx, config: Config) -> None:
    """Set the options of the LaTeX builder, which no HTML page depends on."""
    config.latex_engine = ENGINE
    config.latex_use_xindy = False
    config.latex_domain_indices = False
    config.latex_docclass = {"manual": "book"}
    config.latex_elements = ELEMENTS
    config.latex_additional_files = [str(HERE / "pdf.sty")]


# --- outputs of cells


class Outputs(SphinxPostTransform):
    """Pictures, of which LaTeX would only show the words, before their form is chosen."""

    default_priority = 3
    formats = ("latex",)

    def run(self, **kwargs: Any) -> None:
        for bundle in list(self.document.findall(is_mime_bundle)):
            html = next((form.astext() for form in bundle if form.get("mime_type") == "text/html"), "")
            if 'class="gl-picture"' in html:
                bundle.replace_self(self.figure(html, _page(bundle)))

    def figure(self, html: str, page: str) -> nodes.figure:
        root = ElementTree.fromstring(html)
        drawing = next(root.iter("svg"))
        image = nodes.image(uri=self.pdf_file(drawing), alt=drawing.get("aria-label"), candidates={"*": ""})
        caption = nodes.caption("", "", nodes.Text(drawing.get("aria-label")))
        if root.get("class") == "gl-live":
            caption += _slider_note(root, site_url(self.config) + page)
        return nodes.figure("", image, caption, align="default")

    def pdf_file(self, drawing: ElementTree.Element) -> str:
        """The name of the PDF file with a drawing, beside the LaTeX source; it is made unless it is there."""
        text = svg_for_print(drawing)
        name = f"picture-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pdf"
        path = Path(self.app.outdir, name)
        if not path.exists():
            svg_to_pdf(text, path)
        return name


def _page(node: nodes.Node) -> str:
    """The page of the HTML book on which a node stands."""
    while "docname" not in node:  # the builder leaves it with the sections of each page
        node = node.parent
    return f"{node['docname']}.html"


def _slider_note(root: ElementTree.Element, page: str) -> list[nodes.Node]:
    names, values = (["".join(part.itertext()) for part in root.iter(tag)] for tag in ("label", "output"))
    frames = [item.get("data-label") for item in root.iter("li")]
    shown = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    link = nodes.reference("", "in the HTML book", refuri=page, internal=False)
    if len(names) > 1:
        return [nodes.Text(f" (Shown at {shown}; sliders "), link, nodes.Text(f" show all {len(frames)} pairs.)")]
    steps = f" goes from {frames[0]} to {frames[-1]} in {len(frames)} steps.)"
    return [nodes.Text(f" (Shown at {shown}; a slider "), link, nodes.Text(steps)]


def svg_for_print(drawing: ElementTree.Element) -> str:
    """The SVG source of a drawing as a file of its own; CSS variables become the colours of the light mode."""
    for image in drawing.iter("image"):
        image.set("href", upscaled(image.attrib["href"]))
    drawing.set("xmlns", "http://www.w3.org/2000/svg")
    drawing.set("style", f"fill:{PRINT_COLOURS['ink']}")
    text = ElementTree.tostring(drawing, encoding="unicode")
    while CSS_VARIABLE.search(text):
        text = CSS_VARIABLE.sub(r"\1", text)
    return text.replace("currentColor", PRINT_COLOURS["ink"])


def upscaled(data_uri: str) -> str:
    """A small bitmap with its pixels repeated, since PDF viewers interpolate between them."""
    head, _, data = data_uri.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    times = max(1, round(MIN_BITMAP_SIDE / max(image.size)))
    buffer = io.BytesIO()
    image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST).save(buffer, "PNG")
    return f"{head},{base64.b64encode(buffer.getvalue()).decode()}"


def svg_to_pdf(svg: str, path: Path) -> None:
    """Write the drawing as PDF. Raises RuntimeError where the converter is missing or refuses it."""
    converter = shutil.which("rsvg-convert")
    if converter is None:
        raise RuntimeError("rsvg-convert is missing, which turns figures into PDF: install librsvg2-bin.")
    done = subprocess.run([converter, "--format", "pdf"], input=svg.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"rsvg-convert refused a figure: {done.stderr.decode().strip()}")
    write_atomically(path, done.stdout)


# --- structure: matter, parts, solutions, boxes


def assemble_book(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Restructure the doctree of the whole book for print."""
    if app.builder.format != "latex":
        return
    for chapter in list(tree.findall(addnodes.start_of_file)):
        add_cell_targets(chapter)
        move_solutions(chapter)
    for table in tree.findall(nodes.table):
        fit_table(table)
    for proof in list(tree.findall(proof_node)):
        proof.replace_self(proof_without_box(proof))
    for kind, name in BOXES.items():
        for box in list(tree.findall(kind)):
            wrap_box(box, name)
    for box in list(tree.findall(nodes.admonition)):
        if type(box) is nodes.admonition:
            wrap_box(box, box["classes"][0])
    split_into_matter(app, next(tree.findall(nodes.section)))
    Path(app.outdir, NUMBERS_FILE).write_text(json.dumps(equation_numbers(app)), encoding="utf8")


def equation_numbers(app: Sphinx) -> dict[str, str]:
    """The numbers that the equations have on the pages, for `make.py` to compare with those of LaTeX."""
    math = cast(MathDomain, app.env.get_domain("math"))
    known = math.equations.items()
    counted = {label: app.env.toc_fignumbers.get(page, {}).get("displaymath", {}) for label, (page, _) in known}
    return {label: ".".join(map(str, found.get(f"equation-{label}", ()))) for label, found in counted.items()}


def split_into_matter(app: Sphinx, book: nodes.section) -> None:
    """Make the first page the front matter, the numbered parts the main matter, and the others the back matter."""
    wrappers = [node for node in book.children if _is_toctree(node)]
    text = [node for node in book.children[1:] if not _is_toctree(node)]
    about = nodes.section("", nodes.title("", "About this book"), *text, ids=["about-this-book"])
    book.children = [book[0]]
    book += about
    matter = ""
    site_map = app.env.external_site_map  # type: ignore[attr-defined]  # set by sphinx-external-toc
    for wrapper, tree in zip(wrappers, site_map.root.subtrees, strict=True):
        now = r"\mainmatter" if tree.numbered else r"\backmatter"
        opening = now * (now != matter)
        if tree.caption and tree.numbered:
            opening += rf"\part{{{escape(tree.caption, ENGINE)}}}"
        book += [_latex(opening), wrapper]
        matter = now


def _is_toctree(node: nodes.Node) -> bool:
    return isinstance(node, nodes.compound) and "toctree-wrapper" in node["classes"]


def move_solutions(chapter: addnodes.start_of_file) -> None:
    """Move the solutions of a chapter to a section at its end; a reference to the page takes the place of each."""
    if not (solutions := list(chapter.findall(solution_node))):
        return
    exercises = {node["label"]: node for node in chapter.findall(exercise_enumerable_node)}
    section = nodes.section("", nodes.title("", "Solutions"), ids=["solutions"])
    for solution in solutions:
        label = f"{chapter['docname']}:{solution['label']}"
        solution.replace_self(_latex(rf"\solutionat{{{label}}}"))
        title = exercises[solution["target_label"]][0].deepcopy()
        solution[0].children = [nodes.Text("Solution of "), *title.children]
        section += solution
    next(chapter.findall(nodes.section)).append(section)


def add_cell_targets(chapter: addnodes.start_of_file) -> None:
    """Give cells the targets that links of the back matter lead to: LaTeX writes no labels for containers."""
    for cell in list(chapter.findall(is_code_cell)):
        if cell["ids"]:
            cell.parent.insert(cell.parent.index(cell), nodes.target("", "", ids=cell["ids"]))


def wrap_box(box: nodes.Element, name: str) -> None:
    """Wrap a box in a container of class `gl…`, which pdf.sty styles; a link to it leads to its top."""
    outside = nodes.container("", classes=[f"gl{name}"])
    box.replace_self(outside)
    outside += [_latex(r"\phantomsection"), box]


def proof_without_box(proof: proof_node) -> nodes.container:
    """A proof as running text instead of a box: an italic “Proof.” before it and a square at its end."""
    box = proof[0]
    if box and isinstance(first := box[0], nodes.paragraph) and first.astext().startswith(PROOF_WORD):
        text = first[0].astext().removeprefix(PROOF_WORD)
        first.children = [nodes.emphasis(PROOF_WORD, PROOF_WORD), nodes.Text(" " + text.lstrip()), *first.children[1:]]
    if isinstance(box[-1], nodes.paragraph):
        box[-1] += nodes.raw("", r"\proofend{}", format="latex")
    return nodes.container("", *box.children)


def _latex(text: str) -> nodes.raw:
    return nodes.raw("", f"\n{text}\n", format="latex")


# --- tables


def fit_table(table: nodes.table) -> None:
    """Give widths to the columns of a table wider than the page, and make a long table a longtable."""
    rows = [[_text_width(entry) for entry in row] for row in table.findall(nodes.row)]
    if len(rows) > 12 and not any(isinstance(parent, nodes.Admonition) for parent in _ancestors(table)):
        table["classes"].append("longtable")
    longest = [max(column) + COLUMN_GAP for column in zip(*rows, strict=True)]
    if sum(longest) <= LINE_WIDTH:
        return
    group = table[0]
    formulas = ([_formula_width(entry) for entry in row] for row in table.findall(nodes.row))
    rigid = [max(column) for column in zip(*formulas, strict=True)]
    for column, share in zip(group.findall(nodes.colspec), _column_widths(rows, longest, rigid), strict=True):
        column["colwidth"] = share
    table["classes"] = [*(name for name in table["classes"] if name != "colwidths-auto"), "colwidths-given"]


def _text_width(entry: nodes.entry) -> int:
    """Width of a cell in characters; only LaTeX knows the number of an equation, so room is kept for one."""
    return len(entry.astext()) + sum(len("(10.10)") for _ in entry.findall(math_reference))


def _formula_width(entry: nodes.entry) -> int:
    """Width in characters of the widest formula of a cell, which cannot be broken."""
    return max((text_width(formula.astext()) for formula in entry.findall(nodes.math)), default=0)


def _column_widths(rows: list[list[int]], longest: list[int], rigid: list[int]) -> list[int]:
    """Narrow columns and those with a formula get what they need; wide ones share the rest by mean length."""
    short = [max(min(most, MIN_COLUMN), least) for most, least in zip(longest, rigid, strict=True)]
    held = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    rest = max(0, LINE_WIDTH - sum(short))
    wide = [held[place] * (most > MIN_COLUMN) for place, most in enumerate(longest)]
    return [round(least + rest * share / (sum(wide) or 1)) for least, share in zip(short, wide, strict=True)]


def _ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node
