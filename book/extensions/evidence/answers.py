"""What each recorded experiment answers, in one sentence that is computed from its rows.

Effects have their sign, and ± is the standard error over the seeds, of differences seed by seed where both sides share
one. A number from a single seed says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from gradelib.evaluation import standard_error
from gradelib.experiments import Recorded, digits_long, digits_samples, fitted_variances, images_64
from gradelib.experiments.mnist_objectives import BOTH, STEPS

_Line = Mapping[str, Any]


def answer(found: Recorded) -> str:
    """The answer to the question of an experiment; empty while no row bears on it."""
    return _ANSWERS[found.name](found) if found.table else ""


def effect(value: float, error: float | None, *more: str) -> str:
    """A signed number with its standard error, with as many digits as the error allows: "−0.021 ± 0.004"."""
    digits = min(4, max(2, 1 - math.floor(math.log10(error)))) if error else 2
    within = "" if error is None else f" ± {error:.{digits}f}"
    notes = ", ".join((*more, *(["one seed"] if error is None else [])))
    return f"{signed(value, digits)}{within}" + f" ({notes})" * bool(notes)


def signed(value: float, digits: int = 2) -> str:
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if float(text.replace("−", "-")) else text[1:]


def _objectives(found: Recorded) -> str:
    lines = [line for line in found.table if (line["objective"], line["activation"]) == ("grae_column", "softplus")]
    losses = [
        effect(saved, line["difference_error"], f"{signed(100 * saved / (line['loss'] - saved), 1)} %")
        + f" at β = {line['beta']:g}"
        for line in lines
        if (saved := line["difference"]) is not None
    ]
    by_adam = [
        f"{effect(saved, line['adam_difference_error'])} at β = {line['beta']:g}"
        for line in lines
        if (saved := line.get("adam_difference")) is not None
    ]
    if not losses:
        return ""
    said = f"Held-out β-VAE loss when trained with GRAE≈, less that of the β-VAE, in nats: {', '.join(losses)}"
    return said + f"; with Adam in the place of Muon {', '.join(by_adam)}" * bool(by_adam) + "."


def _blocks(found: Recorded) -> str:
    settings: dict[tuple[Any, ...], dict[str, _Line]] = {}
    for line in found.table:
        settings.setdefault((line["beta"], line["latents"], line["block"]), {})[line["model"]] = line
    told = []
    for setting, of in settings.items():
        owed = [f"{_level(line, 'nats_between_blocks')} {_POSTERIORS[model]}" for model, line in of.items()]
        if "block" in of:
            turned = of["block"]["rotated_nats_between_blocks"]
            owed.append(f"{turned:.2f} with blocks and its latents turned at random")
        told.append("(β, d, b) = ({:g}, {}, {}): ".format(*setting) + ", ".join(owed))
    return f"Nats that the decoder owes between the blocks: {'; '.join(told)}."


def _level(line: _Line, name: str) -> str:
    """A number that has no sign, with its standard error."""
    if (deviation := line[f"{name}_deviation"]) is None:
        return f"{line[name]:.2f}"
    return f"{line[name]:.2f} ± {deviation / math.sqrt(line['seeds']):.2f}"


def _samples(found: Recorded) -> str:
    told = _beside_noise(found, STEPS, "distance_{}_prior")
    said = "Squared Fréchet distance of the samples of GRAE≈ less that of the β-VAE's, z from the prior"
    return f"{said}: {', '.join(told)}." if told else ""


def _small_samples(found: Recorded) -> str:
    told = []
    for steps in (digits_samples.STEPS, *digits_samples.LONGER):
        rows = _rows(found, steps=steps)
        effects = [
            f"{_mean(_between(numbers, 'unlike_grae', 'unlike_noise'))} at β = {beta:g}"
            for beta in _betas(rows)
            if (numbers := [row["numbers"] for row in rows if row["job"]["beta"] == beta])
        ]
        told += [f"after {steps:,} steps {', '.join(effects)}"] * bool(effects)
    said = "Unlikeness of GRAE≈ to the β-VAE less that of a β-VAE with other noise, for the same z from the prior"
    return f"{said}: {'; '.join(told)}." if told else ""


def _images(found: Recorded) -> str:
    told = _beside_noise(found, images_64.STEPS, "loss_{}")
    said = "Held-out β-VAE loss when trained with GRAE≈, less that of the β-VAE, in nats"
    return f"{said}: {', '.join(told)}." if told else ""


def _beside_noise(found: Recorded, steps: int, name: str) -> list[str]:
    """For each β, a number of GRAE≈ less the β-VAE's, beside that of the β-VAE with other noise."""
    rows = _rows(found, steps=steps)
    told = []
    for beta in _betas(rows):
        numbers = [row["numbers"] for row in rows if row["job"]["beta"] == beta]
        grae, noise = (
            _mean(_between(numbers, name.format(kind), name.format("beta_vae"))) for kind in ("grae", "noise")
        )
        told.append(f"{grae} at β = {beta:g} where the β-VAE with other noise has {noise}")
    return told


def _covariance(found: Recorded) -> str:
    """At the middle β, where the controls are."""
    told = [
        f"{effect(line['learned_less_formula'], line['learned_less_formula_seeds'])} {_DATA[line['data']]}, "
        f"{line['family']}{_ratio(line)}"
        for line in found.table
        if (line["beta"], line["activation"], line["steps"]) == (0.4, "softplus", STEPS)
    ]
    said = "True held-out loss with the learned Σ less that with the formula's, in nats, at β = 0.4"
    return f"{said}: {'; '.join(told)}." if told else ""


def _ratio(line: _Line) -> str:
    quantiles = line["variance_ratio"]
    return f" (median of the variances over the formula's {quantiles[1]:.2f})" if quantiles else ""


def _digits(found: Recorded) -> str:
    few, many = digits_long.LENGTHS[0], digits_long.STEPS
    trained = [(f"after {steps:,} steps", "muon", steps) for steps in (few, many)]
    told = []
    for which, optimiser, steps in (*trained, (f"after {many:,} steps of Adam", "adam", many)):
        pairs: dict[float, dict[int, dict[str, float]]] = {}
        for row in _rows(found, steps=steps, optimiser=optimiser, activation="softplus", noise_seed=None):
            job = row["job"]
            if job["control"] in ("core", "length", "optimiser"):
                losses = pairs.setdefault(job["beta"], {}).setdefault(job["seed"], {})
                losses[job["objective"]] = row["numbers"]["beta_vae_diagonal"]
        effects = [
            f"{_mean(both['grae_column'] - both['beta_vae'] for both in whole)} at β = {beta:g}"
            for beta, of_seeds in sorted(pairs.items())
            if (whole := [both for both in of_seeds.values() if len(both) == len(BOTH)])
        ]
        told += [f"{which} {', '.join(effects)}"] * bool(effects)
    said = "Held-out β-VAE loss of GRAE≈ less that of the β-VAE, in nats, trained with Muon where nothing else is said"
    return f"{said}: {'; '.join(told)}." if told else ""


def _fitted(found: Recorded) -> str:
    """At the length of the core, with Muon and softplus."""
    told = [
        ", ".join(effect(line[f"difference_{of}"], line[f"difference_{of}_error"]) for of in fitted_variances.JUDGED)
        + f" {_DATA[line['data']]} at β = {line['beta']:g}"
        for line in found.table
        if (line["activation"], line["optimiser"]) == ("softplus", "muon")
        and line["steps"] == fitted_variances.ON[line["data"]]["steps"]
    ]
    said = (
        "Held-out β-VAE loss of GRAE≈ less that of the β-VAE, in nats, by the formula, with fitted variances, and with "
        "fitted codes, too"
    )
    return f"{said}: {'; '.join(told)}." if told else ""


def _race(found: Recorded) -> str:
    told = []
    for data, beta in dict.fromkeys((line["data"], line["beta"]) for line in found.table):
        of = {line["side"]: line for line in found.table if (line["data"], line["beta"]) == (data, beta)}
        base = of.pop("beta_vae")
        best = min(of.values(), key=lambda line: line["best"], default=None)
        if best is not None:
            gap = best["best"] - base["best"]
            error = math.hypot(*(line["best_error"] or 0 for line in (best, base)))
            fastest = min((line["seconds"] for line in of.values() if line["seconds"]), default=None)
            needs = f"{fastest / base['seconds']:.2f} ×" if fastest and base["seconds"] else "not reached"
            told.append(f"{needs} {_DATA[data]} at β = {beta:g} (best loss {effect(gap, error or None)} nats)")
    said = "Seconds of GRAE≈ to the β-VAE's best held-out loss by the formula's variances, over those of the β-VAE"
    return f"{said}: {', '.join(told)}." if told else ""


def _rows(found: Recorded, **job: Any) -> list[dict[str, Any]]:
    """The finished rows whose jobs are so."""
    return [
        row
        for row in found.rows.values()
        if row["state"] == "done" and all(row["job"].get(name) == value for name, value in job.items())
    ]


def _betas(rows: Sequence[_Line]) -> list[float]:
    return sorted({row["job"]["beta"] for row in rows})


def _between(numbers: Iterable[_Line], one: str, other: str) -> list[float]:
    return [found[one] - found[other] for found in numbers if one in found]


def _mean(values: Iterable[float]) -> str:
    found = list(values)
    return effect(fmean(found), standard_error(found)) if found else "not recorded"


_DATA = {"digits": "on digits", "mnist": "on MNIST", "mnist5k": "on 5,000 digits of MNIST", "patches": "on patches"}
_POSTERIORS = {"block": "with blocks", "diagonal": "diagonal", "full": "full", "grae": "GRAE"}
_ANSWERS: dict[str, Callable[[Recorded], str]] = {
    "mnist-objectives": _objectives,
    "mnist-blocks": _blocks,
    "mnist-samples": _samples,
    "learned-covariance": _covariance,
    "digits-long": _digits,
    "digits-samples": _small_samples,
    "race": _race,
    "fitted-variances": _fitted,
    "images-64": _images,
}
