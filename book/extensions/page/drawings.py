"""Drawings made light on a page: what a reader sees at first stands there, and what they share stands once.

A picture comes here as a whole: a notebook shows it alone. On a page

* frames of a live figure that are not shown at first wait in a script, `_static/frames/KEY.js`, which `live.js` loads
  when the figure comes near: a page that was opened as a file may read no other file, but may run a script;
* pixels are stored as WebP, without loss, in `_static/pixels` where they are many;
* letters and markers that several drawings use are defined by the first of them;
* paths are written in the shortest form that ends at the same hundredth of a point.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import minify
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from book.extensions import metadata
from gradelib._files import write_atomically

FRAMES, PIXELS = "frames", "pixels"  # in the folder of static files
FEW = 1024  # bytes of an image that are sooner there in the page itself than in a file of their own
DIGITS = 6  # of a number, where gradelib._svg leaves five at most; a difference of two would else show all its sixteen
PICTURE = re.compile(r'(?P<live><div class="gl-live">\s*)?<div class="gl-picture">(?P<drawing><svg\b.*?</svg>)', re.S)
DATA = "data:image/png;base64,"
REFERENCE = re.compile(r"(?<=#)[\w-]+")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("html-page-context", lighten)
    return metadata()


def lighten(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Make the drawings of a page light, and write what waits for a reader to files."""
    if "gl-picture" in (body := context.get("body", "")):
        page = Page(Path(app.outdir, "_static"), "../" * name.count("/") + "_static")
        context["body"] = PICTURE.sub(page.lightened, body)


class Page:
    """The drawings of one page, in their order."""

    def __init__(self, static: Path, address: str) -> None:
        self.static, self.address = static, address
        self.shared: dict[str, str] = {}  # the names of outlines, by their content
        self.names = 0

    def lightened(self, match: re.Match[str]) -> str:
        """The beginning of a picture, with its drawing as light as it can be."""
        root = ElementTree.fromstring(shorter(match["drawing"]))
        for image in root.iter("image"):
            image.set("href", compressed(image.get("href", "")))
        waiting = list(hidden_frames(root)) if match["live"] else []
        contents = [[*group] for group in waiting]
        for group in waiting:
            group[:] = []
        definitions = self.share_outlines(root, contents)
        for image in root.iter("image"):
            image.set("href", self.filed(image.get("href", "")))
        opening = match["live"] or ""
        if waiting:
            script = self.write_frames(definitions, contents)
            opening = opening.replace('"gl-live"', f'"gl-live" data-frames="{script}"')
        return f'{opening}<div class="gl-picture">{_text(root)}'

    def share_outlines(self, root: Element, contents: list[list[Element]]) -> list[Element]:
        """Leave in a drawing the definitions that it is the first on its page to show; return what else frames need."""
        definitions, names = list(root[0]), dict[str, str]()
        seen, in_frames = set(references([root])), set(references(part for parts in contents for part in parts))
        root[0][:] = []
        later = []
        for item in definitions:
            old = item.attrib.pop("id")
            content = _text(item)
            # A clip path works only where its own drawing is rendered, so that no other may use it.
            if item.tag == "path" and content in self.shared:
                names[old] = self.shared[content]
                continue
            self.names += 1
            names[old] = f"g{self.names}"
            item.set("id", names[old])
            if old in seen:
                root[0].append(item)
                self.shared[content] = names[old]
            elif old in in_frames:
                later.append(item)
        for part in (root, *later, *(part for parts in contents for part in parts)):
            rename(part, names)
        return later

    def write_frames(self, definitions: list[Element], contents: list[list[Element]]) -> str:
        """Write the script of a live figure: its further definitions, and what each group that waits will hold."""
        parts = ["".join(map(_text, definitions)), *("".join(map(_text, parts)) for parts in contents)]
        data = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        name = f"{FRAMES}/{_digest(data.encode())}.js"
        self.write(name, f"(globalThis.glFrames??={{}})[{json.dumps(Path(name).stem)}]={data};\n".encode())
        return f"{self.address}/{name}"

    def filed(self, address: str) -> str:
        """The address of an image in a file where it is large, else the image itself."""
        head, _, data = address.partition(",")
        pixels = base64.b64decode(data)
        if len(pixels) <= FEW:
            return address
        name = f"{PIXELS}/{_digest(pixels)}.{head.removeprefix('data:image/').removesuffix(';base64')}"
        self.write(name, pixels)
        return f"{self.address}/{name}"

    def write(self, name: str, content: bytes) -> None:
        """Write a file among the static ones; `pruning.py` removes it when no page names it any more."""
        path = self.static / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def shorter(drawing: str) -> str:
    """The same drawing with numbers and paths in their shortest form."""
    minify.config({"svg-precision": DIGITS})
    return minify.string("image/svg+xml", drawing)


def compressed(address: str) -> str:
    """The pixels of an embedded PNG as WebP, which loses none, where that is smaller."""
    if not address.startswith(DATA):
        return address
    before, after = base64.b64decode(address.removeprefix(DATA)), io.BytesIO()
    Image.open(io.BytesIO(before)).convert("RGBA").save(after, "WEBP", lossless=True, quality=100, method=5, exact=True)
    if len(after.getvalue()) >= len(before):
        return address
    return f"data:image/webp;base64,{base64.b64encode(after.getvalue()).decode()}"


def hidden_frames(root: Element) -> Iterator[Element]:
    """The groups of a live figure that are not shown at first."""
    return (group for group in root.iter("g") if group.get("data-frame") and group.get("display") == "none")


def references(parts: Iterable[Element]) -> Iterator[str]:
    """The names of the definitions that some parts of a drawing use."""
    for part in parts:
        for element in part.iter():
            for value in element.attrib.values():
                if value.startswith("#") or "url(#" in value:
                    yield from REFERENCE.findall(value)


def rename(root: Element, names: dict[str, str]) -> None:
    """Let a part of a drawing use definitions by their new names."""
    for element in root.iter():
        for attribute, value in element.attrib.items():
            if value.startswith("#") or "url(#" in value:
                element.set(attribute, REFERENCE.sub(lambda name: names.get(name[0], name[0]), value))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _text(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode").replace(" />", "/>")
