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
    over R = R₀ exp(A − Aᵀ) starts from I and from the eigenvectors of the mean, and the better end is returned.
    """
    starts = [torch.eye(precision.shape[-1], dtype=precision.dtype), torch.linalg.eigh(precision.mean(0)).eigenvectors]
    ends = [_descend(precision, start, block) for start in starts]
    return min(ends, key=lambda R: float(_log_blocks(turned(precision, R), block)))


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
