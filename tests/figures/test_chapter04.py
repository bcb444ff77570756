"""The figures of chapter 4 show what their functions are given, and say it in words."""

from __future__ import annotations

import re

import pytest
import torch

from gradelib.figures.chapter04 import error_against_width, width_of_q


def wave(z):
    return torch.cos(z)


def average(s):
    """E cos z under N(0, s²)."""
    return torch.exp(-0.5 * torch.tensor(s) ** 2)


def test_both_values_stand_in_the_words():
    words = width_of_q(wave, average, 0.0)(0.5).alt
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d{3}", words)]
    assert numbers == pytest.approx([0.882, 0.875], abs=1e-9)  # e^(−1/8) and 1 − 1/8


def test_a_taylor_value_that_no_average_can_have_is_called_so():
    draw = width_of_q(wave, average, 0.0, high=1.1)
    assert "below the lowest value" not in draw(1.9).alt  # 1 − 1.9²/2 is above −1
    assert "below the lowest value" in draw(2.1).alt


def test_all_widths_share_one_size():
    pictures = [width_of_q(wave, average, 0.0)(s) for s in (0.1, 2.0)]
    assert len({picture.drawing.get("viewBox") for picture in pictures}) == 1


def test_errors_are_told_from_the_narrowest_to_the_widest():
    widths = torch.tensor([0.1, 0.2, 0.4])
    words = error_against_width(widths, {"quadrature": -(widths**2), "pairs": torch.full((3,), 0.03)}).alt
    assert "quadrature from 0.01 to 0.2; pairs from 0.03 to 0.03" in words
