"""One training loop for every objective, for one model or for a whole grid of them at once."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from tqdm.auto import trange

from gradelib import _input, objectives
from gradelib._names import one_of
from gradelib.likelihoods import Gaussian, Likelihood
from gradelib.networks import VAE

Loss = Callable[..., Tensor]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Fit:
    """A trained model and its loss in nats at every step (steps)."""

    model: VAE
    losses: Tensor


def _beta_vae(model: VAE, x: Tensor, noise: Tensor, beta: float | Tensor, *, likelihood: Likelihood) -> Tensor:
    q = model.posterior(x)
    reconstruction = model.decoder(q.sample(noise))
    return objectives.beta_vae(likelihood.log_prob(x, reconstruction), q.kl(), beta)


# Each maps a model, examples x (batch, n), noise from N(0, I) (batch, d), β and a likelihood to a scalar loss.
OBJECTIVES: dict[str, Loss] = {"beta_vae": _beta_vae}


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
    device: str = "auto",
) -> Fit:
    """Train `model` in place on the rows of x (examples, n) with Adam; return it with its losses.

    The learning rate falls to zero along half a cosine, so that the end is a point and not a cloud around it. Batches
    and noise depend on `seed` alone. The likelihood is N(x; g, I) unless another is given. The model and x share one
    dtype. The steps run on `device`, where "auto" is a GPU if there is one; the model then comes back to where x is.

    Raises ValueError for an unknown objective, β ≤ 0, NaN in x or a batch size or number of steps below 1, and
    FloatingPointError, with the step and what went wrong in it, when the loss stops being finite.
    """
    loss = _prepare(objective, x, [beta], likelihood, [model])
    place = _place(device)
    model.to(place)
    generator = torch.Generator().manual_seed(seed)

    def losses_of(rows: Tensor, noise: Tensor) -> Tensor:
        return loss(model, rows, noise, beta).unsqueeze(0)

    losses = _minimise(
        list(model.parameters()),
        draw=lambda: _batch(x, batch_size, model.d, generator, place),
        losses_of=losses_of,
        inspect=lambda _, *batch: losses_of(*batch),
        names=[f"β = {beta}"],
        steps=steps,
        learning_rate=learning_rate,
    )
    model.to(x.device)
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
    device: str = "auto",
) -> dict[tuple[float, int], Fit]:
    """Train a model for every β and seed at once: what `fit(make(seed), x, beta=β, seed=seed)` gives, but faster.

    `make` builds the untrained model of a seed. All models take a step together, as one batch of small matrices. Models
    of one seed see the same batches and noise. The result maps (β, seed) to its `Fit`. Raises what `fit` raises.
    """
    keys = [(beta, seed) for beta in betas for seed in seeds]
    if not keys or len(set(keys)) < len(keys):
        raise ValueError(f"A grid needs different betas and different seeds, but got {list(betas)} and {list(seeds)}.")
    models = [make(seed) for _, seed in keys]
    loss = _prepare(objective, x, betas, likelihood, models)
    place = _place(device)
    skeleton = _Loss(copy.deepcopy(models[0]).to("meta"), loss)
    weights, _ = stack_module_state([_Loss(model.to(place), loss) for model in models])
    generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
    beta = torch.tensor([beta for beta, _ in keys], dtype=x.dtype, device=place)

    def draw() -> Batch:
        drawn = {seed: _batch(x, batch_size, models[0].d, generator, place) for seed, generator in generators.items()}
        rows, noise = (torch.stack([drawn[seed][part] for _, seed in keys]) for part in (0, 1))
        return rows, noise

    def loss_of_one(weights: dict[str, Tensor], *inputs: Tensor) -> Tensor:
        return functional_call(skeleton, weights, inputs)

    def inspect(index: int, *batch: Tensor) -> Tensor:
        return loss_of_one({name: w[index] for name, w in weights.items()}, *(part[index] for part in (*batch, beta)))

    losses = _minimise(
        list(weights.values()),
        draw=draw,
        losses_of=lambda *batch: vmap(loss_of_one)(weights, *batch, beta),
        inspect=inspect,
        names=[f"β = {beta}, seed {seed}" for beta, seed in keys],
        steps=steps,
        learning_rate=learning_rate,
    )
    for index, model in enumerate(models):
        trained = {name.removeprefix("model."): w[index] for name, w in weights.items()}
        model.to(x.device).load_state_dict(trained)
    return {key: Fit(model, losses[:, index]) for index, (key, model) in enumerate(zip(keys, models, strict=True))}


class _Loss(nn.Module):
    """A model together with its loss, so that `functional_call` can replace the weights of both halves."""

    def __init__(self, model: VAE, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.loss(self.model, *inputs)


def _prepare(
    objective: str, x: Tensor, betas: Sequence[float], likelihood: Likelihood | None, models: Iterable[VAE]
) -> Loss:
    """The loss of one step, once everything that can be refused has been looked at."""
    loss = OBJECTIVES[one_of("objective", objective, OBJECTIVES)]
    for beta in betas:
        _input.positive("beta", beta)
    _input.finite(x=x)
    if x.ndim != 2 or not len(x):
        raise ValueError(f"x must be (examples, n) with at least one example, but its shape is {tuple(x.shape)}.")
    for dtype in {parameter.dtype for model in models for parameter in model.parameters()} - {x.dtype}:
        raise ValueError(f"The model and x must share one dtype, but the model is {dtype} and x is {x.dtype}.")
    return partial(loss, likelihood=likelihood or Gaussian())


def _place(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _batch(x: Tensor, size: int, d: int, generator: torch.Generator, place: torch.device) -> Batch:
    """Random rows of x (size, n) and noise from N(0, I) (size, d), drawn on the CPU so that a seed means one thing."""
    rows = torch.randint(len(x), (_input.whole("batch_size", size),), generator=generator)
    noise = torch.randn(size, d, generator=generator, dtype=x.dtype)
    return x[rows.to(x.device)].to(place), noise.to(place)


def _minimise(
    parameters: list[Tensor],
    *,
    draw: Callable[[], Batch],
    losses_of: Callable[..., Tensor],
    inspect: Callable[..., Tensor],
    names: Sequence[str],
    steps: int,
    learning_rate: float,
) -> Tensor:
    """Follow Adam down the sum of the models' losses (models); return all of them (steps, models), on the CPU.

    `inspect(index, *batch)` is the loss of one model alone, where every value is looked at: it explains a divergence.
    """
    _input.positive("learning_rate", learning_rate)
    optimiser = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _input.whole("steps", steps))
    history = torch.empty(steps, len(names), dtype=parameters[0].dtype)
    for step in trange(steps, leave=False, disable=not _watched()):
        batch = draw()
        with _input.trusted():
            losses = losses_of(*batch)
        history[step] = losses.detach()
        if not bool(torch.isfinite(history[step]).all()):
            index = int(torch.isfinite(history[step]).logical_not().nonzero()[0])
            raise FloatingPointError(
                f"The loss of {names[index]} stopped being finite at step {step} of {steps}: "
                f"{_reason(partial(inspect, index), batch)} Try a learning rate below {learning_rate}."
            )
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
        schedule.step()
    return history


def _reason(loss: Callable[..., Tensor], batch: Batch) -> str:
    """What the checks of the functions inside `loss` say of this batch."""
    try:
        loss(*batch)
    except ValueError as error:
        return str(error)
    return "every term is finite, but not their sum."


def _watched() -> bool:
    """Whether somebody watches: a terminal, or a notebook that can ask for input, as no test and no build can."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel = getattr(shell, "kernel", None)
    return sys.stderr.isatty() if kernel is None else bool(getattr(kernel, "_allow_stdin", False))
