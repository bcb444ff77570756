"""Derivatives of a decoder, or of any function of z that treats each example on its own.

A decoder g maps latents (…, d) to pixels (…, n). All derivatives are taken in forward mode, whose price grows with d and
not with n, and all of them can be differentiated again, in the weights too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from gradelib import _input

Function = Callable[[Tensor], Tensor]


def jacobian(g: Function, z: Tensor) -> Tensor:
    """The Jacobian J of g at z, J[…, k, i] = ∂g_k/∂z_i: (…, d) → (…, n, d).

    Raises ValueError where z holds NaN or g mixes up its batch axes.
    """
    _check_latents(z)
    basis = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    columns = vmap(lambda e: _push(g, z, e.expand_as(z)), out_dims=-1)(basis)
    if columns.shape[:-2] != z.shape[:-1]:
        raise ValueError(
            f"g must map (…, d) to (…, n) with the same leading axes, but it took {tuple(z.shape)} to "
            f"{tuple(columns.shape[:-1])}."
        )
    return columns


def jacobian_column(g: Function, z: Tensor, i: int | Tensor) -> Tensor:
    """Column i of the Jacobian for the price of one pass: (…, d) → (…, n).

    `i` is one index for all examples or a tensor (…) with one for each. Raises ValueError for an index outside 0 … d − 1.
    """
    _check_latents(z)
    d = z.shape[-1]
    index = torch.as_tensor(i, device=z.device)
    if not _input.holds((index >= 0) & (index < d)):
        raise ValueError(f"A column index must lie between 0 and {d - 1}, but one of {i} does not.")
    direction = torch.nn.functional.one_hot(index.long(), d).to(z.dtype).expand_as(z)
    return _push(g, z, direction)


def hessian(f: Function, z: Tensor) -> Tensor:
    """The exact Hessian in z of a function f: (…, d) → (…), for example log p(x | z): (…, d) → (…, d, d)."""
    _check_latents(z)
    return jacobian(grad(lambda points: f(points).sum()), z)


def gauss_newton(J: Tensor, curvature: Tensor) -> Tensor:
    """JᵀHJ, the Hessian of log p(x | z) without second derivatives of the decoder (`eq-gauss-newton`).

    `J` is (…, n, d), `curvature` (…, n) the diagonal of H; the result is (…, d, d). Raises ValueError where they disagree in n.
    """
    _check_jacobian(J)
    _input.finite(curvature=curvature)
    _input.same_size(n_of_J=J.shape[-2], n_of_curvature=curvature.shape[-1])
    return J.mT @ (curvature.unsqueeze(-1) * J)


def metric(J: Tensor) -> Tensor:
    """The pullback metric JᵀJ: squared lengths in pixel space of steps in z: (…, n, d) → (…, d, d)."""
    _check_jacobian(J)
    return J.mT @ J


def _push(g: Function, z: Tensor, direction: Tensor) -> Tensor:
    return jvp(g, (z,), (direction,))[1]


def _check_latents(z: Tensor) -> None:
    _input.finite(z=z)
    if z.ndim == 0:
        raise ValueError("z must have an axis of latents, but it is a single number.")


def _check_jacobian(J: Tensor) -> None:
    _input.finite(J=J)
    if J.ndim < 2:
        raise ValueError(f"J must be (…, n, d), but its shape is {tuple(J.shape)}.")
