"""The figures of chapter 7."""

from __future__ import annotations

import numpy as np
import pytest

from gradelib.figures.chapter07 import matrix_panels, owed

NAMES = {"block": "blocks", "full": "full"}


def metric(d: int) -> np.ndarray:
    return 4 * np.kron(np.eye(d // 2), np.array([[1.0, -0.5], [-0.5, 1.0]])) + 0.4


def cosines(d: int) -> np.ndarray:
    return np.where(np.eye(d) > 0, 1.0, metric(d) / 4.4)


def line(model: str, beta: float = 0.4, **changed: float) -> dict[str, object]:
    numbers = {
        "nats_between_blocks": 0.3,
        "rotated_nats_between_blocks": 1.5,
        "rotated_nats_between_blocks_deviation": 0.1,
        "best_rotation_nats_between_blocks": 0.25,
        "directions_nats_between_blocks": 0.2,
    }
    return {"beta": beta, "latents": 8, "block": 2, "model": model, **numbers, **changed}


def test_the_words_tell_what_is_inside_the_blocks_from_what_is_between_them():
    alt = matrix_panels({"a": metric(6)}, {"a": cosines(6)}, block=2)("a").alt
    assert "the decoder's 6 columns" in alt
    assert "is 0.36 inside blocks of 2 and 0.09 between them" in alt  # 1.6/4.4 and 0.4/4.4
    assert "lengths from 2.1 to 2.1" in alt


def test_a_negative_entry_is_told_from_a_positive_one():
    turned = -cosines(4) + 2 * np.eye(4)
    panels = matrix_panels({"a": metric(4), "b": metric(4)}, {"a": cosines(4), "b": turned}, block=2)
    assert panels("a").svg() != panels("b").svg()


def test_a_frame_is_named_by_two_sliders():
    both = {("0.4, 8, 2", "full"): metric(4)}
    draw = matrix_panels(both, {key: cosines(4) for key in both}, block=2)
    assert "4 columns" in draw("0.4, 8, 2", "full").alt


def test_all_settings_have_pictures_of_one_size():
    draw = matrix_panels({d: metric(d) for d in (4, 12)}, {d: cosines(d) for d in (4, 12)}, block=2)
    small, large = (draw(d).svg().split("viewBox=")[1][:20] for d in (4, 12))
    assert small == large


def test_each_block_is_outlined_in_both_panels():
    draw = matrix_panels({d: metric(d) for d in (4, 8)}, {d: cosines(d) for d in (4, 8)}, block=2)
    outlines = [
        [path.get("d") for path in draw(d).drawing.iter("path") if "--gl-learned" in path.get("style", "")]
        for d in (4, 8)
    ]
    assert [[outline.count("M") for outline in both] for both in outlines] == [[2, 2], [4, 4]]


def test_frames_of_other_sizes_share_their_elements():
    draw = matrix_panels({d: metric(d) for d in (4, 12)}, {d: cosines(d) for d in (4, 12)}, block=2)
    parts = [len(list(draw(d).drawing.iter())) for d in (4, 12)]
    assert parts[0] == parts[1]


def test_blocks_that_do_not_divide_the_latents_are_refused():
    with pytest.raises(ValueError, match="do not divide the 5 latents of 'odd'"):
        matrix_panels({"odd": np.eye(5)}, {"odd": np.eye(5)}, block=2)


def test_a_metric_without_its_cosines_is_refused():
    with pytest.raises(ValueError, match="needs its cosines"):
        matrix_panels({"a": metric(4)}, {}, block=2)


def test_what_is_owed_is_told_for_each_setting_and_model():
    alt = owed([line("full", nats_between_blocks=1.4), line("block"), line("block", beta=1.0)], NAMES).alt
    assert "β = 0.4, d = 8: blocks 0.30 / 1.50 / 0.25, full 1.40 / 1.50 / 0.25; β = 1, d = 8: blocks" in alt


def test_nothing_is_not_drawn():
    with pytest.raises(ValueError, match="no rows"):
        owed([], NAMES)
