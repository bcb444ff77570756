"""One training loop for every objective, for one model or for a whole grid of them at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from tqdm.auto import trange

from gradelib import _input, objectives
from gradelib._names import one_of
from gradelib.likelihoods import Gaussian, Likelihood
from gradelib.networks import VAE


@dataclass(frozen=True)
class Fit:
    """A trained model and its loss in nats at every step (steps)."""

    model: VAE
    losses: Tensor


def _beta_vae(model: VAE, x: Tensor, noise: Tensor, likelihood: Likelihood, beta: float | Tensor) -> Tensor:
    q = model.posterior(x)
    reconstruction = model.decoder(q.sample(noise))
    return objectives.beta_vae(likelihood.log_prob(x, reconstruction), q.kl(), beta)


# Each maps a model, examples x (batch, n), noise from N(0, I) (batch, d), a likelihood and β to a scalar loss.
OBJECTIVES: dict[str, Callable[[VAE, Tensor, Tensor, Likelihood, float | Tensor], Tensor]] = {"beta_vae": _beta_vae}


def fit(
    model: VAE,
    x: Tensor,
    *,
    beta: float,
    seed: int = 0,
    objective: str = "beta_vae",
    likelihood: Likelihood | None = None,
    steps: int = 2500,
    learning_rate: float = 2e-3,
    batch_size: int = 128,
) -> Fit:
    """Train `model` in place on the rows of x (examples, n) with Adam; return it with its losses.

    The learning rate falls to zero along half a cosine, so that the end is a point and not a cloud around it. Batches and
    noise depend on `seed` alone. The likelihood is N(x; g, I) unless another is given. The model and x share one dtype.

    Raises ValueError for an unknown objective, β ≤ 0, NaN in x or a batch size or number of steps below 1, and
    FloatingPointError, with the step, when the loss stops being finite.
    """
    step_loss = _prepare(objective, x, [beta], likelihood)
    generator = torch.Generator().manual_seed(seed)

    def loss_of_batch() -> Tensor:
        return step_loss(model, *_batch(x, batch_size, model.d, generator), beta).unsqueeze(0)

    losses = _minimise(list(model.parameters()), loss_of_batch, steps, learning_rate, objective)
    return Fit(model, losses[:, 0])


def fit_grid(
    make: Callable[[int], VAE],
    x: Tensor,
    *,
    betas: Sequence[float],
    seeds: Sequence[int],
    objective: str = "beta_vae",
    likelihood: Likelihood | None = None,
    steps: int = 2500,
    learning_rate: float = 2e-3,
    batch_size: int = 128,
) -> dict[tuple[float, int], Fit]:
    """Train a model for every β and seed at once: what `fit(make(seed), x, beta=β, seed=seed)` gives, but faster.

    `make` builds the untrained model of a seed. All models take a step together, as one batch of small matrices. Models
    of one seed see the same batches and noise. The result maps (β, seed) to its `Fit`. Raises what `fit` raises.
    """
    step_loss = _prepare(objective, x, betas, likelihood)
    keys = [(beta, seed) for beta in betas for seed in seeds]
    models = [make(seed) for _, seed in keys]
    parameters, _ = stack_module_state([_Loss(model, step_loss) for model in models])
    skeleton = _Loss(copy.deepcopy(models[0]).to("meta"), step_loss)
    generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
    beta = torch.tensor([beta for beta, _ in keys], dtype=x.dtype)

    @vmap
    def losses_of_models(weights: dict[str, Tensor], rows: Tensor, noise: Tensor, beta: Tensor) -> Tensor:
        return functional_call(skeleton, weights, (rows, noise, beta))

    def loss_of_batch() -> Tensor:
        drawn = {seed: _batch(x, batch_size, models[0].d, generator) for seed, generator in generators.items()}
        rows, noise = (torch.stack([drawn[seed][part] for _, seed in keys]) for part in (0, 1))
        return losses_of_models(parameters, rows, noise, beta)

    losses = _minimise(list(parameters.values()), loss_of_batch, steps, learning_rate, f"{objective} × {len(keys)}")
    with torch.no_grad():
        for index, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(parameters[f"model.{name}"][index])
    return {key: Fit(model, losses[:, index]) for index, (key, model) in enumerate(zip(keys, models, strict=True))}


class _Loss(nn.Module):
    """A model together with its loss, so that `functional_call` can replace the weights of both halves."""

    def __init__(self, model: VAE, step_loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.step_loss = model, step_loss

    def forward(self, *batch: Tensor) -> Tensor:
        return self.step_loss(self.model, *batch)


def _prepare(
    objective: str, x: Tensor, betas: Sequence[float], likelihood: Likelihood | None
) -> Callable[[VAE, Tensor, Tensor, float | Tensor], Tensor]:
    """The loss of one step, once everything that can be refused has been looked at."""
    step_loss = OBJECTIVES[one_of("objective", objective, OBJECTIVES)]
    for beta in betas:
        _input.positive("beta", beta)
    _input.finite(x=x)
    if x.ndim != 2:
        raise ValueError(f"x must be (examples, n), but its shape is {tuple(x.shape)}.")
    chosen = likelihood or Gaussian()
    return lambda model, rows, noise, beta: step_loss(model, rows, noise, chosen, beta)


def _batch(x: Tensor, size: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random rows of x (size, n) and noise from N(0, I) (size, d)."""
    rows = torch.randint(len(x), (_input.whole("batch_size", size),), generator=generator)
    return x[rows], torch.randn(size, d, generator=generator, dtype=x.dtype)


def _minimise(
    parameters: list[Tensor], losses_of_batch: Callable[[], Tensor], steps: int, learning_rate: float, name: str
) -> Tensor:
    """Follow Adam down the sum of the models' losses (models); return all of them (steps, models)."""
    _input.positive("learning_rate", learning_rate)
    optimiser = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _input.whole("steps", steps))
    history = []
    for step in trange(steps, desc=name, leave=False):
        losses = losses_of_batch()
        history.append(losses.detach())
        if not bool(torch.isfinite(history[-1]).all()):
            raise FloatingPointError(
                f"The loss stopped being finite at step {step} of {steps}; try a learning rate below {learning_rate}."
            )
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
        schedule.step()
    return torch.stack(history)
