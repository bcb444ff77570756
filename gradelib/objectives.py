"""The book's objectives, as losses: minimised, in nats, summed over pixels and latents, averaged over the batch only.

`beta` is a number or a tensor that broadcasts against the batch. With `check_values` false, a loss looks at shapes
only, as a training step wants.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradelib import _input
from gradelib.posteriors import kl_to_standard_normal, log_determinant


def beta_vae(log_prob: Tensor, kl: Tensor, beta: float | Tensor, *, check_values: bool = True) -> Tensor:
    """The β-VAE loss, the batch mean of β KL(q(z|x) ‖ p(z)) − E_q log p(x|z) (`eq-beta-vae`).

    `log_prob` and `kl` are (batch), one number for each example → a scalar. Raises ValueError for NaN or β ≤ 0.
    """
    _input.positive("beta", beta, check_values=check_values)
    _input.finite(log_prob=log_prob, kl=kl, check_values=check_values)
    _input.broadcastable(log_prob=log_prob, kl=kl)
    return (beta * kl - log_prob).mean()


def taylor(
    log_prob: Tensor,
    hessian: Tensor,
    mean: Tensor,
    covariance: Tensor,
    beta: float | Tensor,
    *,
    check_values: bool = True,
) -> Tensor:
    """The β-VAE loss with log p(x|z) expanded to second order about the mean of q (`eq-objective`).

    `log_prob` (batch) is log p(x | h), `hessian` (batch, d, d) that of log p(x | z) at z = h or its Gauss–Newton form
    JᵀHJ, `mean` (batch, d) is h and `covariance` (batch, d, d) is Σ → a scalar. Raises ValueError for wrong shapes,
    NaN, β ≤ 0 or a covariance that is not positive definite.
    """
    kl = kl_to_standard_normal(mean, covariance, check_values=check_values)
    _input.finite(log_prob=log_prob, hessian=hessian, check_values=check_values)
    _input.same_size(d_of_hessian=_input.square("hessian", hessian), d_of_mean=mean.shape[-1])
    _input.broadcastable(hessian=hessian, covariance=covariance)
    spread = 0.5 * (hessian * covariance).sum((-2, -1))  # ½ tr(HΣ): both are symmetric
    return beta_vae(log_prob + spread, kl, beta, check_values=check_values)


def grae(log_prob: Tensor, hessian: Tensor, mean: Tensor, beta: float | Tensor, *, check_values: bool = True) -> Tensor:
    """The Taylor loss at its best full covariance: ½β(‖h‖² + log|I − hessian/β|) − log p(x|h) (`eq-grae`).

    `log_prob` (batch) is log p(x | h), `hessian` (batch, d, d) the Gauss–Newton form JᵀHJ, `mean` (batch, d) is h → a
    scalar. Raises ValueError for wrong shapes, NaN, β ≤ 0 or an I − hessian/β that is not positive definite.
    """
    _input.positive("beta", beta, check_values=check_values)
    _input.finite(log_prob=log_prob, hessian=hessian, mean=mean, check_values=check_values)
    d = _input.square("hessian", hessian)
    _input.same_size(d_of_hessian=d, d_of_mean=mean.shape[-1])
    scaled = hessian / torch.as_tensor(beta, dtype=hessian.dtype, device=hessian.device)[..., None, None]
    eye = torch.eye(d, dtype=hessian.dtype, device=hessian.device)
    logarithm = log_determinant(eye - scaled, "I − hessian/β", check_values=check_values)
    return _with_codes(log_prob, logarithm, mean, beta)


def grae_bound(
    log_prob: Tensor, diagonal: Tensor, mean: Tensor, beta: float | Tensor, *, check_values: bool = True
) -> Tensor:
    """GRAE≈, where Hadamard's inequality bounds the determinant: ½β(‖h‖² + Σ_i log(1 − diagonal_i/β)) − log p(x|h).

    It is also the Taylor loss at its best diagonal covariance (`eq-grae-bound`). `diagonal` (batch, d) is that of JᵀHJ,
    the rest as in `grae`. Raises ValueError for wrong shapes, NaN, β ≤ 0 or an entry that is not below β.
    """
    _input.same_size(columns=diagonal.shape[-1], d=mean.shape[-1])
    return grae_column(log_prob, diagonal, mean, beta, check_values=check_values)


def grae_column(
    log_prob: Tensor, entries: Tensor, mean: Tensor, beta: float | Tensor, *, check_values: bool = True
) -> Tensor:
    """GRAE≈ from some columns of the Jacobian: d times the mean of log(1 − entry/β) over them (`eq-grae-column`).

    `entries` (part, k) holds J_iᵀHJ_i for k columns i, drawn at random for each of `part` examples of the batch; over
    the draws its mean is `grae_bound`. The rest as in `grae`; where part < batch, β is one number. Raises ValueError
    for wrong shapes, NaN, β ≤ 0 or an entry that is not below β.
    """
    _input.positive("beta", beta, check_values=check_values)
    _input.finite(log_prob=log_prob, entries=entries, mean=mean, check_values=check_values)
    beta = torch.as_tensor(beta, dtype=mean.dtype, device=mean.device)
    scaled = entries / beta[..., None]
    if check_values and not _input.holds(scaled < 1):
        raise ValueError("I − JᵀHJ/β must be positive definite, but a column's J_iᵀHJ_i is not below β.")
    return _with_codes(log_prob, mean.shape[-1] * torch.log1p(-scaled).mean(-1), mean, beta)


def grae_isotropic(
    log_prob: Tensor, trace: Tensor, mean: Tensor, beta: float | Tensor, *, check_values: bool = True
) -> Tensor:
    """The Taylor loss at its best isotropic covariance: ½β(‖h‖² + d log(1 − trace/(dβ))) − log p(x|h).

    `trace` (batch) is tr JᵀHJ, for a Gaussian −‖J‖²_F/scale² (`eq-grae-isotropic`); the rest as in `grae`. Raises
    ValueError for wrong shapes, NaN, β ≤ 0 or a trace that is not below dβ.
    """
    return grae_column(log_prob, trace[..., None] / mean.shape[-1], mean, beta, check_values=check_values)


def _with_codes(log_prob: Tensor, log_determinant: Tensor, mean: Tensor, beta: float | Tensor) -> Tensor:
    _input.broadcastable(log_prob=log_prob, mean=mean[..., 0])
    return (0.5 * beta * (mean**2).sum(-1) - log_prob).mean() + (0.5 * beta * log_determinant).mean()
