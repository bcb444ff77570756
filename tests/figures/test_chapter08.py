"""The figure of chapter 8: the charge and the pull of each singular value."""

from __future__ import annotations

import pytest
import torch

from gradelib import objectives
from gradelib.figures import Picture, chapter08
from gradelib.figures.live import explore

SIGMA = torch.tensor([4.0, 2.0, 0.5, 0.0], dtype=torch.float64)


def test_the_charges_add_up_to_the_regulariser_of_grae():
    zero = torch.zeros(1, dtype=torch.float64)
    regulariser = objectives.grae(zero, -SIGMA.square().diag()[None], torch.zeros_like(SIGMA)[None], 0.7)
    torch.testing.assert_close(chapter08.charge(SIGMA, 0.7).sum(), regulariser)


def test_the_pull_is_the_slope_of_the_charge_and_strongest_at_the_root_of_beta():
    sigma = SIGMA.clone().requires_grad_()
    [slope] = torch.autograd.grad(chapter08.charge(sigma, 0.7).sum(), sigma)
    torch.testing.assert_close(chapter08.pull(SIGMA, 0.7), slope)
    grid = torch.linspace(0, 4, 4001, dtype=torch.float64)
    assert float(grid[chapter08.pull(grid, 0.49).argmax()]) == pytest.approx(0.7)


def test_the_words_count_what_is_seen():
    cheap, dear = map(chapter08.per_singular_value(SIGMA), (0.04, 1000.0))
    assert isinstance(cheap, Picture)
    assert "√β = 0.2, and 3 of the 4" in cheap.alt
    assert "and 0 of the 4" in dear.alt
    assert "pay 10 nats, 99.3% of what" in dear.alt  # half of 16 + 4 + ¼, less a little


def curves(picture: Picture) -> list[str]:
    """What is drawn inside of the panels."""
    return [path.get("d") for path in picture.drawing.iter("path") if "clip-path" in path.attrib]


def test_in_other_units_four_times_the_price_gives_the_same_curves():
    draw = chapter08.per_singular_value(SIGMA)
    once, doubled, dearer = draw(0.4), draw(1.6, 2), draw(0.4, 2)
    assert len(curves(once)) == 6
    assert curves(once) == curves(doubled) != curves(dearer)
    share = once.alt.partition("nats, ")[2]
    assert share == doubled.alt.partition("nats, ")[2] != dearer.alt.partition("nats, ")[2]


def test_the_frames_have_one_size_and_are_light():
    prices = [0.025, 0.1, 0.4, 1.6, 6.4, 25.6, 102.4]
    html = explore(chapter08.per_singular_value(SIGMA), "β", prices, "k", [0.5, 1, 2]).html()
    assert len(html) < 110_000


@pytest.mark.parametrize(
    "sigma", [torch.ones(2, 2), torch.tensor([1.0, -1.0]), torch.tensor([torch.nan]), torch.zeros(3)]
)
def test_what_is_no_list_of_singular_values_is_refused(sigma):
    with pytest.raises(ValueError, match="Singular values are a vector"):
        chapter08.per_singular_value(sigma)
