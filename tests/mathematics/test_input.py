"""The refusals at the boundary, and what they let through."""

import math

import numpy as np
import pytest
import torch
from random_cases import refused

from gradelib import _input, networks, training
from gradelib.likelihoods import Bernoulli, Gaussian


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
        (torch.tensor([math.inf, -math.inf]), "infinity"),
    ],
)
def test_finite_names_the_tensor_and_what_is_wrong_with_it(value, word):
    with refused("kl", word):
        _input.finite(fine=torch.ones(2), kl=value)


def test_finite_lets_large_numbers_through_whose_sum_is_not():
    large = torch.full((4,), 3e38)
    assert not large.sum().isfinite()

    def first(x):
        _input.finite(x=x)
        return x[0]

    first(large)
    torch.func.vmap(torch.func.grad(first))(large.expand(2, 4))
    with refused("x", "NaN"):
        torch.func.vmap(torch.func.grad(first))(torch.stack([large, large * math.nan]))


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


def test_without_a_look_at_values_types_are_still_refused():
    _input.finite(x=torch.tensor([math.nan]), check_values=False)
    _input.positive("beta", torch.tensor(-1.0), check_values=False)
    with refused("kl", "torch.int64"):
        _input.finite(kl=torch.tensor([1]), check_values=False)
    with refused("beta", "above 0"):
        _input.positive("beta", -1.0, check_values=False)  # a number, which costs nothing to look at


def square(x):
    _input.finite(x=x)
    _input.positive("x", x)
    return (x**2).sum()


TRANSFORMS = {
    "vmap": torch.func.vmap(square),
    "vmap twice": lambda x: torch.func.vmap(torch.func.vmap(square))(x[None]),
    "grad": lambda x: torch.func.grad(square)(x[0]),
    "vmap of grad": torch.func.vmap(torch.func.grad(square)),
    "vmap of jvp": lambda x: torch.func.vmap(lambda v: torch.func.jvp(square, (x[0],), (v,)))(x),
    "hessian": lambda x: torch.func.hessian(square)(x[0]),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_values_are_looked_at_inside_the_transforms_of_torch(transform):
    transform(torch.ones(3, 2))
    with refused("x", "NaN"):
        transform(torch.full((3, 2), math.nan))
    with refused("x", "above 0"):
        transform(torch.full((3, 2), -1.0))


def test_one_bad_example_of_a_batch_is_seen_by_vmap():
    with refused("x", "NaN"):
        torch.func.vmap(square)(torch.tensor([[1.0], [math.nan]]))


def test_an_error_of_torch_is_not_taken_for_an_answer():
    """On the device meta a tensor has a shape and no values, so nothing can be said of them."""
    with pytest.raises(RuntimeError, match="meta"):
        _input.finite(x=torch.ones(2, device="meta"))
    _input.finite(x=torch.ones(2, device="meta"), check_values=False)


@pytest.mark.parametrize("objective", training.OBJECTIVES)
@pytest.mark.parametrize("likelihood", [Gaussian, Bernoulli])
def test_a_step_of_training_looks_at_no_value(objective, likelihood):
    """So that on a GPU the host waits for none: on the device meta there is none to wait for."""
    model = networks.mlp_vae(6, 3, hidden=(5,)).to("meta")
    x, noise = torch.rand(8, 6, device="meta"), torch.randn(8, 3, device="meta")
    beta = torch.tensor(0.5, device="meta")
    loss = training.OBJECTIVES[objective]
    loss(model, x, noise, beta, likelihood=likelihood(check_values=False), check_values=False).backward()
    with pytest.raises(RuntimeError, match="meta"):
        loss(model, x, noise, beta, likelihood=likelihood(), check_values=True)


@pytest.mark.parametrize("number", [np.float32(0.1), np.float64(0.1), np.int64(2)])
def test_numpys_scalars_are_numbers(number: object) -> None:
    _input.positive("beta", number)


@pytest.mark.parametrize("number", [np.prod((2, 3)), np.int32(6), np.uint8(6)])
def test_numpys_whole_numbers_are_whole(number: object) -> None:
    assert type(_input.whole("n", number)) is int
    assert _input.whole("n", number) == 6


@pytest.mark.parametrize("number", [np.bool_(True), True, np.float32("nan"), np.float64(-1), 1j, "1"])
def test_what_is_no_positive_number_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="beta must be"):
        _input.positive("beta", number)
