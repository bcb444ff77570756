"""One training step of each objective, Adam included."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gradelib import networks, training
from gradelib.likelihoods import Gaussian
from gradelib.networks import VAE

BETA = 0.4


def stepper(model: VAE, x: Tensor, objective: str, **options: object) -> Callable[[], None]:
    """A function that takes one step of `training.fit` on the same examples each time."""
    loss, likelihood = training.OBJECTIVES[objective], Gaussian(check_values=False)
    return adam_stepper(
        list(model.parameters()),
        lambda noise: loss(model, x, noise, BETA, likelihood=likelihood, check_values=False, **options),
        lambda: torch.randn(len(x), model.d, dtype=x.dtype, device=x.device),
    )


def adam_stepper(
    parameters: list[Tensor], loss: Callable[[Tensor], Tensor], draw: Callable[[], Tensor]
) -> Callable[[], None]:
    """A function that takes one step of Adam on any loss of random numbers."""
    optimiser = torch.optim.Adam(parameters, lr=1e-4, fused=True)

    def step() -> None:
        value = loss(draw())
        optimiser.zero_grad()
        value.backward()
        optimiser.step()

    return step


def perceptron(d: int, n: int = 784, batch: int = 64) -> tuple[VAE, Tensor]:
    """The 784–512–512–d perceptron of the targets and a batch for it, in float32."""
    x = torch.rand(batch, n, generator=torch.Generator().manual_seed(0), device="cpu").to(device())
    return networks.mlp_vae(n, d, hidden=(512, 512)).to(device()), x


def device() -> str:
    """Where the benchmark runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"
