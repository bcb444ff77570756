"""One training loop for every objective, for one model or for a whole grid of them at once."""

from __future__ import annotations

import copy
import inspect
import io
import math
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from tqdm.auto import tqdm

from gradelib import _input, geometry, objectives, optimisers
from gradelib._files import write_atomically
from gradelib._names import one_of
from gradelib.likelihoods import Bernoulli, Gaussian, Likelihood
from gradelib.networks import VAE
from gradelib.optimisers import Factory

Loss = Callable[..., Tensor]
Batch = tuple[Tensor, Tensor]  # which rows of x, and noise

DEVICES = ("cpu", "cuda")
LOOK = 200  # steps from one look at the losses, and from one checkpoint, to the next


@dataclass(frozen=True)
class Fit:
    """A trained model and its loss in nats at every step (steps)."""

    model: VAE
    losses: Tensor


def _beta_vae(
    model: VAE, x: Tensor, noise: Tensor, beta: float | Tensor, *, likelihood: Likelihood, check_values: bool = True
) -> Tensor:
    q = model.posterior(x, check_values=check_values)
    g = model.decoder(q.sample(noise))
    return objectives.beta_vae(likelihood.log_prob(x, g), q.kl(), beta, check_values=check_values)


def _taylor(
    model: VAE, x: Tensor, noise: Tensor, beta: float | Tensor, *, likelihood: Likelihood, check_values: bool = True
) -> Tensor:
    q = model.posterior(x, check_values=check_values)
    g, J = geometry.linearise(model.decoder, q.mean, check_values=check_values)
    hessian = geometry.gauss_newton(J, likelihood.curvature(x, g), check_values=check_values)
    log_prob = likelihood.log_prob(x, g)
    return objectives.taylor(log_prob, hessian, q.mean, q.covariance, beta, check_values=check_values)


def _grae(
    model: VAE, x: Tensor, noise: Tensor, beta: float | Tensor, *, likelihood: Likelihood, check_values: bool = True
) -> Tensor:
    h = model.posterior(x, check_values=check_values).mean
    g, J = geometry.linearise(model.decoder, h, check_values=check_values)
    hessian = geometry.gauss_newton(J, likelihood.curvature(x, g), check_values=check_values)
    return objectives.grae(likelihood.log_prob(x, g), hessian, h, beta, check_values=check_values)


def _grae_bound(
    model: VAE, x: Tensor, noise: Tensor, beta: float | Tensor, *, likelihood: Likelihood, check_values: bool = True
) -> Tensor:
    return _grae_column(model, x, noise, beta, likelihood=likelihood, check_values=check_values, columns=model.d)


def _grae_column(
    model: VAE,
    x: Tensor,
    noise: Tensor,
    beta: float | Tensor,
    *,
    likelihood: Likelihood,
    check_values: bool = True,
    columns: int = 1,
    fraction: float = 1.0,
) -> Tensor:
    """GRAE≈ from `columns` columns drawn for each example in the first `fraction` of the batch, itself a random one."""
    h = model.posterior(x, check_values=check_values).mean
    part = math.ceil(fraction * len(x))
    drawn = noise[:part].topk(columns).indices  # the latents with the largest noise: a fair draw without replacement
    g, J = geometry.linearise(model.decoder, h, drawn, check_values=check_values)
    entries = geometry.gauss_newton_diagonal(J, likelihood.curvature(x[:part], g[:part]), check_values=check_values)
    return objectives.grae_column(likelihood.log_prob(x, g), entries, h, beta, check_values=check_values)


def _autoencoder(
    model: VAE,
    x: Tensor,
    noise: Tensor,
    beta: float | Tensor,
    *,
    likelihood: Likelihood,
    check_values: bool = True,
    codes: float = 0.0,
) -> Tensor:
    """No noise and no charge: −log p(x | h) + codes · ½β‖h‖², where `codes` is 0 for the plain autoencoder."""
    h = model.posterior(x, check_values=check_values).mean
    code = 0.5 * beta * h.square().sum(-1)
    return (codes * code - likelihood.log_prob(x, model.decoder(h))).mean()


def _rae(
    model: VAE, x: Tensor, noise: Tensor, beta: float | Tensor, *, likelihood: Likelihood, check_values: bool = True
) -> Tensor:
    """The regularised autoencoder of Ghosh et al. (2020) with gradient penalty: −log p + ½β‖h‖² − ½ tr JᵀHJ.

    The trace comes from one column drawn for each example, as in `_grae_column`, whose charge it is for small JᵀHJ/β.
    """
    h = model.posterior(x, check_values=check_values).mean
    g, J = geometry.linearise(model.decoder, h, noise.topk(1).indices, check_values=check_values)
    entries = geometry.gauss_newton_diagonal(J, likelihood.curvature(x, g), check_values=check_values)
    penalty = beta * h.square().sum(-1) - model.d * entries.squeeze(-1)
    return (0.5 * penalty - likelihood.log_prob(x, g)).mean()


# Each maps a model, examples x (batch, n), noise from N(0, I) (batch, d), β, a likelihood, whether to check values, and
# its own options, to a scalar loss. The deterministic ones use the encoder's mean only.
OBJECTIVES: dict[str, Loss] = {
    "beta_vae": _beta_vae,
    "taylor": _taylor,
    "grae": _grae,
    "grae_bound": _grae_bound,
    "grae_column": _grae_column,
    "autoencoder": _autoencoder,
    "rae": _rae,
}


def fit(
    model: VAE,
    x: Tensor,
    *,
    beta: float,
    seed: int = 0,
    noise_seed: int | None = None,
    objective: str | Loss = "beta_vae",
    likelihood: Likelihood | None = None,
    steps: int = 2500,
    learning_rate: float = 0.02,
    optimiser: str | Factory = "muon",
    batch_size: int = 128,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    **options: Any,
) -> Fit:
    """Train `model` in place on the rows of x (examples, n); return it with its losses.

    The learning rate falls to zero along half a cosine, so that the end is a point and not a cloud around it. Batches
    and noise depend on `seed` alone; a `noise_seed` gives other noise to the same batches. The likelihood is N(x; g, I)
    unless another is given. The model and x share one dtype. `optimiser` is one of `optimisers.OPTIMISERS`, or a
    function of the parameters and the learning rate that returns one. The steps run on `device`; "auto" is what the
    environment's GRADELIB_DEVICE names, the CPU without it. The model then comes back to where x is. The losses are
    looked at every 200 steps, and nothing passes between the host and a GPU in between.

    `objective` is one of `OBJECTIVES`, or a function like them. `grae_column` has the options `columns` (1) and
    `fraction` of the batch (1.0), `autoencoder` has `codes` (0.0), the share of ½β‖h‖² that is charged.
    With a file name as `checkpoint`, the state is written there from time to time, and a run that was cut off goes on
    from it as if nothing had happened.

    Raises ValueError for an unknown objective, optimiser, device or option, a GPU that is not there, β ≤ 0, NaN in x, a
    batch size or number of steps below 1, a network that mixes the examples of a batch or draws at random (batch
    normalisation, dropout), or the checkpoint of another run, and FloatingPointError, with the step and what went wrong
    in it, when the loss stops being finite.
    """
    loss = _prepare(objective, x, [beta], likelihood, [model], options)
    place = place_of(device)
    model.to(place)
    seeds = (seed, noise_seed)
    how = (_name_of(objective), options, likelihood, beta, *seeds, batch_size, learning_rate, _name_of(optimiser))
    generator = _input.generator(seed)
    other = None if noise_seed is None else _input.generator(noise_seed)
    rows, beta_there = x.to(place), torch.tensor(beta, dtype=x.dtype, device=place)

    def losses_of(chosen: Tensor, noise: Tensor, check_values: bool = False) -> Tensor:
        return loss(model, rows[chosen], noise, beta_there, check_values=check_values).unsqueeze(0)

    def look_at(_: int, chosen: Tensor, noise: Tensor) -> Tensor:
        return losses_of(chosen, noise, check_values=True)

    def draw() -> Batch:
        return _draw(len(x), batch_size, model.d, x.dtype, generator, other)

    losses = _minimise(
        list(model.parameters()),
        draw=draw,
        losses_of=losses_of,
        look_at=look_at,
        names=[f"β = {beta}"],
        steps=steps,
        learning_rate=learning_rate,
        optimiser=partial(optimisers.make, optimiser),
        checkpoint=_Checkpoint(checkpoint, [generator, *([other] if other else [])], _identity(x, *how)),
    )
    model.to(x.device)
    return Fit(model, losses[:, 0])


def fit_grid(
    make: Callable[[int], VAE],
    x: Tensor,
    *,
    betas: Sequence[float],
    seeds: Sequence[int],
    noise_seeds: Sequence[int] | None = None,
    objective: str | Loss = "beta_vae",
    likelihood: Likelihood | None = None,
    steps: int = 2500,
    learning_rate: float = 0.02,
    optimiser: str | Factory = "muon",
    batch_size: int = 128,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    **options: Any,
) -> dict[tuple[float, int], Fit]:
    """Train a model for every β and seed at once: what `fit(make(seed), x, beta=β, seed=seed)` gives, but faster.

    `make` builds the untrained model of a seed. All models take a step together, as one batch of small matrices. Models
    of one seed see the same batches and noise; `noise_seeds`, one for each seed, give other noise to the same batches.
    A function as `optimiser` gets parameters with an axis of models in front, so it must treat each number on its own.
    The result maps (β, seed) to its `Fit`. Raises what `fit` raises.
    """
    keys = [(beta, seed) for beta in betas for seed in seeds]
    if not keys or len(set(keys)) < len(keys):
        raise ValueError(f"A grid needs different betas and different seeds, but got {list(betas)} and {list(seeds)}.")
    if noise_seeds is not None and len(noise_seeds) != len(seeds):
        raise ValueError(f"Each seed needs a noise seed, but there are {len(seeds)} and {len(noise_seeds)}.")
    models = [make(seed) for _, seed in keys]
    loss = _prepare(objective, x, betas, likelihood, models, options)
    place = place_of(device)
    skeleton = _Loss(copy.deepcopy(models[0]).to("meta"), loss)
    weights, _ = stack_module_state([_Loss(model.to(place), loss) for model in models])
    generators = {seed: _input.generator(seed) for seed in seeds}
    others = {seed: _input.generator(noise_seed) for seed, noise_seed in zip(seeds, noise_seeds or (), strict=False)}
    how = (_name_of(objective), options, likelihood, keys, noise_seeds)
    run = _identity(x, *how, batch_size, learning_rate, _name_of(optimiser))
    rows, beta = x.to(place), torch.tensor([beta for beta, _ in keys], dtype=x.dtype, device=place)

    def draw() -> Batch:
        drawn = {
            seed: _draw(len(x), batch_size, models[0].d, x.dtype, generator, others.get(seed))
            for seed, generator in generators.items()
        }
        chosen, noise = (torch.stack([drawn[seed][part] for _, seed in keys]) for part in (0, 1))
        return chosen, noise

    def loss_of_one(weights: dict[str, Tensor], *inputs: Tensor, check_values: bool = False) -> Tensor:
        return functional_call(skeleton, weights, inputs, {"check_values": check_values})

    def losses_of(chosen: Tensor, noise: Tensor) -> Tensor:
        return vmap(loss_of_one)(weights, rows[chosen], noise, beta)

    def look_at(index: int, chosen: Tensor, noise: Tensor) -> Tensor:
        own = {name: w[index] for name, w in weights.items()}
        return loss_of_one(own, rows[chosen[index]], noise[index], beta[index], check_values=True)

    losses = _minimise(
        list(weights.values()),
        draw=draw,
        losses_of=losses_of,
        look_at=look_at,
        names=[f"β = {beta}, seed {seed}" for beta, seed in keys],
        steps=steps,
        learning_rate=learning_rate,
        optimiser=partial(optimisers.make, optimiser, leading=1),
        checkpoint=_Checkpoint(checkpoint, [*generators.values(), *others.values()], run),
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

    def forward(self, *inputs: Tensor, check_values: bool) -> Tensor:
        return self.loss(self.model, *inputs, check_values=check_values)


class _Checkpoint:
    """The state of a run in a file that is whole at every moment, whenever the run is killed."""

    def __init__(self, path: str | Path | None, generators: list[torch.Generator], run: str) -> None:
        self.path, self.generators, self.run = Path(path) if path else None, generators, run

    def restore(self, parameters: list[Tensor], history: Tensor, parts: dict[str, Any]) -> int:
        """Put everything back to where the file has it; return the number of steps that are done."""
        if not self.path or not self.path.exists():
            return 0
        try:
            state = torch.load(self.path, map_location=parameters[0].device, weights_only=True)
            lost = {"run", "step", "parameters", "generators", "history", *parts} - {*state}
        except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError):
            lost = {"everything"}
        if lost:
            raise ValueError(f"The file {self.path} is no whole checkpoint; remove it, and the run begins anew.")
        if state["run"] != self._run_of(parameters, history):
            raise ValueError(f"The checkpoint {self.path} belongs to another run; remove it or choose another file.")
        with torch.no_grad():
            for parameter, saved in zip(parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved.cpu())
        for name, part in parts.items():
            part.load_state_dict(state[name])
        history[: state["step"]] = state["history"]
        return state["step"]

    def save(self, step: int, parameters: list[Tensor], history: Tensor, parts: dict[str, Any]) -> None:
        """Write the state after `step` steps."""
        if not self.path:
            return
        state = {
            "run": self._run_of(parameters, history),
            "step": step,
            "parameters": [parameter.detach() for parameter in parameters],
            "generators": [generator.get_state() for generator in self.generators],
            "history": history[:step].clone(),
            **{name: part.state_dict() for name, part in parts.items()},
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.path, buffer.getvalue())

    def _run_of(self, parameters: list[Tensor], history: Tensor) -> str:
        return f"{self.run} {tuple(history.shape)} {[tuple(parameter.shape) for parameter in parameters]}"


def _prepare(
    objective: str | Loss,
    x: Tensor,
    betas: Sequence[float],
    likelihood: Likelihood | None,
    models: Sequence[VAE],
    options: dict[str, Any],
) -> Loss:
    """The loss of one step, once everything that can be refused has been looked at.

    Unlike those in `OBJECTIVES` it has its likelihood and its options, and looks at values only if asked to.
    """
    loss = OBJECTIVES[one_of("objective", objective, OBJECTIVES)] if isinstance(objective, str) else objective
    _check_options(loss, _name_of(objective), options, min(model.d for model in models))
    for beta in betas:
        _input.positive("beta", beta)
    _input.finite(x=x)
    if x.ndim != 2 or not len(x):
        raise ValueError(f"x must be (examples, n) with at least one example, but its shape is {tuple(x.shape)}.")
    for dtype in {parameter.dtype for model in models for parameter in model.parameters()} - {x.dtype}:
        raise ValueError(f"The model and x must share one dtype, but the model is {dtype} and x is {x.dtype}.")
    for model in models:  # the losses and the derivatives are those of single examples
        place = next(model.parameters(), x).device
        codes = torch.randn(16, model.d, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
        geometry.refuse_mixing(model.decoder, codes.to(place), "the decoder")
        geometry.refuse_mixing(model.encoder, x[:1].expand(16, -1).to(place), "the encoder")
    checking = likelihood or Gaussian()
    quick = replace(checking, check_values=False) if isinstance(checking, Gaussian | Bernoulli) else checking

    def of_step(*inputs: Any, check_values: bool = False) -> Tensor:
        used = checking if check_values else quick
        return loss(*inputs, likelihood=used, check_values=check_values, **options)

    return of_step


def _check_options(loss: Loss, objective: str, options: dict[str, Any], d: int) -> None:
    parameters = inspect.signature(loss).parameters
    known = [name for name, p in parameters.items() if p.default is not p.empty and name != "check_values"]
    for name in options:
        one_of(f"option of {objective}", name, known or ["(it has none)"])
    columns, fraction = options.get("columns", 1), options.get("fraction", 1.0)
    if _input.whole("columns", columns) > d:
        raise ValueError(f"columns must not exceed the {d} latents, but it is {columns}.")
    _input.positive("fraction", fraction)
    if fraction > 1:
        raise ValueError(f"fraction must not exceed 1, but it is {fraction}.")
    if not 0 <= (codes := options.get("codes", 0.0)) <= 1:
        raise ValueError(f"codes must be a share from 0 to 1, but it is {codes}.")


def _identity(x: Tensor, *settings: object) -> str:
    """A text that two runs share only if they do the same to the same data."""
    return f"{tuple(x.shape)} {x.sum():.6g} {settings}"


def place_of(device: str) -> torch.device:
    """The device of that name; "auto" is what the environment's GRADELIB_DEVICE names, and the CPU without it.

    Raises ValueError for an unknown name, or where torch finds no GPU.
    """
    if device == "auto":
        device = os.environ.get("GRADELIB_DEVICE") or "cpu"
    if one_of("device", device.split(":")[0], DEVICES) == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch finds no GPU on this machine; take the device 'cpu'.")
    return torch.device(device)


def _name_of(part: str | Factory | Loss) -> str:
    return part if isinstance(part, str) else getattr(part, "__qualname__", repr(part))


def _draw(
    examples: int, size: int, d: int, dtype: torch.dtype, generator: torch.Generator, other: torch.Generator | None
) -> Batch:
    """Indices of random rows (size) and noise from N(0, I) (size, d), on the CPU so that a seed means one thing.

    `other` gives other noise and leaves the indices as they are.
    """
    chosen = torch.randint(examples, (_input.whole("batch_size", size),), generator=generator)
    noise = torch.randn(size, d, generator=generator, dtype=dtype)
    return chosen, noise if other is None else torch.randn(size, d, generator=other, dtype=dtype)


def _minimise(
    parameters: list[Tensor],
    *,
    draw: Callable[[], Batch],
    losses_of: Callable[..., Tensor],
    look_at: Callable[..., Tensor],
    names: Sequence[str],
    steps: int,
    learning_rate: float,
    optimiser: Callable[[list[Tensor], float], torch.optim.Optimizer],
    checkpoint: _Checkpoint,
) -> Tensor:
    """Go down the sum of the models' losses (models); return all of them (steps, models), on the CPU.

    Between two looks at the losses nothing passes between the host and the device. Where a loss is not finite, the
    steps since the last look are done again one by one, and `look_at(index, *batch)`, the loss of one model with every
    check, says what went wrong.
    """
    made = optimiser(parameters, learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(made, _input.whole("steps", steps))
    parts = {"optimiser": made, "schedule": schedule}
    history = torch.empty(steps, len(names), dtype=parameters[0].dtype)
    done = checkpoint.restore(parameters, history, parts)

    def step(batch: Batch, look: Callable[[Tensor], None] | None = None) -> Tensor:
        losses = losses_of(*batch)
        if look:
            look(losses)
        made.zero_grad()
        losses.sum().backward()
        made.step()
        schedule.step()
        return losses.detach()

    def explain(batch: Batch, at: int, losses: Tensor) -> None:
        if not bool(torch.isfinite(losses).all()):
            index = int(torch.isfinite(losses).logical_not().nonzero()[0])
            raise FloatingPointError(
                f"The loss of {names[index]} stopped being finite at step {at} of {steps}: "
                f"{_reason(partial(look_at, index), batch)} Try a learning rate below {learning_rate}."
            )

    with tqdm(initial=done, total=steps, leave=False, disable=not _watched()) as bar:
        while done < steps:
            before = _copy_of(parameters, parts)
            batches = _on_device([draw() for _ in range(min(LOOK - done % LOOK, steps - done))], parameters[0].device)
            losses = torch.stack([step(batch) for batch in batches]).cpu()
            if not bool(torch.isfinite(losses).all()):
                _put_back(before, parameters, parts)
                for at, batch in enumerate(batches, start=done):
                    step(batch, partial(explain, batch, at))
            history[done : done + len(batches)] = losses
            done += len(batches)
            bar.update(len(batches))
            checkpoint.save(done, parameters, history, parts)
    return history


def _on_device(batches: list[Batch], place: torch.device) -> list[Batch]:
    """The batches of the steps to come, sent in one piece."""
    chosen, noise = (torch.stack(part).to(place) for part in zip(*batches, strict=True))
    return list(zip(chosen, noise, strict=True))


def _copy_of(parameters: list[Tensor], parts: dict[str, Any]) -> tuple[list[Tensor], dict[str, Any]]:
    states = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    return [parameter.detach().clone() for parameter in parameters], states


def _put_back(copies: tuple[list[Tensor], dict[str, Any]], parameters: list[Tensor], parts: dict[str, Any]) -> None:
    with torch.no_grad():
        for parameter, saved in zip(parameters, copies[0], strict=True):
            parameter.copy_(saved)
    for name, part in parts.items():
        part.load_state_dict(copies[1][name])


def _reason(loss: Callable[..., Tensor], batch: Iterable[Tensor]) -> str:
    """What the checks of the functions inside `loss` say of this batch."""
    try:
        loss(*batch)
    except ValueError as error:
        return str(error)
    return "every term is finite, but not their sum."


def _watched() -> bool:
    """Whether somebody watches: a terminal, or a notebook that can ask for input, as no test and no build can."""
    if os.environ.get("TQDM_DISABLE"):  # tqdm's own switch, set where many runs share one terminal
        return False
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel = getattr(shell, "kernel", None)
    return sys.stderr.isatty() if kernel is None else bool(getattr(kernel, "_allow_stdin", False))
