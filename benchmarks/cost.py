"""What a step costs: against the β-VAE's, against other ways to get the Jacobian, over sizes, in memory."""

from __future__ import annotations

import importlib.util
import itertools
import multiprocessing
import re
import resource
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.steps import BETA, adam_stepper, device, perceptron, stepper
from gradelib import datasets, networks, objectives, training
from gradelib.likelihoods import Gaussian

CHEAP = {"fraction": 0.25}
DIMENSIONS = (8, 32, 128)
MEMORY_DIMENSIONS = (8, 32, 64, 128)


def columns(rounds: int) -> dict[str, timing.Ratio]:
    """GRAE≈ / β-VAE step, from one column for each example and from one for a quarter of them."""
    table = {}
    for d in (*DIMENSIONS[:1], 16, *DIMENSIONS[1:]):
        found = timing.ratios(
            {
                "β-VAE": stepper(*perceptron(d), "beta_vae"),
                "GRAE≈": stepper(*perceptron(d), "grae_column"),
                "GRAE≈, a quarter": stepper(*perceptron(d), "grae_column", **CHEAP),
            },
            rounds=rounds,
            repeats=3,
        )
        table |= {f"{name}, d = {d}": ratio for name, ratio in found.items()}
    return table


def exact(rounds: int) -> dict[str, timing.Ratio]:
    """Exact GRAE / β-VAE step; the target is (2 + d)/2."""
    table = {}
    for d in DIMENSIONS:
        candidates = {"β-VAE": stepper(*perceptron(d), "beta_vae"), "GRAE": stepper(*perceptron(d), "grae")}
        found = timing.ratios(candidates, rounds=max(2, rounds * 8 // (d + 8)))
        table[f"GRAE, d = {d}, target {(2 + d) / 2:.0f}"] = found["GRAE"]
    return table


def growth(rounds: int) -> dict[str, float]:
    """Exponents of the time of a GRAE≈ and of a GRAE step in d, n and the batch."""
    axes = {
        "d": [({"d": d}, d) for d in (16, 32, 64)],
        "n": [({"d": 8, "n": n}, n) for n in (392, 784, 1568)],
        "batch": [({"d": 8, "batch": batch}, batch) for batch in (32, 64, 128)],
    }
    table = {}
    for objective in ("grae_column", "grae"):
        for axis, cases in axes.items():
            runs = {str(size): stepper(*perceptron(**case), objective) for case, size in cases}
            found = timing.ratios(runs, rounds=max(2, rounds // 4))
            table[f"{objective} in {axis}"] = timing.growth(
                [size for _, size in cases], [ratio.milliseconds for ratio in found.values()]
            )
    return table


def jacobians(rounds: int) -> dict[str, timing.Ratio]:
    """A step of exact GRAE with our Jacobian against one with torch.autograd.functional.jacobian in a loop."""
    candidates = {"ours": stepper(*perceptron(8, batch=8), "grae"), "autograd.functional": _loop_stepper()}
    return timing.ratios(candidates, rounds=max(2, rounds // 4))


def _loop_stepper() -> Callable[[], None]:
    model, x = perceptron(8, batch=8)

    def loss(_: Tensor) -> Tensor:
        h = model.posterior(x, check_values=False).mean
        # create_graph is off by default, and then the regulariser would silently not train
        rows = [torch.autograd.functional.jacobian(model.decoder, row, create_graph=True) for row in h]
        J = torch.stack(rows)
        log_prob = Gaussian(check_values=False).log_prob(x, model.decoder(h))
        return objectives.grae(log_prob, -(J.mT @ J), h, BETA, check_values=False)

    return adam_stepper(list(model.parameters()), loss, lambda: x)


def grid(rounds: int) -> dict[str, timing.Ratio]:
    """18 digits models one after another against all at once, as the book trains them (float64) and in float32."""
    table = {}
    for dtype in (torch.float64, torch.float32):
        for objective in ("beta_vae", "grae_column"):
            found = timing.ratios(_grid_and_turns(dtype, objective), rounds=max(2, rounds // 5), warm_up=0)
            table[f"{objective}, {str(dtype).removeprefix('torch.')}: in turn / together"] = found["in turn"]
    return table


def _grid_and_turns(dtype: torch.dtype, objective: str, steps: int = 40) -> dict[str, Callable[[], None]]:
    x = datasets.load("digits", dtype).train
    betas, seeds = (0.02, 0.06, 0.1, 0.4, 0.6, 0.8), (0, 1, 2)

    def make(seed: int) -> networks.VAE:
        return networks.mlp_vae(64, 8, seed=seed).to(dtype)

    def together() -> None:
        training.fit_grid(make, x, betas=betas, seeds=seeds, steps=steps, objective=objective)

    def in_turn() -> None:
        for beta, seed in itertools.product(betas, seeds):
            training.fit(make(seed), x, beta=beta, seed=seed, steps=steps, objective=objective)

    return {"together": together, "in turn": in_turn}


def pythae(rounds: int) -> dict[str, timing.Ratio] | str:
    """Our steps against those of pythae's BetaVAE and RAE_GP on the same perceptron, where it is installed."""
    if not _has_pythae():
        return "pythae is not installed; pip install pythae to compare with it."
    return timing.ratios(
        {
            "ours: β-VAE": stepper(*perceptron(16), "beta_vae"),
            "pythae: BetaVAE": _pythae_stepper("BetaVAE", "BetaVAEConfig"),
            "ours: GRAE≈": stepper(*perceptron(16), "grae_column"),
            "pythae: RAE_GP": _pythae_stepper("RAE_GP", "RAE_GP_Config"),
        },
        rounds=rounds,
        repeats=3,
    )


def _has_pythae() -> bool:
    return importlib.util.find_spec("pythae") is not None


def _pythae_stepper(kind: str, config: str) -> Callable[[], None]:
    """A step of pythae's model and configuration of these names, on the perceptron with d = 16."""
    from pythae import models
    from pythae.data.datasets import DatasetOutput
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self, net: torch.nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> ModelOutput:
            mean, log_covariance = self.net(x).chunk(2, -1)
            return ModelOutput(embedding=mean, log_covariance=log_covariance)

    class Decoder(BaseDecoder):
        def __init__(self, net: torch.nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z))

    ours, x = perceptron(16)
    plain = torch.nn.Sequential(*ours.decoder)  # without our own way to push derivatives
    settings = getattr(models, config)(input_dim=(784,), latent_dim=16)
    net = getattr(models, kind)(settings, Encoder(ours.encoder), Decoder(plain)).to(device())
    batch = DatasetOutput(data=x)
    return adam_stepper(list(net.parameters()), lambda _: net(batch).loss, lambda: x)


def memory(rounds: int) -> dict[str, float]:
    """The peak memory in MiB that three runs add, each in a process of its own."""
    cases = [name for name in _memory_cases() if _has_pythae() or "pythae" not in name]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        table = dict(zip(cases, pool.map(_peak, cases, chunksize=1), strict=True))
    exact = [d for d in MEMORY_DIMENSIONS if d > 8]
    table["exponent of grae in d"] = timing.growth(exact, [table[f"grae, d = {d}"] for d in exact])
    return table


def _memory_cases() -> dict[str, Callable[[], Callable[[], object]]]:
    """What is measured, by name: how to prepare it. What this returns is then run."""
    sizes = {"beta_vae": DIMENSIONS, "grae_column": DIMENSIONS, "grae": MEMORY_DIMENSIONS}
    steps = {
        f"{objective}, d = {d}": lambda objective=objective, d=d: stepper(*perceptron(d), objective)
        for objective, dimensions in sizes.items()
        for d in dimensions
    }
    grids = {
        f"{objective}, 18 digits models {how}": lambda objective=objective, how=how: _grid_and_turns(
            torch.float64, objective, steps=10
        )[how]
        for objective in ("beta_vae", "grae_column")
        for how in ("in turn", "together")
    }
    return steps | {
        "grae, d = 8, batch 8": lambda: stepper(*perceptron(8, batch=8), "grae"),
        "autograd.functional, d = 8, batch 8": _loop_stepper,
        "grae_column, d = 16": lambda: stepper(*perceptron(16), "grae_column"),
        "pythae: BetaVAE, d = 16": lambda: _pythae_stepper("BetaVAE", "BetaVAEConfig"),
        "pythae: RAE_GP, d = 16": lambda: _pythae_stepper("RAE_GP", "RAE_GP_Config"),
        **grids,
    }


def _peak(case: str) -> float:
    torch.set_num_threads(1)
    stepper(*perceptron(2), "beta_vae")()  # what torch takes once, whatever it does
    run = _memory_cases()[case]()
    before = _highest()
    for _ in range(3):
        run()
    return round((_highest() - before) / 2**20, 1)


def _highest() -> int:
    """The most bytes this process, or on a GPU torch, has held so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")  # getrusage would count the parent's memory, too
    if status.exists():
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status.read_text(encoding="ascii"))[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
