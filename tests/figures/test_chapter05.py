"""The figures of chapter 5 show what their words say."""

from __future__ import annotations

import math
import re

import pytest
import torch

from gradelib import _svg, geometry
from gradelib.figures import Picture
from gradelib.figures.chapter05 import bernoulli_curvature, best_variance, residual_picture, true_loss
from gradelib.likelihoods import Gaussian


def told(picture: Picture) -> list[float]:
    """The signed numbers with two decimals in the words."""
    return [float(number.replace("−", "-")) for number in re.findall(r"[+−-]\d\.\d\d", picture.alt)]


@pytest.mark.parametrize("r", [-1.0, 0.5, 1.0, 2.0])
def test_the_residual_picture_tells_the_second_derivatives_of_its_decoder(r):
    def decoder(z: torch.Tensor) -> torch.Tensor:
        return torch.cat([z, z**2 / 2], -1)

    h, x = torch.zeros(1, dtype=torch.float64), torch.tensor([0.0, r], dtype=torch.float64)
    exact = geometry.hessian(lambda z: Gaussian().log_prob(x, decoder(z)), h)
    kept = geometry.gauss_newton(geometry.jacobian(decoder, h), Gaussian().curvature(x, decoder(h)))
    assert told(residual_picture(r)) == pytest.approx([float(exact), float(kept)])


@pytest.mark.parametrize(("r", "words"), [(-1, "curves down"), (1, "is flat"), (1.5, "curves up"), (0, "on the")])
def test_the_residual_picture_says_which_way_the_likelihood_curves(r, words):
    assert words in residual_picture(r).alt


def test_the_frames_of_the_live_figure_have_one_size():
    assert len({_svg.size(residual_picture(r).drawing) for r in (-1, 0, 1, 2)}) == 1


def test_bernoulli_curvature_tells_how_much_of_each_curve_is_near_one():
    alt = bernoulli_curvature([1, 0.5, 0]).alt
    # 1/m² < 1.1 for the 4 means .96 … .99 of 99, and the mirror image of it; a grey pixel never comes near
    assert re.findall(r"x = ([\d.]+) at (\d+)%", alt) == [("1", "4"), ("0.5", "0"), ("0", "4")]


def test_the_best_variance_is_that_of_the_averaged_hessian():
    for r in (-1.0, 0.5, 1.5, 2.5):
        variance = best_variance(r)
        averaged = -(1 - r) - 1.5 * variance  # of E f″ for f = −(1 − r) z²/2 − z⁴/8
        assert 1 / variance == pytest.approx(1 - averaged)


@pytest.mark.parametrize("r", [-1.0, 1.5, 2.5])
def test_the_true_loss_is_that_of_the_decoder(r):
    e = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    weights = torch.exp(-(e**2) / 2) / torch.exp(-(e**2) / 2).sum()

    def loss(variance: float) -> float:
        z = variance**0.5 * e
        off = torch.stack([-z, r - z**2 / 2])
        return float(weights @ off.square().sum(0) / 2) + (variance - math.log(variance)) / 2

    assert true_loss(0.3, r) - true_loss(0.7, r) == pytest.approx(loss(0.3) - loss(0.7))


def test_the_words_say_which_gaussian_is_dearer():
    assert (
        "0.50, with a loss 0.029 nats higher, that of the exact Hessian 2.00, 1.117 nats" in residual_picture(1.5).alt
    )
    assert "the exact Hessian gives none" in residual_picture(2.5).alt


def test_the_pictures_are_light():
    for picture in (residual_picture(0.5), bernoulli_curvature([1, 0.5, 0])):
        assert len(picture.svg()) < 50_000
