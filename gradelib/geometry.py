"""Derivatives of a decoder, or of any function of z that treats each example on its own.

A decoder g maps latents (…, d) to pixels (…, n). All derivatives are taken in forward mode, whose cost grows with d
and not with n, and all of them can be differentiated again, in the weights too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from gradelib import _input

Function = Callable[[Tensor], Tensor]


def push(g: Function, z: Tensor, directions: Tensor, *, check_values: bool = True) -> tuple[Tensor, Tensor]:
    """The value g(z) and the derivatives Jv of g in k directions v at once (`eq-pushforward`).

    `z` is (…, d), `directions` (k, …, d) → (…, n) and (k, …, n). The first axis of z may be longer than that of the
    directions: then only the first examples are differentiated. A decoder with a method `push` of its own, such as
    `networks.MLP`, is asked for it, which is cheaper; any other is differentiated by `torch.func.jvp`. One that says
    `is_per_example` is taken at its word that it mixes no examples.
    Raises ValueError for NaN, for directions that do not fit z, or where g mixes up its batch axes or its examples (see
    `refuse_mixing`). With `check_values` false, it looks at shapes only, as all functions here that take it.
    """
    _input.finite(z=z, directions=directions, check_values=check_values)
    _input.latents("z", z)
    if directions.ndim != z.ndim + 1 or directions.shape[1:] != z[: _first(directions)].shape:
        raise ValueError(
            f"The directions must be (k, …, d) where z is (…, d), but they are {tuple(directions.shape)} and z is "
            f"{tuple(z.shape)}."
        )
    if check_values and not getattr(g, "is_per_example", False):
        refuse_mixing(g, z)
    value, pushed = g.push(z, directions) if hasattr(g, "push") else _push_through_torch(g, z, directions)
    if value.ndim != z.ndim or value.shape[:-1] != z.shape[:-1]:
        raise ValueError(
            f"g must map (…, d) to (…, n) with the same leading axes, but it took {tuple(z.shape)} to "
            f"{tuple(value.shape)}."
        )
    return value, pushed


def refuse_mixing(g: Function, z: Tensor, name: str = "g") -> None:
    """Raise ValueError where the value of g at an example depends on the others in its batch, or on chance.

    So do a mean or softmax over the batch, batch normalisation and dropout in training mode; the columns of a Jacobian
    would then be sums over examples. `z` is (batch, …, d): the second half of the examples is moved, and g must give
    the first half the same values as before. Of a single example (d) it is asked twice. The error calls g by its
    `name`.
    """
    held = (len(z) + 1) // 2
    moved = z if z.ndim < 2 else torch.cat([z[:held], 2 * z[held:] + 1])
    with torch.no_grad():
        before, after = (_input.entries(g(points)) for points in (z, moved))
    if before.ndim != z.ndim or before.shape[:-1] != z.shape[:-1]:
        return  # the caller says what is wrong with such a g
    first = slice(None) if z.ndim < 2 else slice(held)
    # By rounding, a matrix product of the same rows may differ a little.
    if (before[first] - after[first]).abs().max() > before[first].abs().max() * torch.finfo(before.dtype).eps ** 0.6:
        raise ValueError(
            f"{name} must treat each example on its own, but its value at one depends on the others in the "
            "batch, or on chance. Is there a mean or softmax over the batch, batch normalisation or dropout? For the "
            "last two, call eval() on the network."
        )


def _push_through_torch(g: Function, z: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    first = _first(directions)
    values, pushed = vmap(lambda v: jvp(g, (z[:first],), (v,))[:2])(directions)
    value = values[0]  # the same for all directions; out_dims=None would say so, but convolutions under vmap refuse it
    return (value if first in (None, len(z)) else torch.cat([value, g(z[first:])])), pushed


def _first(directions: Tensor) -> int | None:
    """How many examples the directions belong to; None where there is one example and no axis of them."""
    return directions.shape[1] if directions.ndim > 2 else None


def jacobian(g: Function, z: Tensor) -> Tensor:
    """The Jacobian J of g at z, J[…, k, i] = ∂g_k/∂z_i (`eq-jacobian`): (…, d) → (…, n, d).

    Raises ValueError where z holds NaN or g mixes up its batch axes.
    """
    return linearise(g, z)[1]


def linearise(
    g: Function, z: Tensor, columns: Tensor | None = None, *, check_values: bool = True
) -> tuple[Tensor, Tensor]:
    """The value g(z) and columns of its Jacobian, from one pass: (…, d) → (…, n) and (…, n, k).

    `columns` (…, k) names k columns for each example, or for the first of them only; without it come all d columns.
    Raises ValueError for NaN, for an index that is not whole or lies outside 0 … d − 1, and for indices that do not fit
    the batch.
    """
    _input.finite(z=z, check_values=check_values)
    d = _input.latents("z", z)
    eye = torch.eye(d, dtype=z.dtype, device=z.device)
    if columns is None:
        directions = eye.reshape(d, *[1] * (z.ndim - 1), d).expand(d, *z.shape)
    else:
        _check_columns(columns, z if z.ndim == 1 else z[: len(columns)], check_values)
        directions = eye[columns].movedim(-2, 0)
    value, pushed = push(g, z, directions, check_values=check_values)
    return value, pushed.movedim(0, -1)


def jacobian_column(g: Function, z: Tensor, i: int | Tensor) -> Tensor:
    """Column i of the Jacobian at the cost of one pass (`eq-jacobian-column`): (…, d) → (…, n).

    `i` is one index for all examples or a tensor (…) with one for each. Raises ValueError for an index that is not
    whole or lies outside 0 … d − 1, and for indices that do not fit the batch.
    """
    index = torch.as_tensor(i, device=z.device)
    if index.ndim and index.shape != z.shape[:-1]:
        raise ValueError(f"Give one column index, or one for each of {tuple(z.shape[:-1])}, not {tuple(index.shape)}.")
    return jacobian_columns(g, z, index.expand(z.shape[:-1]).unsqueeze(-1)).squeeze(-1)


def jacobian_columns(g: Function, z: Tensor, columns: Tensor) -> Tensor:
    """Any k columns of the Jacobian, other ones for each example: (…, d) and indices (…, k) → (…, n, k).

    Raises ValueError for an index that is not whole or lies outside 0 … d − 1, and for indices that do not fit z.
    """
    _input.finite(z=z)
    _check_columns(columns, z)
    return linearise(g, z, columns)[1]


def hessian(f: Function, z: Tensor) -> Tensor:
    """The exact Hessian in z of a function f: (…, d) → (…), for example log p(x | z): (…, d) → (…, d, d).

    Raises ValueError where z holds NaN or f does not give one number for each example.
    """
    _input.finite(z=z)
    _input.latents("z", z)

    def total(points: Tensor) -> Tensor:
        values = f(points)
        if values.shape != points.shape[:-1]:
            raise ValueError(f"f must map (…, d) to (…), but it took {tuple(z.shape)} to {tuple(values.shape)}.")
        return values.sum()

    return jacobian(grad(total), z)


def gauss_newton(J: Tensor, curvature: Tensor, *, check_values: bool = True) -> Tensor:
    """JᵀHJ, the Hessian of log p(x | z) without second derivatives of the decoder (`eq-gauss-newton`).

    `J` is (…, n, d), `curvature` (…, n) the diagonal of H; the result is (…, d, d). Raises ValueError where they
    disagree in n.
    """
    _check_curvature(J, curvature, check_values)
    return J.mT @ (curvature.unsqueeze(-1) * J)


def gauss_newton_diagonal(J: Tensor, curvature: Tensor, *, check_values: bool = True) -> Tensor:
    """The diagonal of JᵀHJ, J_iᵀHJ_i for every column i in `J`, which may hold some columns only.

    `J` is (…, n, k), `curvature` (…, n); the result is (…, k). Raises ValueError where they disagree in n.
    """
    _check_curvature(J, curvature, check_values)
    return (curvature.unsqueeze(-2) @ J**2).squeeze(-2)


def dropped_term(g: Function, z: Tensor, slope: Tensor) -> Tensor:
    """What Gauss–Newton leaves out, Σ_k slope_k ∇²_z g_k(z): the exact Hessian of log p(x | z) less JᵀHJ.

    `z` is (…, d), `slope` (…, n) the gradient of log p(x; g) in g; the result is (…, d, d) (`eq-dropped-term`). Raises
    ValueError for NaN or a slope that does not fit g.
    """
    _input.finite(slope=slope)
    return hessian(lambda points: _inner(slope, g(points)), z)


def metric(J: Tensor) -> Tensor:
    """The pullback metric JᵀJ (`eq-metric`): squared lengths in pixel space of steps in z: (…, n, d) → (…, d, d)."""
    _check_jacobian(J)
    return J.mT @ J


def volume(J: Tensor) -> Tensor:
    """How much pixel-space volume a unit of z-volume covers, √det JᵀJ (`eq-volume`): (…, n, d) → (…).

    It is the product of J's singular values, which stays exact where JᵀJ is nearly singular; where n < d it is 0.
    Raises ValueError for NaN or a shape that is no Jacobian's.
    """
    _check_jacobian(J)
    if J.shape[-2] < J.shape[-1]:
        return torch.zeros(J.shape[:-2], dtype=J.dtype, device=J.device)
    return torch.linalg.svdvals(J).prod(-1)


def curve_length(g: Function, curve: Tensor) -> Tensor:
    """The pixel-space length of the decoded curve through the points `curve` (…, points, d), straight in between: (…).

    It tends to the length ∫ √(żᵀJᵀJż) dt of the pullback metric, from below, as the points grow dense. Raises
    ValueError for NaN or fewer than two points.
    """
    _input.finite(curve=curve)
    if curve.ndim < 2 or curve.shape[-2] < 2:
        raise ValueError(
            f"A curve must be (…, points, d) with two points or more, but its shape is {tuple(curve.shape)}."
        )
    return g(curve).diff(dim=-2).norm(dim=-1).sum(-1)


def _inner(slope: Tensor, value: Tensor) -> Tensor:
    _input.same_size(n_of_slope=slope.shape[-1], n_of_g=value.shape[-1])
    return (slope * value).sum(-1)


def _check_columns(columns: Tensor, z: Tensor, check_values: bool = True) -> None:
    d = _input.latents("z", z)
    if columns.is_floating_point() or (check_values and not _input.holds((columns >= 0) & (columns < d))):
        there = _input.entries(columns).tolist()
        raise ValueError(f"A column index must be a whole number between 0 and {d - 1}, but there is {there}.")
    if columns.shape[:-1] != z.shape[:-1]:
        raise ValueError(
            f"Column indices must be (…, k) where z is (…, d), but they are {tuple(columns.shape)} and z is "
            f"{tuple(z.shape)}."
        )


def _check_curvature(J: Tensor, curvature: Tensor, check_values: bool) -> None:
    _check_jacobian(J, check_values)
    _input.finite(curvature=curvature, check_values=check_values)
    _input.same_size(n_of_J=J.shape[-2], n_of_curvature=curvature.shape[-1])
    _input.broadcastable(J=J[..., 0], curvature=curvature)


def _check_jacobian(J: Tensor, check_values: bool = True) -> None:
    _input.finite(J=J, check_values=check_values)
    if J.ndim < 2:
        raise ValueError(f"J must be (…, n, d), but its shape is {tuple(J.shape)}.")
