"""Gaussian posteriors q(z | x) = N(h, Σ) in four families, and the best Σ in each of them.

The families differ in which covariances they allow: "full" any, "block" one block for each `block` consecutive latents,
"diagonal" one variance for each latent, "isotropic" one variance for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from gradelib import _input
from gradelib._names import one_of

FAMILIES = ("full", "block", "diagonal", "isotropic")


@dataclass(frozen=True)
class Posterior:
    """q(z | x) = N(mean, L Lᵀ), one Gaussian for each example.

    `mean` is (…, d). `factor` is L: lower triangular (…, d, d), or, where Σ is diagonal, its standard deviations
    (…, d). Raises ValueError for other shapes, NaN, or a diagonal of L that is not positive. With `check_values`
    false, it and its methods look at shapes only, as a training step wants.
    """

    mean: Tensor
    factor: Tensor
    check_values: bool = field(default=True, kw_only=True, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is no Gaussian."""
        _input.finite(mean=self.mean, factor=self.factor, check_values=self.check_values)
        d = _input.latents("mean", self.mean)
        if self.factor.shape not in (self.mean.shape, (*self.mean.shape, d)):
            shapes = f"mean is {tuple(self.mean.shape)} and factor {tuple(self.factor.shape)}"
            raise ValueError(
                f"The factor of a posterior must be (…, d) or (…, d, d) where its mean is (…, d), but {shapes}."
            )
        if self.check_values and not _input.holds(self.scales > 0):
            raise ValueError("The standard deviations, or the diagonal of L, must be above 0.")

    @property
    def is_diagonal(self) -> bool:
        """Whether `factor` holds standard deviations only."""
        return self.factor.ndim == self.mean.ndim

    @property
    def covariance(self) -> Tensor:
        """Σ = L Lᵀ: (…, d, d)."""
        if self.is_diagonal:
            return torch.diag_embed(self.factor**2)
        return self.factor @ self.factor.mT

    @property
    def variances(self) -> Tensor:
        """The diagonal of Σ: (…, d)."""
        return self.factor**2 if self.is_diagonal else (self.factor**2).sum(-1)

    @property
    def scales(self) -> Tensor:
        """The diagonal of L, whose logarithms add up to ½ log|Σ|: (…, d)."""
        return self.factor if self.is_diagonal else self.factor.diagonal(dim1=-2, dim2=-1)

    def sample(self, noise: Tensor) -> Tensor:
        """The reparameterised sample h + L·noise, where `noise` is drawn from N(0, I): (…, d) → (…, d)."""
        self._check(noise=noise)
        if self.is_diagonal:
            return self.mean + self.factor * noise
        return self.mean + (self.factor @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density log q(z | x) in nats: (…, d) → (…)."""
        self._check(z=z)
        centred = z - self.mean
        if self.is_diagonal:
            white = centred / self.factor
        else:
            white = torch.linalg.solve_triangular(self.factor, centred.unsqueeze(-1), upper=False).squeeze(-1)
        normaliser = (self.scales.log() + 0.5 * math.log(2 * math.pi)).sum(-1)
        return -0.5 * white.square().sum(-1) - normaliser

    def entropy(self) -> Tensor:
        """−E_q log q(z | x) in nats: (…)."""
        return (self.scales.log() + 0.5 * (1 + math.log(2 * math.pi))).sum(-1)

    def kl(self) -> Tensor:
        """KL(q(z | x) ‖ N(0, I)) in nats: (…)."""
        return 0.5 * (self.variances + self.mean**2 - 1 - 2 * self.scales.log()).sum(-1)

    def _check(self, **points: Tensor) -> None:
        _input.finite(**points, check_values=self.check_values)
        for name, point in points.items():
            _input.same_size(**{f"d_of_{name}": _input.latents(name, point), "d_of_q": self.mean.shape[-1]})
        _input.broadcastable(**points, mean=self.mean)


def kl_to_standard_normal(mean: Tensor, covariance: Tensor, *, check_values: bool = True) -> Tensor:
    """KL(N(mean, covariance) ‖ N(0, I)) in nats (`eq-kl-standard-normal`): (…, d), (…, d, d) → (…).

    Raises ValueError for other shapes, NaN, or a covariance that is not symmetric positive definite. With
    `check_values` false, it looks at shapes only, and a covariance that is not positive definite gives NaN.
    """
    _input.finite(mean=mean, covariance=covariance, check_values=check_values)
    _input.latents("mean", mean)
    _input.same_size(d_of_mean=mean.shape[-1], d_of_covariance=_input.square("covariance", covariance))
    _input.broadcastable(mean=mean, covariance=covariance[..., 0])
    trace = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    logarithm = log_determinant(covariance, "covariance", check_values=check_values)
    return 0.5 * (trace + (mean**2).sum(-1) - mean.shape[-1] - logarithm)


def log_determinant(matrix: Tensor, name: str = "matrix", *, check_values: bool = True) -> Tensor:
    """The logarithm of the determinant of positive definite matrices: (…, d, d) → (…).

    Raises ValueError, with `name`, for NaN, other shapes, or a matrix that is not symmetric positive definite. With
    `check_values` false, it looks at shapes only, and a matrix that is not positive definite gives NaN.
    """
    _input.finite(**{name: matrix}, check_values=check_values)
    _input.square(name, matrix)
    return 2 * _cholesky(name, matrix, check_values).diagonal(dim1=-2, dim2=-1).log().sum(-1)


def project(matrix: Tensor, family: str = "full", block: int | None = None) -> Tensor:
    """The matrix of the family that is nearest to `matrix` (…, d, d) in the Frobenius norm, Π in `eq-family-optimum`.

    It keeps everything, the diagonal blocks, the diagonal, or the mean of the diagonal times I.
    Raises ValueError for a matrix that is not square, NaN, an unknown family, or a block size that does not divide d.
    """
    _input.finite(matrix=matrix)
    d = _input.square("matrix", matrix)
    block = block_size(family, d, block)
    if family == "isotropic":
        mean = matrix.diagonal(dim1=-2, dim2=-1).mean(-1)
        return mean[..., None, None] * torch.eye(d, dtype=matrix.dtype, device=matrix.device)
    return matrix * same_block(d, block, matrix.device)


def optimal_covariance(hessian: Tensor, beta: float | Tensor, family: str = "full", block: int | None = None) -> Tensor:
    """The Σ of the family that maximises ½ tr(hessian Σ) − β KL(N(h, Σ) ‖ N(0, I)) (`eq-family-optimum`).

    `hessian` (…, d, d) is that of log p(x | z) in z, for example JᵀHJ, and `beta` a number or a tensor that
    broadcasts against the batch; the result is (…, d, d), the inverse of the projected precision I − hessian/β. Raises
    ValueError for wrong shapes, NaN, β ≤ 0, a hessian that is not symmetric, an unknown family, a block size that does
    not divide d, or a projected precision that is not positive definite: then there is no maximum.
    """
    _input.positive("beta", beta)
    _input.finite(hessian=hessian)
    d = _input.square("hessian", hessian)
    scaled = hessian / torch.as_tensor(beta, dtype=hessian.dtype, device=hessian.device)[..., None, None]
    precision = torch.eye(d, dtype=hessian.dtype, device=hessian.device) - scaled
    factor = _cholesky("I − hessian/β", project(precision, family, block))
    return torch.cholesky_inverse(factor)


def block_size(family: str, d: int, block: int | None = None) -> int:
    """How many latents share a block in `family`: d for "full", `block` for "block", 1 otherwise.

    Raises ValueError for an unknown family, for a block size that is missing, that does not divide d, or that is given
    to a family without blocks.
    """
    one_of("family", family, FAMILIES)
    d = _input.whole("d", d)
    if family != "block":
        if block is not None:
            raise ValueError(f'block={block} goes only with family="block", but family is {family!r}.')
        return d if family == "full" else 1
    if block is None:
        raise ValueError('family="block" needs the size of its blocks, for example block=2.')
    block = _input.whole("block", block)
    if d % block:
        raise ValueError(f"The block size must divide d, but {block} does not divide {d}.")
    return block


def encoder_outputs(d: int, family: str, block: int | None = None) -> int:
    """How many numbers an encoder returns for each example: the mean and what the family's Σ needs."""
    size, d = block_size(family, d, block), _input.whole("d", d)  # NumPy's small integers would overflow
    return d + 1 if family == "isotropic" else d + d * (size + 1) // 2


def from_encoder(
    output: Tensor, d: int, family: str, block: int | None = None, *, check_values: bool = True
) -> Posterior:
    """Read an encoder's output (…, `encoder_outputs`) as a posterior over d latents.

    First the mean, then log L_ii² (one for all latents where q is isotropic), then what lies below the diagonal of L.
    Raises ValueError where the number of outputs is not the family's, or for NaN. With `check_values` false, it and the
    posterior look at shapes only.
    """
    d = _input.whole("d", d)
    _input.finite(output=output, check_values=check_values)
    _input.same_size(encoder_outputs=output.shape[-1], needed=encoder_outputs(d, family, block))
    mean, log_variance, below = output[..., :d], output[..., d : 2 * d], output[..., 2 * d :]
    scales = (0.5 * log_variance).exp().expand_as(mean)
    if not below.shape[-1]:
        return Posterior(mean, scales, check_values=check_values)
    rows, columns = _below_diagonal(d, block_size(family, d, block), output.device)
    factor = torch.diag_embed(scales)
    factor[..., rows, columns] = below
    return Posterior(mean, factor, check_values=check_values)


@lru_cache(maxsize=16)  # `nonzero` makes the host wait for a GPU, which must not happen at every step
def _below_diagonal(d: int, block: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns of what lies below the diagonal in the diagonal blocks."""
    with torch.inference_mode(False):
        rows, columns = torch.tril(same_block(d, block, device), -1).nonzero(as_tuple=True)
    return rows, columns


def same_block(d: int, block: int, device: torch.device) -> Tensor:
    """Whether two latents share a block: (d, d), boolean."""
    index = torch.arange(d, device=device) // block
    return index[:, None] == index


def _cholesky(name: str, matrix: Tensor, check_values: bool = True) -> Tensor:
    if check_values and not _is_symmetric(matrix):
        raise ValueError(f"{name} must be symmetric, but it differs from its transpose.")
    factor, info = torch.linalg.cholesky_ex(matrix)
    if check_values and not _input.holds(info == 0):
        failed = _input.entries(info) != 0
        raise ValueError(f"{name} must be positive definite, but {int(failed.sum())} of {failed.numel()} are not.")
    return factor.masked_fill((info != 0)[..., None, None], math.nan)  # unseen, half a factor must not look whole


def _is_symmetric(matrix: Tensor) -> bool:
    return _input.holds((matrix - matrix.mT).abs() <= 1e-4 * matrix.abs().amax((-2, -1), keepdim=True))
