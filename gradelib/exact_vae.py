"""The slides' model with one covariance for all examples, trained without noise: its loss is known exactly.

The decoder is ν(Az) + offset with the leaky ReLU ν of this `SLOPE` and noise of deviation `NOISE`, the encoder
q(z | x) = N(Cx + e, LLᵀ), there are two latents, and β = 1. Chapter 3 derives the loss. An optimiser asks for it and
its slopes thousands of times, so both are written out here; autograd would take four times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr
from torch import Tensor

from gradelib import _input
from gradelib._names import one_of

NOISE, SLOPE = 0.05, 0.2
# The numbers of L with which a training starts.
START = {"full": [-2.0, -2.0, 0.0], "diagonal": [-2.0, -2.0], "isotropic": [-2.0]}
FAMILIES = tuple(START)
_VALLEY = 1.5  # larger, and where a flat fit stops depends on rounding; smaller, and the fits are slow

Array = NDArray[np.float64]


class Model(NamedTuple):
    """A (n, 2), the decoder's offset (n), C (2, n), e (2), and the numbers of L.

    These are the logarithms of its diagonal, one where both are equal, and in the full family the entry below.
    """

    A: Tensor
    offset: Tensor
    C: Tensor
    e: Tensor
    scales: Tensor


def factor(scales: Tensor, family: str) -> Tensor:
    """L (2, 2) from the numbers that a family has; raises ValueError for an unknown family."""
    if one_of("family", family, FAMILIES) == "full":
        return scales[:2].exp().diag() + scales[2] * torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=scales.dtype)
    return scales.exp().expand(2).diag()


def random_model(n: int, family: str, seed: int) -> Model:
    """Where a training starts, for n pixels, in float64."""
    n, generator = _input.whole("n", n), _input.generator(seed)
    A, C = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((n, 2), (2, n)))
    zeros = torch.zeros(n, dtype=torch.float64)
    scales = torch.tensor(START[one_of("family", family, FAMILIES)], dtype=torch.float64)
    return Model(A, zeros, 0.1 * C, zeros[:2], scales)


def loss_and_slopes(x: Array, A: Array, offset: Array, h: Array, L: Array) -> tuple[float, tuple[Array, ...]]:
    """The loss in nats for examples x (examples, n) with codes of mean h (examples, 2), and its slopes.

    The slopes are those in A, offset, h and L (2, 2), each like it.
    """
    B, per_example = A @ L, 1 / (NOISE**2 * len(x))
    square, in_y, in_m, in_v = _mean_square(x - offset, h @ A.T, (B * B).sum(-1))
    constant = len(offset) * math.log(NOISE * math.sqrt(2 * math.pi))
    moments = (L * L).sum() + (h * h).sum() / len(x)
    loss = per_example * square.sum() / 2 + constant + (moments - 2) / 2 - np.log(L.diagonal()).sum()
    in_m, in_B = per_example * in_m, per_example * in_v.sum(0)[:, None] * B
    in_L = A.T @ in_B + L - np.diag(1 / L.diagonal())
    return float(loss), (in_m.T @ h + in_B @ L.T, -per_example * in_y.sum(0), in_m @ A + h / len(x), in_L)


def _mean_square(y: Array, m: Array, v: Array) -> tuple[Array, Array, Array, Array]:
    """E (y − ν(u))² for u ~ N(m, v), half of its slopes in y and in m, and its slope in v."""
    bend, bend2 = 1 - SLOPE, 1 - SLOPE**2
    above = ndtr(m / np.sqrt(v))
    spike = np.exp(m * m / (-2 * v)) * np.sqrt(v / (2 * math.pi))
    first, rest, bent = m * above + spike, y - SLOPE * m, bend * y  # `first` is E max(u, 0)
    c = SLOPE**2 + bend2 * above
    square = rest * rest + first * (bend2 * m - 2 * bent) + v * c
    return square, rest - bend * first, bend2 * first - bent * above - SLOPE * rest, c - bent * spike / v


def fit(
    model: Model,
    x: Tensor,
    family: str,
    *,
    seen: Tensor | None = None,
    gtol: float = 1e-5,
    method: str = "BFGS",
    **options: Any,
) -> tuple[float, Model]:
    """Go down from `model` on x (examples, n): the loss in nats where the optimiser stops, and the model there.

    The encoder sees x, or what is `seen` in its place (examples, k) with C (2, k): the unit vectors give each example a
    code of its own. `gtol`, `method` and `options` are those of `scipy.optimize.minimize`. Raises ValueError for an
    unknown family, no examples, NaN, what is not float64, or sizes that do not fit.
    """
    seen = x if seen is None else seen
    _check(model, x, seen, family)
    examples, inputs = x.numpy(), seen.numpy()
    start = np.concatenate([np.zeros(4), *(part.numpy().ravel() for part in model)])
    found, least = _minimise(
        lambda w: _loss_and_slope(w, examples, inputs, family), start, method=method, gtol=gtol, **options
    )
    M, (A, offset, C, e, scales) = _unpack(found, x.shape[-1], family)
    back = np.linalg.inv(M)
    return least, Model(*map(torch.from_numpy, (A @ M, offset, back @ C, back @ e, scales)))


def fit_encoder(model: Model, x: Tensor, family: str, *, gtol: float = 1e-5) -> tuple[float, Model]:
    """The same with the decoder held fixed."""
    _check(model, x, x, family)
    examples, n = x.numpy(), x.shape[-1]
    held = np.concatenate([np.zeros(4), model.A.numpy().ravel(), model.offset.numpy()])

    def loss_and_slope(w: Array) -> tuple[float, Array]:
        value, slope = _loss_and_slope(np.concatenate([held, w]), examples, examples, family)
        return value, slope[len(held) :]

    start = np.concatenate([part.numpy().ravel() for part in model[2:]])
    found, least = _minimise(loss_and_slope, start, method="BFGS", gtol=gtol)
    _, (_, _, C, e, scales) = _unpack(np.concatenate([held, found]), n, family)
    return least, Model(model.A, model.offset, *map(torch.from_numpy, (C, e, scales)))


def _check(model: Model, x: Tensor, seen: Tensor, family: str) -> None:
    numbers = len(START[one_of("family", family, FAMILIES)])
    given = {"x": x, "seen": seen, **model._asdict()}
    for name, tensor in given.items():
        _input.finite(**{name: tensor})
        if tensor.dtype != torch.float64 or tensor.requires_grad:
            raise ValueError(f"An exact fit wants float64 without gradients, but {name} is {tensor.dtype}.")
    if x.ndim != 2 or not len(x):
        raise ValueError(f"x must be (examples, n) with at least one example, but its shape is {tuple(x.shape)}.")
    n = x.shape[1]
    shapes = {"seen": (len(x), *seen.shape[1:]), "A": (n, 2), "offset": (n,), "C": (2, *seen.shape[1:]), "e": (2,)}
    for name, shape in {**shapes, "scales": (numbers,)}.items():
        if given[name].shape != shape:
            raise ValueError(f"{name} must have the shape {shape} here, but has {tuple(given[name].shape)}.")


def _minimise(
    loss_and_slope: Callable[[Array], tuple[float, Array]], start: Array, method: str, **options: Any
) -> tuple[Array, float]:
    found = minimize(loss_and_slope, start, jac=True, method=method, options=options)
    return found.x, float(found.fun)


def _loss_and_slope(w: Array, x: Array, seen: Array, family: str) -> tuple[float, Array]:
    """The loss of the model in one vector, and its slope.

    The vector has four numbers more than the model. They make M (2, 2): the decoder has the matrix AM and the encoder
    the mean M⁻¹(C·seen + e). What M does A, C and e can do as well, so the least loss is the same. But what the decoder
    makes of the mean does not depend on M. So the loss has a long, bent valley along M, in which the turned twins lie,
    and these numbers lead an optimiser along it, in half of the steps and fewer.
    """
    M, (A, offset, C, e, scales) = _unpack(w, x.shape[-1], family)
    L, back = factor(torch.from_numpy(scales), family).numpy(), np.linalg.inv(M)
    h = (seen @ C.T + e) @ back.T
    loss, (in_A, in_offset, in_h, in_L) = loss_and_slopes(x, A @ M, offset, h, L)
    in_M = A.T @ in_A - back.T @ (in_h.T @ h)
    in_h = in_h @ back
    in_log = (in_L * L).diagonal()
    in_scales = np.array([in_log.sum()]) if family == "isotropic" else np.append(in_log, in_L[1, 0])[: len(scales)]
    slopes = (_VALLEY * in_M, in_A @ M.T, in_offset, in_h.T @ seen, in_h.sum(0), in_scales)
    return loss, np.concatenate([slope.ravel() for slope in slopes])


def _unpack(w: Array, n: int, family: str) -> tuple[Array, tuple[Array, ...]]:
    """M, and the five parts of the model."""
    i, j = 4 + 2 * n, len(w) - len(START[family])
    parts = w[4:i].reshape(n, 2), w[i : i + n], w[i + n : j - 2].reshape(2, -1), w[j - 2 : j], w[j:]
    return np.eye(2) + _VALLEY * w[:4].reshape(2, 2), parts
