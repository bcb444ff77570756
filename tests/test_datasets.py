"""Data sets against their sources."""

import numpy as np
import pytest
import torch
from random_cases import refused
from sklearn.datasets import load_digits

from gradelib import datasets


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_digits_are_scikit_learns_each_once_on_the_scale_of_mnist(dtype):
    data = datasets.load("digits", dtype)
    assert data.train.shape == (1500, 64)
    assert data.test.shape == (297, 64)
    assert data.train.dtype == data.test.dtype == dtype
    assert data.n == 64
    assert data.image_shape == (8, 8)
    pixels = torch.cat([data.train, data.test]).double() * 16 / data.scale
    labels = torch.cat([data.train_labels, data.test_labels])
    ours = np.column_stack([pixels.round().numpy(), labels.numpy()])
    source = np.column_stack(load_digits(return_X_y=True))
    assert np.array_equal(ours[np.lexsort(ours.T)], source[np.lexsort(source.T)])
    assert torch.allclose(pixels, pixels.round(), atol=1e-5)
    variance = data.train.double().var(0, correction=0).sum().item()
    assert variance == pytest.approx(datasets.MNIST_TOTAL_VARIANCE, rel=1e-6)


def test_the_split_is_the_same_every_time_and_leaves_the_global_random_state_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = datasets.load("digits")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(8)
    assert torch.equal(datasets.load("digits").train, first.train)
    assert set(first.test_labels.tolist()) == set(range(10))


def test_an_unknown_name_is_answered_with_the_nearest():
    with refused("'digit'", "Did you mean 'digits'?"):
        datasets.load("digit")
