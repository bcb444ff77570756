"""The figures of chapter 7."""

from __future__ import annotations

import pytest
import torch

from gradelib.figures.chapter07 import cosine_panels, traversals


def matrices(d: int) -> list[torch.Tensor]:
    return [torch.eye(d) * 0.8 + 0.2, torch.eye(d) * 0.9 + 0.1]


def test_the_words_say_what_is_outside_the_blocks():
    draw = cosine_panels({"blocks": matrices(4), "more blocks": matrices(6)}, block=2)
    assert "the decoder's 4 columns" in draw("blocks").alt
    assert "Outside the blocks of 2 they are 0.20 and 0.10 on average" in draw("blocks").alt


def test_what_is_inside_the_blocks_does_not_count_as_outside():
    inside = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2))
    assert "they are 0.00 on average" in cosine_panels({"one": [inside]}, block=2)("one").alt


def test_all_settings_have_pictures_of_one_size():
    draw = cosine_panels({"small": matrices(4), "large": matrices(12)}, block=2)
    small, large = (draw(name).svg() for name in ("small", "large"))
    assert small.split("<path")[0].split('height="')[1][:5] == large.split("<path")[0].split('height="')[1][:5]


def test_each_block_is_outlined():
    outline = "--gl-learned"
    draw = cosine_panels({"small": matrices(4), "large": matrices(8)}, block=2)
    assert (draw("small").svg().count(outline), draw("large").svg().count(outline)) == (2 * 2, 2 * 4)


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ({"a": matrices(4), "b": matrices(4)[:1]}, "as many"),
        ({"odd": matrices(5)}, "do not divide the latents of 'odd'"),
    ],
)
def test_what_does_not_fit_is_refused(shown, why):
    with pytest.raises(ValueError, match=why):
        cosine_panels(shown, block=2)


def test_the_words_of_a_traversal_say_how_far_it_goes():
    walk = torch.zeros(3, 12)
    walk[-1, :4] = 1.5
    picture = traversals({"full": {"axis": walk, "still": torch.zeros(3, 12)}}, (3, 4))
    assert picture.alt.endswith("each row: full: axis 3.0, still 0.0.")
