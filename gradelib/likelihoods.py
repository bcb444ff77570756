"""Likelihoods p(x | z): how far the data x may lie from the decoder's output g(z).

A likelihood sees only x and g, both (…, n). Its pixels are independent given z, so the matrix H = ∇²_g log p(x; g) is
diagonal; `curvature` returns that diagonal, in nats per squared unit of g.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from gradelib import _input
from gradelib._names import one_of


class Likelihood(Protocol):
    """What objectives and training ask of a likelihood."""

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """The log-likelihood log p(x; g) in nats, summed over the n pixels: (…, n), (…, n) → (…)."""
        ...

    def slope(self, x: Tensor, g: Tensor) -> Tensor:
        """The gradient ∇_g log p(x; g): (…, n), (…, n) → (…, n)."""
        ...

    def curvature(self, x: Tensor, g: Tensor) -> Tensor:
        """The diagonal of H = ∇²_g log p(x; g): (…, n), (…, n) → (…, n)."""
        ...

    def mean(self, g: Tensor) -> Tensor:
        """The expected pixels E[x] under p(x; g): (…, n) → (…, n)."""
        ...

    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pixels drawn from p(x; g): (…, n) → (…, n). A generator of g's device makes them repeat."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """N(x; g, scale² I): every pixel has the standard deviation `scale`, in units of x.

    Raises ValueError where `scale` is not a finite number above 0. With `check_values` false, its methods look at
    shapes only, as a training step wants.
    """

    scale: float = 1.0
    check_values: bool = field(default=True, kw_only=True, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a scale that is no standard deviation."""
        _input.positive("scale", self.scale)

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """The log-density log N(x; g, scale² I) in nats: (…, n), (…, n) → (…)."""
        _check_pixels(x, g, self.check_values)
        normaliser = math.log(2 * math.pi) + 2 * math.log(self.scale)  # scale² would underflow long before scale does
        return -0.5 * (((x - g) / self.scale) ** 2 + normaliser).sum(-1)

    def slope(self, x: Tensor, g: Tensor) -> Tensor:
        """(x − g)/scale² for every pixel: (…, n), (…, n) → (…, n)."""
        _check_pixels(x, g, self.check_values)
        return (x - g) / self.scale**2

    def curvature(self, x: Tensor, g: Tensor) -> Tensor:
        """−1/scale² for every pixel, whatever x and g are: (…, n)."""
        _check_pixels(x, g, self.check_values)
        return torch.full_like(x + g, -1 / self.scale**2)

    def mean(self, g: Tensor) -> Tensor:
        """The decoder's output itself: (…, n) → (…, n)."""
        _input.finite(g=g, check_values=self.check_values)
        return g

    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The decoder's output with noise of standard deviation `scale`: (…, n) → (…, n)."""
        _input.finite(g=g, check_values=self.check_values)
        return g + self.scale * torch.randn(g.shape, generator=generator, dtype=g.dtype, device=g.device)


@dataclass(frozen=True)
class Bernoulli:
    """Independent pixels that are on with probability m, for x in [0, 1].

    `parameter` says what the decoder returns: "logit" for log m/(1 − m), any real number, or "mean" for m itself,
    strictly between 0 and 1. Raises ValueError for another parameter or for x or g outside their range. With
    `check_values` false, its methods look at shapes only, as a training step wants.
    """

    parameter: str = "logit"
    check_values: bool = field(default=True, kw_only=True, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse an unknown parameter."""
        one_of("Bernoulli parameter", self.parameter, ("logit", "mean"))

    def log_prob(self, x: Tensor, g: Tensor) -> Tensor:
        """The log-likelihood x log m + (1 − x) log(1 − m) in nats, summed over pixels: (…, n), (…, n) → (…)."""
        self._check(x, g)
        if self.parameter == "logit":
            return (x * g - functional.softplus(g)).sum(-1)
        return (x * g.log() + (1 - x) * torch.log1p(-g)).sum(-1)

    def slope(self, x: Tensor, g: Tensor) -> Tensor:
        """The gradient x − m in the logit, x/m − (1 − x)/(1 − m) in the mean: (…, n), (…, n) → (…, n)."""
        self._check(x, g)
        return x - torch.sigmoid(g) if self.parameter == "logit" else x / g - (1 - x) / (1 - g)

    def curvature(self, x: Tensor, g: Tensor) -> Tensor:
        """−m(1 − m) in the logit, −x/m² − (1 − x)/(1 − m)² in the mean: (…, n), (…, n) → (…, n)."""
        self._check(x, g)
        if self.parameter == "logit":
            m = torch.sigmoid(g)
            return (-m * (1 - m)).expand_as(x + g)
        return -x / g**2 - (1 - x) / (1 - g) ** 2

    def mean(self, g: Tensor) -> Tensor:
        """The probability m that a pixel is on: (…, n) → (…, n)."""
        self._check_output(g)
        return torch.sigmoid(g) if self.parameter == "logit" else g

    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pixels that are on (1) with probability m and off (0) otherwise: (…, n) → (…, n)."""
        return torch.bernoulli(self.mean(g), generator=generator)

    def _check(self, x: Tensor, g: Tensor) -> None:
        _check_pixels(x, g, self.check_values)
        self._check_output(g)
        if self.check_values and not _input.holds((x >= 0) & (x <= 1)):
            raise ValueError("x must lie between 0 and 1 for a Bernoulli likelihood; rescale the pixels.")

    def _check_output(self, g: Tensor) -> None:
        _input.finite(g=g, check_values=self.check_values)
        if self.check_values and self.parameter == "mean" and not _input.holds((g > 0) & (g < 1)):
            raise ValueError("A Bernoulli mean must lie strictly between 0 and 1; end the decoder in a sigmoid.")


def _check_pixels(x: Tensor, g: Tensor, check_values: bool) -> None:
    _input.finite(x=x, g=g, check_values=check_values)
    if not (x.ndim and g.ndim):
        raise ValueError("x and g must have an axis of pixels, but one of them is a single number.")
    _input.same_size(pixels_of_x=x.shape[-1], pixels_of_g=g.shape[-1])
    _input.broadcastable(x=x, g=g)
