"""Rotations of the latents: random ones, and the one that makes many matrices as diagonal as it can."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def random_rotations(d: int, draws: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Orthogonal matrices (d, d) in float64, drawn uniformly."""
    for _ in range(draws):
        Q, R = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
        yield Q * R.diagonal().sign()


def turned(matrices: Tensor, R: Tensor) -> Tensor:
    """RᵀMR, what JᵀJ becomes when z = R z′: (…, d, d), (d, d) → (…, d, d)."""
    return R.mT @ matrices @ R


def best_rotation(precision: Tensor, block: int) -> Tensor:
    """The one orthogonal R (d, d) for which RᵀPR is nearest to blocks on average over P = `precision` (examples, d, d).

    It minimises the mean of ½ Σ log|(RᵀPR)_BB| over the diagonal blocks B, whose excess over ½ log|P| is what a
    posterior with these blocks loses. For blocks of 1 this is joint diagonalisation (Flury 1984, Pham 2001). L-BFGS
    over R = R₀ exp(A − Aᵀ) starts from I, from the eigenvectors of the mean and from three random rotations; for larger
    blocks also from the best axes, grouped by what they share. The best end is returned, which need not be the best
    rotation of all.
    """
    d = precision.shape[-1]
    starts = [torch.eye(d, dtype=precision.dtype), torch.linalg.eigh(precision.mean(0)).eigenvectors]
    starts += random_rotations(d, 3, torch.Generator().manual_seed(0))
    if block > 1:
        axes = best_rotation(precision, 1)
        starts.append(axes[:, _grouped(turned(precision, axes), block)])
    ends = [_descend(precision, start, block) for start in starts]
    return min(ends, key=lambda R: float(_log_blocks(turned(precision, R), block)))


def _grouped(precision: Tensor, block: int) -> list[int]:
    """The order of the axes in which each block takes those that share most, one after the other."""
    lengths = precision.diagonal(dim1=-2, dim2=-1).sqrt()
    correlation = precision / (lengths[..., None] * lengths[..., None, :])
    shared = -torch.log1p(-correlation.square().clamp(max=1 - 1e-12)).mean(0)
    left, order = set(range(len(shared))), []
    while left:
        first = max(left, key=lambda i: max((float(shared[i, j]) for j in left - {i}), default=0.0))
        group = [first]
        left.remove(first)
        for _ in range(block - 1):
            nearest = max(left, key=lambda j: sum(float(shared[i, j]) for i in group))
            group.append(nearest)
            left.remove(nearest)
        order += group
    return order


def _descend(precision: Tensor, start: Tensor, block: int) -> Tensor:
    flat = torch.zeros(start.numel(), dtype=start.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS([flat], max_iter=100, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def rotation() -> Tensor:
        A = flat.view_as(start)
        return start @ torch.matrix_exp(A - A.mT)

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = _log_blocks(turned(precision, rotation()), block)
        value.backward()
        return value

    optimiser.step(loss)
    return rotation().detach()


def _log_blocks(matrices: Tensor, block: int) -> Tensor:
    """The mean over the examples of ½ Σ log|M_BB|."""
    count = matrices.shape[-1] // block
    blocks = matrices.unflatten(-1, (count, block)).unflatten(-3, (count, block)).diagonal(dim1=-4, dim2=-2)
    return 0.5 * blocks.movedim(-1, -3).logdet().sum(-1).mean()
