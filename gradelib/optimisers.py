"""Optimisers by name. A factory makes one from the parameters and a learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from gradelib import _input
from gradelib._names import one_of

Factory = Callable[[list[Tensor], float], torch.optim.Optimizer]

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic of Jordan et al. (2024), "Muon"


class Muon(torch.optim.Optimizer):
    """Muon of Jordan et al. (2024) for the matrices, Adam for all other parameters, in the parameters' own dtype.

    A matrix moves by the learning rate times its orthogonalised Nesterov momentum, times √(rows/columns) where it is
    tall. A kernel of a convolution is the matrix of its output channels. The other parameters follow Adam with `rest`
    times the learning rate. `leading` axes in front, such as the models of a grid, are a batch of parameters.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 0.02,
        *,
        momentum: float = 0.95,
        rest: float = 0.3,
        leading: int = 0,
    ) -> None:
        """Raise ValueError for numbers out of range."""
        _input.positive("learning_rate", learning_rate)
        _input.positive("rest", rest)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, but it is {momentum}.")
        parameters = list(parameters)
        groups = [
            {"params": [p for p in parameters if p.ndim - leading >= 2], "lr": learning_rate, "matrices": True},
            {"params": [p for p in parameters if p.ndim - leading < 2], "lr": rest * learning_rate, "matrices": False},
        ]
        defaults = {"momentum": momentum, "leading": leading, "steps": 0}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no second look at the loss in one step
        """Move all parameters that have a gradient by one step."""
        for group in self.param_groups:
            group["steps"] += 1
            gradients = {parameter: parameter.grad for parameter in group["params"] if parameter.grad is not None}
            if group["matrices"]:
                for parameter, gradient in gradients.items():
                    self._turn(parameter, gradient, group)
            elif gradients:
                self._adam(gradients, group)

    def _turn(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = torch.lerp(gradient, state["momentum"], group["momentum"])
        matrix = ahead.flatten(group["leading"] + 1)
        scale = math.sqrt(max(1.0, matrix.shape[-2] / matrix.shape[-1]))
        parameter.add_(orthogonalise(matrix).reshape(parameter.shape), alpha=-group["lr"] * scale)

    def _adam(self, gradient_of: dict[Tensor, Tensor], group: dict[str, Any]) -> None:
        parameters, gradients = list(gradient_of), list(gradient_of.values())
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] |= {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
        means, squares = ([self.state[p][name] for p in parameters] for name in ("mean", "square"))
        torch._foreach_lerp_(means, gradients, 0.1)
        torch._foreach_mul_(squares, 0.999)
        torch._foreach_addcmul_(squares, gradients, gradients, 0.001)
        correction = 1 - 0.999 ** group["steps"]
        roots = torch._foreach_div(squares, correction)
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, 1e-8)
        torch._foreach_addcdiv_(parameters, means, roots, -group["lr"] / (1 - 0.9 ** group["steps"]))


def orthogonalise(matrix: Tensor, rounds: int = 5) -> Tensor:
    """About U Vᵀ of matrix = U S Vᵀ, its singular values between .7 and 1.2: (…, rows, columns) → the same.

    Newton–Schulz steps act on the Gram matrix of the shorter side only, as a step is a polynomial in it.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalise(matrix.mT, rounds).mT
    a, b, c = NEWTON_SCHULZ
    unit = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    gram, total = unit @ unit.mT, None
    for left in range(rounds, 0, -1):
        polynomial = b * gram + c * (gram @ gram)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        total = polynomial if total is None else polynomial @ total
        if left > 1:
            gram = polynomial @ gram @ polynomial
    return total @ unit


def _adam(parameters: list[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=learning_rate, fused=True)


OPTIMISERS: dict[str, Factory] = {"adam": _adam, "muon": Muon}


def make(
    optimiser: str | Factory, parameters: list[Tensor], learning_rate: float, leading: int = 0
) -> torch.optim.Optimizer:
    """The optimiser of that name, or that the factory makes, for parameters with `leading` axes of models in front.

    Raises ValueError for an unknown name, a learning rate that is not positive, or a factory that makes something else.
    """
    _input.positive("learning_rate", learning_rate)
    if isinstance(optimiser, str):
        one_of("optimiser", optimiser, OPTIMISERS)
        return (
            Muon(parameters, learning_rate, leading=leading)
            if optimiser == "muon"
            else _adam(parameters, learning_rate)
        )
    made = optimiser(parameters, learning_rate)
    if not isinstance(made, torch.optim.Optimizer):
        raise ValueError(
            f"A factory of optimisers must make a torch.optim.Optimizer, but made a {type(made).__name__}."
        )
    return made
