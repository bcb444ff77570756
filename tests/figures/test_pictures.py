"""The book's pictures: small, deterministic, in the page's colours, readable by colour-blind and blind readers."""

from __future__ import annotations

import base64
import io
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from gradelib import figures, posteriors
from gradelib.figures import COLOURS, PALETTE, Picture

STYLE_SHEET = Path(__file__).parents[2] / "book" / "_static" / "book.css"
DATA_COLOURS = [name for name in PALETTE if name not in ("ink", "paper", "muted", "faint")]


@figures.style()
def curves(scale: float = 1.0, alt: str = "Two curves.") -> Picture:
    figure, axes = figures.axes(width=4, height=3)
    axes.plot([0, 1, 2], [0, scale, 1], label="full", **figures.look("full"))
    axes.plot([0, 1, 2], [1, 0, scale], label=r"$\Sigma^\star$", **figures.look("formula"))
    axes.legend()
    return Picture(figure, alt)


def body(picture: Picture) -> str:
    return picture._repr_mimebundle_()["text/html"]


# --- what a picture is


def test_a_picture_shows_its_words_as_text_and_its_drawing_as_html():
    bundle = curves(alt="Two\n    curves.")._repr_mimebundle_()
    svg = ElementTree.fromstring(bundle["text/html"])[0]
    assert bundle["text/plain"] == "Two curves."
    assert (svg.tag, svg.get("role"), svg.get("aria-label")) == ("svg", "img", "Two curves.")
    assert (svg.get("width"), svg.get("height")) == ("384", "288")  # 96 pixels for each of 4 × 3 inches


def test_words_with_markup_stay_words():
    svg = ElementTree.fromstring(body(curves(alt='β < 1 & "Σ > I"')))[0]
    assert svg.get("aria-label") == 'β < 1 & "Σ > I"'


@pytest.mark.parametrize("alt", ["", "  \n", None])
def test_a_picture_without_words_is_refused(alt):
    with pytest.raises(ValueError, match="needs alt text"):
        curves(alt=alt)


def test_only_a_figure_makes_a_picture():
    with pytest.raises(ValueError, match="this is a list"):
        Picture([1, 2], "A list.")


def test_the_drawing_is_the_same_byte_for_byte():
    assert body(curves()) == body(curves())


def test_another_drawing_shares_no_name_with_it():
    def names(picture: Picture) -> set[str]:
        return set(re.findall(r' id="([^"]+)"', body(picture)))

    first, second = names(curves()), names(curves(2.0))
    assert len(first) > 5
    assert not first & second


def test_every_name_in_a_drawing_is_used_and_every_use_has_its_name():
    svg = body(curves())
    names = re.findall(r' id="([^"]+)"', svg)
    assert len(names) == len(set(names))
    assert set(names) == set(re.findall(r'(?:href="|url\()#([\w-]+)', svg))


def test_a_drawing_carries_no_date_no_address_and_no_rule_for_its_neighbours():
    svg = body(curves())
    assert "metadata" not in svg
    assert "<text" not in svg  # letters are outlines: no reader lacks the font
    assert "http" not in svg
    assert "<style" not in svg


def test_coordinates_are_no_finer_than_a_hundredth_of_a_point():
    paths = re.findall(r' (?:d|x|y)="([^"]+)"', body(curves()))
    assert len(paths) > 20
    assert not re.findall(r"\d\.\d{3,}", " ".join(paths))


def test_a_small_picture_weighs_little():
    assert len(body(curves())) < 25_000


def test_the_picture_of_a_pyplot_figure_is_shown_once():
    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    Picture(figure, "A line.")
    assert figure.number not in pyplot.get_fignums()


def test_the_reader_keeps_their_own_figure():
    figure = Figure(dpi=150, facecolor="white")
    canvas = figure.canvas
    Picture(figure, "Nothing.")
    assert (figure.dpi, figure.get_facecolor(), figure.canvas) == (150, (1, 1, 1, 1), canvas)


def test_a_figure_from_outside_the_style_has_no_ground_of_its_own():
    figure, axes = pyplot.subplots(facecolor="white")
    axes.set_axis_off()
    assert "#fff" not in body(Picture(figure, "Nothing.")).replace("white", "#fff")


def test_what_is_rasterised_has_200_dots_per_inch():
    figure = Figure(figsize=(2, 1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.fill([0, 1, 1, 0], [0, 0, 1, 1], rasterized=True)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    [data] = re.findall(r"data:image/png;base64,([^\"]+)", body(Picture(figure, "A square.")))
    assert Image.open(io.BytesIO(base64.b64decode(data))).width == pytest.approx(400, abs=2)


def test_panels_stand_where_places_says():
    with matplotlib.rc_context({"figure.constrained_layout.use": True}):
        figure, panel = figures.axes(places={"left": 0.2, "right": 0.9, "bottom": 0.3, "top": 0.8})
        Picture(figure, "An empty panel.")
    assert panel.get_position().extents == pytest.approx([0.2, 0.3, 0.9, 0.8])


def test_the_reader_keeps_their_own_style():
    before = dict(matplotlib.rcParams)
    curves()
    assert dict(matplotlib.rcParams) == before


def test_the_reader_s_style_does_not_leak_into_the_book():
    expected = body(curves())
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.grid": True, "svg.fonttype": "none"}):
        assert body(curves()) == expected


# --- colours


def test_all_colours_follow_the_page():
    left = re.sub(r"var\(--gl-\w+, [^;]*?\)+(?=[;\"])", "", body(curves()))
    assert "var(--gl-full, #2258dc)" in body(curves())
    assert not re.findall(r"(?::|=\")#[0-9a-f]{6}", left)


def test_black_from_outside_the_style_is_ink():
    figure, axes = pyplot.subplots()
    axes.set_title("made without the style")
    axes.plot([1, 2], color="black")
    svg = body(Picture(figure, "A line."))
    assert "#000000" not in svg
    assert "stroke:var(--gl-ink, currentColor)" in svg


def test_the_page_knows_the_same_colours_in_both_modes():
    light, dark = re.findall(r"\{([^}]*--gl-ink:[^}]*)\}", STYLE_SHEET.read_text())
    for mode, rule in enumerate((light, dark)):
        assert dict(re.findall(r"--gl-(\w+): (#\w+);", rule)) == {name: pair[mode] for name, pair in PALETTE.items()}


def linear(colour: str) -> np.ndarray:
    """Linear sRGB of a hex colour."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio."""
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear sRGB, in which a distance of 2 can just be seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# Machado, Oliveira & Fernandes (2009), full severity: what remains of linear sRGB.
EYES = {
    "all cones": np.eye(3),
    "no red cones": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no green cones": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no blue cones": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("mode", [0, 1])
def test_lines_and_letters_stand_out_from_the_page(mode):
    paper = PALETTE["paper"][mode]
    assert all(contrast(PALETTE[name][mode], paper) >= 3 for name in [*DATA_COLOURS, "muted"])
    assert contrast(PALETTE["ink"][mode], paper) >= 7


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("mode", [0, 1])
def test_no_two_colours_look_alike(eyes, mode):
    seen = [lab(np.array(EYES[eyes]) @ linear(PALETTE[name][mode])) for name in DATA_COLOURS]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 20


def test_colours_without_the_style_sheet_can_be_read_on_black_too():
    assert all(contrast(COLOURS[name], "#111111") >= 3 for name in DATA_COLOURS)


# --- looks


def test_every_family_has_a_look_and_none_relies_on_colour():
    looks = {name: figures.look(name) for name in (*posteriors.FAMILIES, "learned", "formula", "other")}
    for one, other in combinations(looks.values(), 2):
        assert one["color"] != other["color"]
        assert (one["linestyle"], one["marker"]) != (other["linestyle"], other["marker"])


def test_a_look_takes_what_is_added():
    assert figures.look("full", alpha=0.5, linestyle="") | {} == {
        "color": COLOURS["full"],
        "linestyle": "",
        "marker": "o",
        "alpha": 0.5,
    }


def test_an_unknown_look_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'diagonal'"):
        figures.look("diag")


# --- ellipses


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(0.5, 3))
def test_an_ellipse_is_where_the_mahalanobis_distance_is_constant(entries, deviations):
    root = np.array(entries).reshape(2, 2)
    covariance = root @ root.T + 0.1 * np.eye(2)
    mean = np.array([0.3, -1.0])
    _, axes = figures.axes()
    ellipse = figures.ellipse(axes, mean, covariance, "full", deviations=deviations)
    around = ellipse.get_patch_transform().transform([[np.cos(t), np.sin(t)] for t in np.linspace(0, 6, 9)]) - mean
    distances = np.sqrt(np.einsum("ki,ij,kj->k", around, np.linalg.inv(covariance), around))
    np.testing.assert_allclose(distances, deviations, rtol=1e-8)


def test_an_ellipse_refuses_what_is_no_covariance_in_the_plane():
    _, axes = figures.axes()
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        figures.ellipse(axes, [0, 0], np.eye(3), "full")
    with pytest.raises(ValueError, match="positive definite"):
        figures.ellipse(axes, [0, 0], [[1, 2], [2, 1]], "full")
    with pytest.raises(ValueError, match="positive definite"):
        figures.ellipse(axes, [0, 0], [[1, np.nan], [np.nan, 1]], "full")
    with pytest.raises(ValueError, match="symmetric"):
        figures.ellipse(axes, [0, 0], [[2, 1], [0, 2]], "full")
    with pytest.raises(ValueError, match="finite mean"):
        figures.ellipse(axes, [0, np.inf], np.eye(2), "full")


def test_a_large_image_of_few_colours_has_a_palette_and_the_same_pixels():
    levels = np.random.default_rng(0).integers(64, size=(90, 120)) / 63
    levels[40] = np.nan  # a gap, through which the page is seen

    def embedded(values: np.ndarray) -> Image.Image:
        with figures.style():
            figure, axes = figures.axes()
            axes.imshow(values, vmin=0, vmax=1)
            data = re.search(r"base64,([^\"]+)", body(Picture(figure, "Noise.")))
        return Image.open(io.BytesIO(base64.b64decode(data[1])))

    small = embedded(levels)
    assert small.mode == "P"
    expected = matplotlib.colormaps["cividis"](levels, bytes=True)
    np.testing.assert_array_equal(np.asarray(small.convert("RGBA")), expected)
    assert embedded(np.random.default_rng(0).random((90, 120, 3))).mode == "RGBA"  # of too many colours


def test_images_keep_their_pixels():
    with figures.style():
        figure, axes = figures.axes()
        axes.imshow(np.eye(4))
        picture = Picture(figure, "Four squares on a diagonal.")
    assert 'width="4" height="4"' in body(picture)
    assert "image-rendering:pixelated" in body(picture)
