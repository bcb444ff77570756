"""What every public function refuses at its boundary, each in one sentence."""

from __future__ import annotations

import torch
from torch import Tensor


def positive(name: str, value: float | Tensor) -> None:
    """Raise ValueError unless `value`, a number or every entry of a tensor, is finite and above zero."""
    value = torch.as_tensor(value)
    if value.is_complex() or not holds((value > 0) & torch.isfinite(value)):
        raise ValueError(f"{name} must be a finite number above 0, but it is {_show(value)}.")


def finite(**tensors: Tensor) -> None:
    """Raise ValueError for the first of `tensors` that is not a real floating tensor or holds NaN or infinity."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a torch tensor, but it is a {type(tensor).__name__}.")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must hold real floating-point numbers, but its dtype is {tensor.dtype}.")
        if not holds(torch.isfinite(tensor)):
            raise ValueError(f"{name} holds NaN or infinity; look at the step that made it.")


def whole(name: str, value: int, least: int = 1) -> int:
    """Return `value` if it is a whole number of at least `least`; otherwise raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, but it is {value!r}.")
    return value


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
    """Whether `condition` holds everywhere; inside `torch.vmap`, where no value can be looked at, taken as true."""
    try:
        return bool(condition.all())
    except RuntimeError:
        return True


def _show(value: Tensor) -> str:
    return f"{value.item()}" if value.ndim == 0 else f"a tensor with the smallest entry {value.min().item()}"
