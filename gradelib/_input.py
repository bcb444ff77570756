"""What every public function refuses at its boundary, each in one sentence.

Shapes and types are always looked at. Looking at the values of a tensor costs time, and on a GPU the host waits for
it, so the functions of a training step take `check_values=False`, as scipy's take `check_finite=False`: the loss shows
at once whether a value went wrong, and only then is the step done again with `check_values=True`, to say which.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import debug_unwrap


def positive(name: str, value: float | Tensor, *, check_values: bool = True) -> None:
    """Raise ValueError unless `value`, a number or every entry of a tensor, is finite and above zero."""
    if isinstance(value, Tensor):
        if not value.is_complex() and (not check_values or holds((value > 0) & torch.isfinite(value))):
            return
        seen = entries(value)
        shown = f"{seen.item()}" if seen.ndim == 0 else f"a tensor of shape {tuple(value.shape)} with other entries"
    else:
        if _is_number(value) and 0 < value < math.inf:
            return
        shown = repr(value)
    raise ValueError(f"{name} must be a finite number above 0, but it is {shown}.")


def finite(*, check_values: bool = True, **tensors: Tensor) -> None:
    """Raise ValueError for the first of `tensors` that is not a real floating tensor or holds NaN or infinity."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a torch tensor, but it is a {type(tensor).__name__}.")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must hold real floating-point numbers, but its dtype is {tensor.dtype}.")
        if check_values and not _all_finite(tensor):
            raise ValueError(f"{name} holds NaN or infinity; look at the step that made it.")


def whole(name: str, value: int | np.integer[Any], least: int = 1) -> int:
    """Return `value` if it is a whole number of at least `least`, numpy's too; otherwise raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, but it is {value!r}.")
    return int(value)


def generator(seed: int | np.integer[Any]) -> torch.Generator:
    """A generator on the CPU that starts at `seed`; raises ValueError unless it is a whole number of at least 0."""
    return torch.Generator().manual_seed(whole("the seed", seed, least=0))


def latents(name: str, tensor: Tensor) -> int:
    """Return the size of the last axis; raise ValueError where there is none."""
    if tensor.ndim == 0:
        raise ValueError(f"{name} must have an axis of latents, but it is a single number.")
    return tensor.shape[-1]


def square(name: str, matrix: Tensor) -> int:
    """Return the size of the last two axes of `matrix`; raise ValueError where they differ."""
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"{name} must be square in its last two axes, but its shape is {tuple(matrix.shape)}.")
    return matrix.shape[-1]


def same_size(**axes: int) -> None:
    """Raise ValueError where two named axis sizes differ, for example `n_of_x=64, n_of_g=49`."""
    if len(set(axes.values())) > 1:
        sizes = ", ".join(f"{name.replace('_', ' ')} = {size}" for name, size in axes.items())
        raise ValueError(f"These sizes must agree: {sizes}.")


def broadcastable(**tensors: Tensor) -> None:
    """Raise ValueError where the leading (batch) shapes do not broadcast against each other."""
    if len({tensor.shape for tensor in tensors.values()}) == 1:  # the common case, without torch's slow answer
        return
    try:
        torch.broadcast_shapes(*(tensor.shape for tensor in tensors.values()))
    except RuntimeError:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"These shapes do not go together: {shapes}.") from None


def holds(condition: Tensor) -> bool:
    """Whether every entry of a boolean tensor is true; in `torch.func.vmap`, for every example of its batch."""
    return bool(entries(condition).all())


def entries(tensor: Tensor) -> Tensor:
    """The plain tensor behind `tensor`, to be read and not to be calculated with.

    The transforms of `torch.func` hand their function wrapped tensors, which vmap allows nobody to read; what they
    wrap can be read. In vmap it has the axis of the batch, too.
    """
    return debug_unwrap(tensor)


def _all_finite(tensor: Tensor) -> bool:
    """Quickly, since NaN and infinity stay in a sum; where large numbers overflow in it, each is looked at."""
    return math.isfinite(entries(tensor).sum().item()) or holds(torch.isfinite(tensor))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
