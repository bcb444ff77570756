"""What the tests of the mathematics share: random inputs that repeat, and the sentence a refusal must say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

steady = settings(max_examples=20, deadline=None, derandomize=True)

batches = st.sampled_from([(), (1,), (3,), (2, 3)])
dtypes = st.sampled_from([torch.float32, torch.float64])
betas = st.sampled_from([0.02, 0.4, 1.0, 7.0])
seeds = st.integers(0, 10_000)
FAMILIES = [("full", None), ("block", 2), ("block", 3), ("diagonal", None), ("isotropic", None)]  # at d = 6
families = st.sampled_from(FAMILIES)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers that depend on the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def positive_definite(*shape: int, seed: int = 0) -> Tensor:
    """Symmetric matrices (…, d, d) with eigenvalues from about 0.1 to a few."""
    root = normal(*shape, shape[-1], seed=seed)
    return root @ root.mT / shape[-1] + 0.1 * torch.eye(shape[-1], dtype=torch.float64)


def tolerance(dtype: torch.dtype) -> float:
    return 1e-10 if dtype == torch.float64 else 1e-4


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """A ValueError of one sentence that contains every one of `words`."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        yield
    message = str(caught.value)
    assert message.endswith((".", "?")), message
    assert "\n" not in message, message
    for word in words:
        assert re.search(re.escape(word), message), f"{word!r} is not in: {message}"
