"""A sheet of hard formulas in three engines, beside pictures of it that were looked at.

After a change that is meant to change how formulas look, write the pictures again, and look at them before you commit:

    .venv/bin/python -m pytest -n 0 -m "" tests/site/test_formula_sheet.py --write-references
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from corpora import some_of
from engines import HEIGHT, KINDS, WIDTH, Engine
from PIL import Image
from scipy import ndimage
from small_book import build, write_configuration
from web_server import serve

pytestmark = pytest.mark.slow  # how formulas are laid out is tried in `test_engines.py`

SHEET = Path(__file__).with_name("sheet.md")
REFERENCES = Path(__file__).with_name("sheet")  # NAME.png for each engine
FORMULAS = re.findall(r"\$\$ (.*?) \$\$", SHEET.read_text(encoding="utf8"))
COLUMNS, ROWS = 3, 8  # of one screen
CELL = WIDTH // COLUMNS, HEIGHT // ROWS
SCREENS = -(-len(FORMULAS) // (COLUMNS * ROWS))

# Nothing but the formulas, each in a cell of its own.
ARRANGE = """
const [columns, width, height] = arguments;
const grid = document.createElement("article");
grid.className = "bd-article";
grid.style.cssText = `position: fixed; left: 0; top: 0; padding: 0; font-size: 26px; display: grid;
  grid-template-columns: repeat(${columns}, ${width}px); grid-auto-rows: ${height}px; align-items: center`;
grid.append(...document.querySelectorAll("div.math"));
document.body.replaceChildren(grid);
document.documentElement.style.cssText = "background: white; color: black; scrollbar-width: none";
for (const cell of grid.children) cell.style.cssText = "margin: 0; padding: 0; color: black; overflow: hidden";
for (const link of grid.querySelectorAll(".headerlink")) link.remove();
await document.fonts.ready;
return grid.children.length"""
# WebKit paints some time after the layout, and calls back nobody who waits for a frame.
SCROLL = """
document.querySelector("article").style.top = `-${arguments[0]}px`;
await new Promise((done) => setTimeout(done, 300))"""

DARK = 80  # of 255: how much darker than the paper ink is
REACH = 2  # pixels that ink may lie beside that of the reference: engines round and smooth differently
MAX_STRETCH = 0.06  # by which a formula may be wider or higher: a font is hinted here and not there
MAX_SPOT = 12  # pixels of the largest spot of ink that has none within reach in the other picture
MAX_SHARE = 0.03  # of ink without any within reach


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a book of one page, the sheet, with the extensions and the style of the real book."""
    root = tmp_path_factory.mktemp("sheet")
    write_configuration(root, "format: jb-book\nroot: book/index\n")
    configuration = (root / "_config.yml").read_text(encoding="utf8")
    # Without cells the numbered formulas have no check, and none is asked for.
    (root / "_config.yml").write_text(
        configuration.replace("execute_notebooks: cache", 'execute_notebooks: "off"'), "utf8"
    )
    (root / "book/index.md").write_text(SHEET.read_text(encoding="utf8"), encoding="utf8")
    done = build(root)
    assert done.returncode == 0, done.stderr[-2000:]
    return root / "_build/html"


def photograph(engine: Engine, address: str, *, before: str = "") -> np.ndarray:
    """The sheet as the engine shows it, (height, width), 0 black to 255; a script may spoil the page before."""
    engine.open(f"{address}/book/index.html")
    if before:
        engine.run(before)
    assert engine.run(ARRANGE, COLUMNS, *CELL) == len(FORMULAS)
    screens = []
    for number in range(SCREENS):
        engine.run(SCROLL, number * ROWS * CELL[1])
        seen = np.asarray(Image.open(io.BytesIO(engine.screenshot())).convert("L"))
        screens.append(seen[: ROWS * CELL[1], : COLUMNS * CELL[0]])
    return np.concatenate(screens)


def cells(sheet: np.ndarray) -> list[np.ndarray]:
    """The picture of each formula, cut to its ink: how dark it is, 0 to 255."""
    width, height = CELL
    places = [(row * height, column * width) for row in range(len(sheet) // height) for column in range(COLUMNS)]
    return [cut(255 - sheet[top : top + height, left : left + width]) for top, left in places[: len(FORMULAS)]]


def cut(cell: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero((cell > DARK).any(axis=axis)) for axis in (1, 0))
    return (
        cell[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else np.zeros((1, 1), dtype=cell.dtype)
    )


def difference(seen: np.ndarray, reference: np.ndarray) -> str | None:
    """In what two pictures of a formula clearly differ."""
    stretch = np.abs(np.divide(seen.shape, reference.shape) - 1)
    if (
        np.abs(np.subtract(seen.shape, reference.shape)) > np.maximum(REACH, MAX_STRETCH * np.array(reference.shape))
    ).any():
        return f"{seen.shape[1]} × {seen.shape[0]} pixels, not {reference.shape[1]} × {reference.shape[0]}"
    if stretch.any():
        seen = np.asarray(Image.fromarray(seen).resize(reference.shape[::-1], Image.Resampling.BILINEAR))
    one, other = seen > DARK, reference > DARK
    alone = one & ~near(other) | other & ~near(one)
    spots, _ = ndimage.label(alone, structure=np.ones((3, 3)))
    largest = int(np.bincount(spots.ravel())[1:].max(initial=0))
    share = alone.sum() / (one | other).sum()
    if largest > MAX_SPOT or share > MAX_SHARE:
        return f"a spot of {largest} pixels and {share:.1%} of the ink differ"
    return None


def near(ink: np.ndarray) -> np.ndarray:
    """The pixels with ink within reach."""
    return ndimage.binary_dilation(ink, iterations=REACH)


def differences(seen: np.ndarray, reference: np.ndarray) -> dict[str, str]:
    """The formulas that do not look as in the reference, and why."""
    pairs = zip(FORMULAS, cells(seen), cells(reference), strict=True)
    return {tex: words for tex, one, other in pairs if (words := difference(one, other))}


def reference(engine_name: str) -> np.ndarray:
    return np.asarray(Image.open(REFERENCES / f"{engine_name}.png").convert("L"))


@pytest.fixture(scope="module")
def address(sheet):
    with serve(sheet) as address:
        yield address


def test_formulas_look_as_they_did_when_somebody_looked(engine_name, engine, address, tmp_path, request):
    seen = photograph(engine, address)
    if request.config.getoption("write_references"):
        REFERENCES.mkdir(exist_ok=True)
        Image.fromarray(seen).quantize(16).save(REFERENCES / f"{engine_name}.png", optimize=True)
    Image.fromarray(seen).save(tmp_path / f"{engine_name}.png")
    assert differences(seen, reference(engine_name)) == {}, f"see {tmp_path}/{engine_name}.png"


# What may go wrong, and the formulas in which that is seen.
SPOILT = {
    "no radicals": (
        "for (const root of document.querySelectorAll('msqrt')) root.replaceWith(...root.childNodes)",
        "sqrt{",
    ),
    "no braces": ("for (const sign of document.querySelectorAll('munder > mo')) sign.textContent = ''", "underbrace"),
    "no primes": ("for (const sign of document.querySelectorAll('msup > mo')) sign.textContent = ''", "'"),
    "no fraction bars": (
        "for (const one of document.querySelectorAll('mfrac')) one.setAttribute('linethickness', 0)",
        "frac",
    ),
    "no font": (
        "document.head.insertAdjacentHTML('beforeend', '<style>math { font-family: serif !important }')",
        "left",
    ),
}


@pytest.fixture(scope="module")
def chromium_engine():
    if KINDS["chromium"].missing:
        pytest.skip(KINDS["chromium"].missing)
    with KINDS["chromium"].running() as running:
        yield running


@pytest.mark.sampled
@pytest.mark.parametrize("fault", some_of(list(SPOILT), 2))
def test_a_fault_is_seen(chromium_engine, address, fault):
    spoil, mark = SPOILT[fault]
    found = set(differences(photograph(chromium_engine, address, before=spoil), reference("chromium")))
    assert {tex for tex in FORMULAS if mark in tex} - found == set()
