"""The models of the playground page: x = ν(Wz) + ε with two latents, and one covariance shared by all examples.

`book/_static/scripts/playground-engine.js` trains the same models in the reader's browser. It has gradients worked out
by hand, this module leaves them to torch, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gradelib import exact_vae, optimisers
from gradelib._names import one_of
from gradelib.likelihoods import Gaussian
from gradelib.posteriors import Posterior
from gradelib.training import OBJECTIVES

STEPS, LEARNING_RATE = 1500, 0.1


class SharedCovarianceVAE(nn.Module):
    """The slides' model: a decoder ν(Az) + b and an encoder q(z | x) = N(Cx + e, Σ) with one Σ of a family for all x.

    `A` is (n, 2) and `C` (2, n), where training starts; ν is the leaky ReLU of this `slope`, with 1 the identity.
    Raises ValueError for an unknown family.
    """

    def __init__(self, A: Tensor, C: Tensor, family: str = "diagonal", slope: float = 0.2) -> None:
        super().__init__()
        self.d = 2
        self.family, self.slope = one_of("family", family, exact_vae.FAMILIES), slope
        self.A, self.C = nn.Parameter(A.clone()), nn.Parameter(C.clone())
        self.b, self.e = nn.Parameter(torch.zeros_like(A[:, 0])), nn.Parameter(torch.zeros_like(C[:, 0]))
        self.scales = nn.Parameter(torch.tensor(exact_vae.START[family], dtype=A.dtype))

    def decoder(self, z: Tensor) -> Tensor:
        """ν(Az) + b: (…, 2) → (…, n)."""
        return leaky_relu(z @ self.A.mT, self.slope) + self.b

    def factor(self) -> Tensor:
        """L of Σ = LLᵀ (2, 2)."""
        return exact_vae.factor(self.scales, self.family)

    def posterior(self, x: Tensor, *, check_values: bool = True) -> Posterior:
        """q(z | x): (batch, n) → a posterior with the mean (batch, 2)."""
        mean = x @ self.C.mT + self.e
        return Posterior(mean, self.factor().expand(len(x), 2, 2), check_values=check_values)


@dataclass(frozen=True)
class Run:
    """A trained model and its loss in nats at every step (steps)."""

    model: SharedCovarianceVAE
    losses: Tensor


def train(
    model: SharedCovarianceVAE,
    x: Tensor,
    noises: Iterable[Tensor],
    *,
    beta: float = 1.0,
    noise: float = 0.05,
    objective: str = "beta_vae",
    steps: int = STEPS,
) -> Run:
    """Train `model` in place, each step on all rows of x (examples, n) with the next of `noises`, each (examples, 2).

    `noise` is the decoder's standard deviation. The learning rate falls to zero along half a cosine over `steps`, of
    which there may be fewer noises. `objective` is "beta_vae" or "grae_bound", which uses no noise and no Σ.
    """
    loss_of, likelihood, losses = OBJECTIVES[objective], Gaussian(noise, check_values=False), []
    named = [(name, part) for name, part in model.named_parameters() if objective == "beta_vae" or name != "scales"]
    optimiser = optimisers.make("adam", [part for _, part in named], LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for eps in noises:
        loss = loss_of(model, x, eps, beta, likelihood=likelihood, check_values=False)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.detach())
    return Run(model, torch.stack(losses))
