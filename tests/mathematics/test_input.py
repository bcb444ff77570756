"""The refusals at the boundary, and what they let through."""

import math

import pytest
import torch
from random_cases import refused

from gradelib import _input


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "1", None, True, 1j, torch.tensor([1.0, 0.0])])
def test_positive_refuses_what_is_no_positive_number(value):
    with refused("beta", "above 0"):
        _input.positive("beta", value)


@pytest.mark.parametrize("value", [1, 1e-300, torch.tensor(0.5), torch.tensor([1.0, 2.0])])
def test_positive_lets_positive_numbers_through(value):
    _input.positive("beta", value)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ([1.0], "list"),
        (torch.tensor([1]), "torch.int64"),
        (torch.tensor([1j]), "complex"),
        (torch.tensor([math.nan]), "NaN"),
        (torch.tensor([math.inf]), "infinity"),
    ],
)
def test_finite_names_the_tensor_and_what_is_wrong_with_it(value, word):
    with refused("kl", word):
        _input.finite(fine=torch.ones(2), kl=value)


@pytest.mark.parametrize("value", [0, -3, 2.0, "2", True])
def test_whole_refuses_what_is_no_count(value):
    with refused("steps", "whole number of at least 1"):
        _input.whole("steps", value)
    assert _input.whole("steps", 3) == 3


def test_sizes_and_shapes_are_named():
    with refused("J", "(2, 3)"):
        _input.square("J", torch.ones(2, 3))
    with refused("n of x = 64", "n of g = 49"):
        _input.same_size(n_of_x=64, n_of_g=49)
    with refused("x (3, 2)", "g (2, 2)"):
        _input.broadcastable(x=torch.ones(3, 2), g=torch.ones(2, 2))
    with refused("single number"):
        _input.latents("z", torch.tensor(1.0))
    _input.broadcastable(x=torch.ones(3, 2), g=torch.ones(1, 2))


def test_trusted_looks_at_shapes_only_and_only_inside():
    broken = torch.tensor([math.nan])
    with _input.trusted():
        _input.finite(x=broken)
        with refused("agree"):
            _input.same_size(a=1, b=2)
    with refused("NaN"):
        _input.finite(x=broken)


def test_values_out_of_sight_in_vmap_are_taken_as_true():
    def checked(x):
        _input.finite(x=x)
        return 2 * x

    torch.testing.assert_close(torch.vmap(checked)(torch.ones(3)), 2 * torch.ones(3))
