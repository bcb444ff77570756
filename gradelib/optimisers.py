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

    A Newton–Schulz step is a polynomial in the Gram matrix of the shorter side. Where that side is much the shorter,
    the polynomials are multiplied up first, and the matrix is multiplied once.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalise(matrix.mT, rounds).mT
    a, b, c = NEWTON_SCHULZ
    X = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if many := X.ndim > 2:
        X = X.flatten(0, -3)
    multiply_add = torch.baddbmm if many else torch.addmm  # one call in place of three, which are what small ones cost
    if X.shape[-1] <= 2 * X.shape[-2]:
        for _ in range(rounds):
            gram = X @ X.mT
            X = multiply_add(X, multiply_add(gram, gram, gram, beta=b, alpha=c), X, beta=a)
        return X.reshape(matrix.shape)
    gram, total = X @ X.mT, None
    for left in range(rounds, 0, -1):
        polynomial = multiply_add(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        total = polynomial if total is None else polynomial @ total
        if left > 1:
            gram = polynomial @ gram @ polynomial
    return (total @ X).reshape(matrix.shape)


class SOAP(torch.optim.Optimizer):
    """SOAP of Vyas et al. (2025): Adam in the slowly turning eigenbases of Shampoo's two Gram matrices.

    A matrix G of gradients has the running averages L of GGᵀ and R of GᵀG. Adam acts on Q_LᵀGQ_R, and every `every`
    steps one orthogonal iteration turns Q_L and Q_R further towards the eigenvectors. A kernel of a convolution is the
    matrix of its output channels; parameters that are no matrices follow Adam. The first step only starts L and R.
    `leading` axes in front, such as the models of a grid, are a batch of parameters.
    """

    def __init__(
        self, parameters: Iterable[Tensor], learning_rate: float = 3e-3, *, every: int = 10, leading: int = 0
    ) -> None:
        """Raise ValueError for numbers out of range."""
        _input.positive("learning_rate", learning_rate)
        _input.whole("every", every)
        super().__init__(list(parameters), {"lr": learning_rate, "every": every, "leading": leading, "steps": 0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no second look at the loss in one step
        """Move all parameters that have a gradient by one step."""
        for group in self.param_groups:
            group["steps"] += 1
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, is_matrix = self.state[parameter], parameter.ndim - group["leading"] >= 2
        matrix = gradient.flatten(group["leading"] + 1) if is_matrix else gradient
        if not state:
            state |= {"mean": torch.zeros_like(matrix), "square": torch.zeros_like(matrix)}
            if is_matrix:
                state |= {"left": 0.05 * matrix @ matrix.mT, "right": 0.05 * matrix.mT @ matrix}
                state |= {side: _eigenvectors(state[gram]) for side, gram in _SIDES}
        if is_matrix and group["steps"] == 1:
            return
        state["mean"].lerp_(matrix, 0.05)
        turned = _into(matrix, state) if is_matrix else matrix
        state["square"].lerp_(turned.square(), 0.05)
        count = group["steps"] - is_matrix
        ahead = (_into(state["mean"], state) if is_matrix else state["mean"]) / (1 - 0.95**count)
        ahead = ahead / ((state["square"] / (1 - 0.95**count)).sqrt() + 1e-8)
        if is_matrix:
            ahead = state["Q_left"] @ ahead @ state["Q_right"].mT
        parameter.add_(ahead.reshape(parameter.shape), alpha=-group["lr"])
        if is_matrix:
            state["left"].lerp_(matrix @ matrix.mT, 0.05)
            state["right"].lerp_(matrix.mT @ matrix, 0.05)
            if group["steps"] % group["every"] == 0:
                _turn_bases(state)


_SIDES = (("Q_left", "left"), ("Q_right", "right"))


def _into(matrix: Tensor, state: dict[str, Tensor]) -> Tensor:
    return state["Q_left"].mT @ matrix @ state["Q_right"]


def _eigenvectors(gram: Tensor) -> Tensor:
    """Those of (…, k, k), the largest eigenvalue first."""
    return torch.linalg.eigh(_told_apart(gram)).eigenvectors.flip(-1)


def _told_apart(gram: Tensor) -> Tensor:
    """A Gram matrix plus a little, another on each axis, lest rounding alone order what few gradients leave empty."""
    k = gram.shape[-1]
    little = 1e-6 * gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None]
    return gram + torch.diag_embed(little * torch.linspace(1.0, 2.0, k, dtype=gram.dtype, device=gram.device))


def _turn_bases(state: dict[str, Tensor]) -> None:
    """One orthogonal iteration for each basis, largest first, and the squares' rows and columns in the same order."""
    for (side, gram), axis in zip(_SIDES, (-2, -1), strict=True):
        Q, matrix = state[side], _told_apart(state[gram])
        order = (Q * (matrix @ Q)).sum(-2).argsort(dim=-1, descending=True)
        Q = Q.gather(-1, order.unsqueeze(-2).expand_as(Q))
        index = order.unsqueeze(-1 if axis == -2 else -2).expand_as(state["square"])
        state["square"] = state["square"].gather(axis, index)
        state[side] = torch.linalg.qr(matrix @ Q).Q


def _adam(parameters: list[Tensor], learning_rate: float, leading: int = 0) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=learning_rate, fused=True)


OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": _adam, "muon": Muon, "soap": SOAP}


def make(
    optimiser: str | Factory, parameters: list[Tensor], learning_rate: float, leading: int = 0
) -> torch.optim.Optimizer:
    """The optimiser of that name, or that the factory makes, for parameters with `leading` axes of models in front.

    Raises ValueError for an unknown name, a learning rate that is not positive, or a factory that makes something else.
    """
    _input.positive("learning_rate", learning_rate)
    if isinstance(optimiser, str):
        return OPTIMISERS[one_of("optimiser", optimiser, OPTIMISERS)](parameters, learning_rate, leading=leading)
    made = optimiser(parameters, learning_rate)
    if not isinstance(made, torch.optim.Optimizer):
        raise ValueError(
            f"A factory of optimisers must make a torch.optim.Optimizer, but made a {type(made).__name__}."
        )
    return made
