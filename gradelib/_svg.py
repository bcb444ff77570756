"""SVG as matplotlib writes it, made small, made the same on every machine, and made fit to stand inside a page.

`read` parses and cleans one drawing, `merge` lays several over each other so that what they share is stored once,
`write` gives the text.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from PIL import Image

# A hundredth of a point is invisible, and further digits differ from one processor to the next.
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_GEOMETRY = ("d", "x", "y", "width", "height")
_REFERENCE = re.compile(r"(?<=#)[\w.-]+")
_WORTH_A_PALETTE = 8000  # characters
_COLOUR = re.compile(r"(?<=: )#[0-9a-f]{6}")


def read(text: str, colours: dict[str, str]) -> Element:
    """Parse `text`, drop what a page does not need, and replace each colour that is a key of `colours`.

    All definitions (glyphs, markers, clip paths) end up in one leading `<defs>`, each named by its content.
    """
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.text = element.tail = None
        _tidy(element, colours)
    # Inside a page matplotlib's `* {…}` rule would reach every other drawing; here it is inherited from the root.
    root.attrib = {"viewBox": root.get("viewBox", ""), "stroke-linejoin": "round", "stroke-linecap": "butt"}
    _gather_definitions(root)
    return root


def merge(roots: Sequence[Element], shown: int) -> Element:
    """Lay drawings of one size over each other: what is equal in all of them stands once.

    The rest stands in groups whose `data-frame` lists the numbers of the drawings that they belong to; only the groups
    of drawing number `shown` are visible.
    """
    first = roots[0]
    merged = Element(first.tag, first.attrib)
    definitions = Element("defs")
    definitions.extend({item.get("id"): item for root in roots for item in root[0]}.values())
    merged.append(definitions)
    merged.extend(_merge_children([list(root)[1:] for root in roots]))
    for group in merged.iter("g"):
        if str(shown) not in group.get("data-frame", str(shown)).split():
            group.set("display", "none")
    return merged


def write(root: Element, **attributes: str) -> str:
    """The text of a drawing, with `attributes` on its root and with names that no other drawing on a page has."""
    root = ElementTree.fromstring(ElementTree.tostring(root))
    root.attrib.update(attributes)
    prefix = "g" + _digest(root)
    names = {item.get("id"): f"{prefix}-{number}" for number, item in enumerate(root[0])}
    _rename(root, names)
    return ElementTree.tostring(root, encoding="unicode")


def size(root: Element) -> tuple[float, float]:
    """Width and height in points."""
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    return width, height


def _tidy(element: Element, colours: dict[str, str]) -> None:
    for name in _GEOMETRY:
        if name in element.attrib:
            element.set(name, " ".join(_LONG_NUMBER.sub(_shorten, element.attrib[name]).split()))
    if element.get("transform", "").startswith("translate"):
        element.set("transform", re.sub(r"translate\([^)]*\)", _shorten_all, element.attrib["transform"]))
    if "style" in element.attrib:
        style = _COLOUR.sub(lambda match: colours.get(match[0], match[0]), element.attrib["style"])
        element.set("style", style.replace(": ", ":").replace("; ", ";"))
    if element.tag == "image":
        element.set("href", _with_palette("".join(element.attrib["href"].split())))


def _with_palette(address: str) -> str:
    """The data address of a PNG in RGBA as one with a palette, a third of its size, where it has few enough colours.

    A small one is left as it is, since a palette of 256 colours is as long.
    """
    head, comma, data = address.partition(",")
    if head != "data:image/png;base64" or len(data) < _WORTH_A_PALETTE:
        return address
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    colours, places = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > 256:
        return address
    picture = Image.fromarray(places.reshape(pixels.shape[:2]).astype(np.uint8))
    picture.putpalette(colours[:, :3].tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True, transparency=colours[:, 3].tobytes())
    return head + comma + base64.b64encode(buffer.getvalue()).decode()


def _shorten(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 2) + 0:g}"  # + 0 turns −0 into 0


def _shorten_all(match: re.Match[str]) -> str:
    return _LONG_NUMBER.sub(_shorten, match[0])


def _gather_definitions(root: Element) -> None:
    found = {}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "defs":
                found.update({item.get("id"): item for item in child if item.tag != "style"})
            if child.tag in ("defs", "metadata"):
                parent.remove(child)
    names = {name: _digest(item) for name, item in found.items()}
    definitions = Element("defs")
    definitions.extend({names[name]: item for name, item in found.items()}.values())
    root.insert(0, definitions)
    _rename(root, names)


def _digest(element: Element) -> str:
    """A short name for the content of `element`, its own name aside."""
    content = re.sub(r'^(<\w+[^>]*?) id="[^"]*"', r"\1", ElementTree.tostring(element, encoding="unicode"))
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def _rename(root: Element, names: dict[str | None, str]) -> None:
    """Give definitions their new names, in references too; names that nothing refers to go."""
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in names:
            element.set("id", names[name])
        for attribute in ("href", "clip-path", "style", "fill"):
            value = element.get(attribute, "")
            if value.startswith("#") or "url(#" in value:
                element.set(attribute, _REFERENCE.sub(lambda match: names.get(match[0], match[0]), value))


def _merge_children(families: Sequence[list[Element]]) -> list[Element]:
    """Merge the children of corresponding groups, one list for each drawing."""
    if len({len(family) for family in families}) > 1:
        return _frames([_wrap(family) for family in families])
    return [item for siblings in zip(*families, strict=True) for item in _merge_siblings(siblings)]


def _merge_siblings(siblings: Sequence[Element]) -> list[Element]:
    first = siblings[0]
    if len({_text(item) for item in siblings}) == 1:
        return [first]
    if first.tag != "g" or len({(item.tag, *sorted(item.attrib.items())) for item in siblings}) > 1:
        return _frames([_wrap([item]) for item in siblings])
    merged = Element("g", first.attrib)
    merged.extend(_merge_children([list(item) for item in siblings]))
    return [merged]


def _frames(groups: Sequence[Element]) -> list[Element]:
    """One group for each distinct content, marked with the drawings that show it."""
    distinct: dict[str, Element] = {}
    for number, group in enumerate(groups):
        group = distinct.setdefault(_text(group), group)
        group.set("data-frame", f"{group.get('data-frame', '')} {number}".strip())
    return list(distinct.values())


def _wrap(items: list[Element]) -> Element:
    group = Element("g")
    group.extend(items)
    return group


def _text(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")
