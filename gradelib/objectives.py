"""The book's objectives, as losses: minimised, in nats, summed over pixels and latents, averaged over the batch only.

`beta` is a number or a tensor that broadcasts against the batch.
"""

from __future__ import annotations

from torch import Tensor

from gradelib import _input
from gradelib.posteriors import kl_to_standard_normal


def beta_vae(log_prob: Tensor, kl: Tensor, beta: float | Tensor) -> Tensor:
    """The β-VAE loss, the batch mean of β KL(q(z|x) ‖ p(z)) − E_q log p(x|z) (`eq-beta-vae`).

    `log_prob` and `kl` are (batch), one number for each example → a scalar. Raises ValueError for NaN or β ≤ 0.
    """
    _input.positive("beta", beta)
    _input.finite(log_prob=log_prob, kl=kl)
    _input.broadcastable(log_prob=log_prob, kl=kl)
    return (beta * kl - log_prob).mean()


def taylor(log_prob: Tensor, hessian: Tensor, mean: Tensor, covariance: Tensor, beta: float | Tensor) -> Tensor:
    """The β-VAE loss with log p(x|z) expanded to second order about the mean of q (`eq-objective`).

    `log_prob` (batch) is log p(x | h), `hessian` (batch, d, d) that of log p(x | z) at z = h or its Gauss–Newton form
    JᵀHJ, `mean` (batch, d) is h and `covariance` (batch, d, d) is Σ → a scalar. Raises ValueError for wrong shapes, NaN,
    β ≤ 0 or a covariance that is not positive definite.
    """
    _input.finite(log_prob=log_prob, hessian=hessian)
    _input.same_size(d_of_hessian=_input.square("hessian", hessian), d_of_mean=mean.shape[-1])
    kl = kl_to_standard_normal(mean, covariance)
    spread = 0.5 * (hessian * covariance).sum((-2, -1))  # ½ tr(HΣ): both are symmetric
    return beta_vae(log_prob + spread, kl, beta)
