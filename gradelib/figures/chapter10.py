"""Figures and tables of chapter 10: the gap against the length of training, the terms of both losses, and the race."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from gradelib._names import one_of
from gradelib.evaluation import standard_error
from gradelib.figures import COLOURS, Picture, axes, look, style

if TYPE_CHECKING:
    from gradelib.experiments import Recorded

Row = Mapping[str, Any]
Terms = Mapping[str, float]
Curves = Mapping[str, Mapping[int, Sequence[float]]]  # objective, steps, the gaps of the seeds

# What each bar is made of, from the bottom up. The first two terms belong to both losses.
GRAE_BAR, VAE_BAR = ("error", "code", "charge"), ("error", "code", "cloud")
_FILLS = {
    "error": (COLOURS["faint"], ""),
    "code": (COLOURS["muted"], ""),
    "charge": (COLOURS["diagonal"], "//"),
    "cloud": (COLOURS["learned"], ""),
}
_MEANINGS = {"β-VAE": "learned", "GRAE≈": "diagonal"}  # by what a model was trained with
_PLACES = {"left": 0.095, "right": 0.84, "bottom": 0.1, "top": 0.975}  # of the bars' panel; the legend is to its right
_BESIDE = {"left": 0.115, "right": 0.965, "bottom": 0.165, "top": 0.91, "wspace": 0.28}  # the panels of the gap
_NEAR_ZERO = 0.1  # per cent; between this and its negative the axis of the gap is linear


def terms_at_solutions(solutions: Mapping[tuple[float, int], Mapping[str, Terms]]) -> Callable[[float, int], Picture]:
    """A function of β and steps that draws GRAE≈ and the β-VAE loss, term by term, at each solution that there is.

    `solutions` maps β and steps to the objective trained with, and that to the four terms "error", "code", "charge" and
    "cloud" in nats. Raises ValueError where there is no solution, a term is missing or one is negative.
    """
    for terms in (terms for found in solutions.values() for terms in found.values()):
        if set(terms) != set(_FILLS) or not all(value >= 0 for value in terms.values()):
            raise ValueError(f"A solution has the terms {list(_FILLS)}, none of them negative, but got {dict(terms)}.")
    if not solutions or not all(solutions.values()):
        raise ValueError("Every β needs at least one solution, but there is none.")
    top = 1.1 * max(_height(terms) for found in solutions.values() for terms in found.values())
    most = max(map(len, solutions.values()))

    @style()
    def draw(beta: float, steps: int) -> Picture:
        figure, panel = axes(width=6.4, height=3.4, places=_PLACES)
        found = solutions[beta, steps]
        for place, terms in enumerate(found.values()):
            _stack(panel, place - 0.2, GRAE_BAR, terms)
            _stack(panel, place + 0.2, VAE_BAR, terms)
        panel.set_xticks(range(len(found)), [f"trained with {name}" for name in found])
        panel.tick_params(axis="x", length=0, pad=4)
        panel.set(xlim=(-0.6, most - 0.4), ylim=(0, top), ylabel="nats, without the constant")
        handles = [Patch(facecolor=c, hatch=h, edgecolor=COLOURS["ink"], lw=0.5) for c, h in _FILLS.values()]
        figure.legend(handles[::-1], list(_FILLS)[::-1], loc="upper right")
        return Picture(figure, alt=_words(found))

    return draw


def gaps_over_steps(gaps: Mapping[float, Curves]) -> Picture:
    """How much higher the β-VAE loss is than GRAE≈, in % of it, over the length of training: one panel for each β.

    `gaps` maps β to the objective trained with, that to the steps, and these to the gaps of the seeds. A bar is a
    standard error. Raises ValueError for another objective, or where there is no β.
    """
    if not gaps:
        raise ValueError("There is no β to draw a gap for.")
    with style():
        figure, panels = axes(1, len(gaps), width=5.6, height=3, places=_BESIDE, sharey=True, squeeze=False)
        for panel, (beta, curves) in zip(panels[0], gaps.items(), strict=True):
            for name, found in curves.items():
                _curve(panel, name, found)
            panel.axhline(0, color=COLOURS["muted"], linewidth=0.8)
            panel.set(xscale="log", title=f"β = {beta:g}", xlabel="steps")
            ticks = sorted({steps for found in curves.values() for steps in found})
            panel.set_xticks(ticks[::2], [f"{steps:d}" for steps in ticks[::2]])
            panel.xaxis.set_minor_locator(NullLocator())
        first = panels[0, 0]
        first.set_yscale("symlog", linthresh=_NEAR_ZERO)
        first.set_yticks([-0.1, 0, 0.1, 1, 10, 100], ["−0.1", "0", "0.1", "1", "10", "100"])
        first.yaxis.set_minor_locator(NullLocator())
        first.set(ylabel="gap, % of the loss", ylim=(-_NEAR_ZERO, 100))
        first.legend(loc="upper left")
        words = [f"at β = {beta:g}, {_ends(name, found)}" for beta, of in gaps.items() for name, found in of.items()]
        return Picture(figure, alt="The gap over the length of training. Its mean goes, " + "; ".join(words) + ".")


def _curve(panel: Axes, name: str, found: Mapping[int, Sequence[float]]) -> None:
    shown = look(_MEANINGS[one_of("objective", name, _MEANINGS)])
    line = shown["linestyle"] or "-"
    steps = sorted(found)
    errors = [standard_error(found[one]) or 0.0 for one in steps]
    panel.errorbar(
        steps, [fmean(found[one]) for one in steps], errors, **shown | {"linestyle": line, "label": f"with {name}"}
    )


def _ends(name: str, found: Mapping[int, Sequence[float]]) -> str:
    first, last = min(found), max(found)
    return (
        f"trained with {name}, from {fmean(found[first]):.3f}% after {first} steps "
        f"to {fmean(found[last]):.3f}% after {last}"
    )


def _height(terms: Terms) -> float:
    return max(sum(terms[name] for name in bar) for bar in (GRAE_BAR, VAE_BAR))


def _stack(panel: Axes, place: float, bar: Sequence[str], terms: Terms) -> None:
    floor = 0.0
    for name in bar:
        colour, hatch = _FILLS[name]
        panel.bar(place, terms[name], 0.36, floor, color=colour, hatch=hatch, edgecolor=COLOURS["ink"], linewidth=0.5)
        floor += terms[name]
    panel.annotate(
        f"{'GRAE≈' if bar is GRAE_BAR else 'β-VAE'}\n{floor:.2f}",
        (place, floor),
        (0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
    )


def _words(found: Mapping[str, Terms]) -> str:
    said = []
    for name, terms in found.items():
        promised, kept = (sum(terms[part] for part in bar) for bar in (GRAE_BAR, VAE_BAR))
        said.append(
            f"Trained with {name}: GRAE≈ is {promised:.2f} nats (error {terms['error']:.2f}, code {terms['code']:.2f}, "
            f"charge {terms['charge']:.2f}) and the β-VAE loss {kept:.2f} (the same error and code, cloud "
            f"{terms['cloud']:.2f})."
        )
    return "Two stacked bars for each solution. " + " ".join(said)


# --- recorded tables


def by_variances(fitted: Recorded, data: str) -> str:
    """What GRAE≈'s models pay more than the β-VAE's, by the formula and by both fits: a table."""
    lines = ["   β  steps seeds      formula    variances   codes too"]
    found = [(_how(row), row) for row in fitted.table if row["data"] == data]
    for how, row in sorted(found, key=lambda one: (one[0], one[1]["beta"], one[1]["steps"])):
        told = [_short(row[f"difference_{of}"], row[f"difference_{of}_error"]) for of in ("formula", "fitted", "codes")]
        line = f"{row['beta']:4g} {row['steps']:6} {row['seeds']:5} {' '.join(told)}  {how}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _short(value: float, error: float | None) -> str:
    """A signed number of two decimals in twelve characters, and its standard error where it has one."""
    return f"{value:+6.2f}" + ("      " if error is None else f" ±{error:4.2f}")


def _how(row: Row) -> str:
    """In what a training differs from the usual one."""
    return " ".join(name for name in (row["activation"], row["optimiser"]) if name not in ("softplus", "muon"))


def controls_of(recorded: Recorded, betas: Sequence[float], steps: int) -> str:
    """For each control of mnist-objectives: the gap in % of the β-VAE loss, and that loss in nats: a table."""
    lines = [f"   β  {steps} steps           seeds          gap, %      nats paid"]
    for beta in betas:
        for name, asked in _CONTROLS.items():
            job = {"objective": "grae_column", "beta": beta, "steps": steps} | asked
            rows = [row for row in recorded.rows.values() if row["state"] == "done"]
            numbers = [row["numbers"] for row in rows if job.items() <= row["job"].items()]
            if numbers:
                low, kept = (
                    ("grae", "beta_vae_full") if job["objective"] == "grae" else ("grae_bound", "beta_vae_diagonal")
                )
                gaps = [100 * (1 - found[low] / found[kept]) for found in numbers]
                told = [effect_with(fmean(v), standard_error(v)) for v in (gaps, [found[kept] for found in numbers])]
                lines.append(f"{beta:4}  {name:18} {len(numbers):6}  {told[0]}  {told[1]}")
    return "\n".join(lines)


_CONTROLS: dict[str, dict[str, str]] = {
    "GRAE≈, all columns": {"objective": "grae_bound", "control": "objective"},
    "GRAE, full Σ": {"objective": "grae", "control": "objective"},
    **{
        f"{name}, {how}": changed | {"objective": objective}
        for name, objective in (("β-VAE", "beta_vae"), ("GRAE≈", "grae_column"))
        for how, changed in (
            ("Adam", {"control": "optimiser"}),
            ("tanh", {"control": "activation", "activation": "tanh"}),
            ("relu", {"control": "activation", "activation": "relu"}),
        )
    },
}


def effect_with(value: float, error: float | None) -> str:
    """A signed number, and its standard error where it has one."""
    return f"{value:+7.3f}" + ("  one seed" if error is None else f" ± {error:5.3f}")


_SIDES = {"grae_column": "GRAE≈", "grae_quarter": "¼ of the batch", "grae_eighth": "⅛ of the batch"}
_COUNTED = ("steps", "passes", "seconds")
_Evaluate = Callable[[Sequence[Any]], Sequence[Row]]
_Race = Mapping[tuple[str, float], Mapping[str, Row]]  # the lines of the sides, by data and β


def by_setting(table: Sequence[Row]) -> _Race:
    """The lines of a table of the race by data and β, and then by side."""
    found: dict[tuple[str, float], dict[str, Row]] = {}
    for row in table:
        found.setdefault((row["data"], row["beta"]), {})[row["side"]] = row
    return found


def with_one_optimiser(race: Recorded, evaluate: _Evaluate, optimiser: str) -> _Race:
    """The table of the race by setting, as its experiment's `evaluate` makes it, where both have this optimiser."""
    return by_setting(evaluate([row for row in race.rows.values() if row["job"]["optimiser"] == optimiser]))


def best_training(
    race: Recorded, data: str, beta: float, side: str, optimisers: Sequence[str] = ("adam", "muon", "soap")
) -> tuple[tuple[str, float, int], dict[int, float]]:
    """Optimiser, rate and steps of the training of a side that ends lowest, and its held-out losses by seed."""
    found: dict[tuple[str, float, int], dict[int, float]] = {}
    for row in race.rows.values():
        job = row["job"]
        alike = (job["data"], job["control"]) == (data, side) and job["optimiser"] in optimisers
        if row["state"] == "done" and alike and beta in job["betas"]:
            how = job["optimiser"], job["learning_rate"], job["steps"]
            found.setdefault(how, {})[job["seed"]] = row["numbers"]["losses"][job["betas"].index(beta)]
    return min(found.items(), key=lambda one: fmean(one[1].values()))


def needs_of(race: Recorded) -> str:
    """Steps, passes and seconds of each side to the β-VAE's best loss, those of the β-VAE being 1: a table."""
    lines = ["steps, passes, seconds to L*; β-VAE = 1 for each"]
    lines.append(" ".join(["data      β   steps", *(f"{name:^21}" for name in _SIDES.values())]))
    for (data, beta), of in by_setting(race.table).items():
        needed = [_needs(of[side], of["beta_vae"]) for side in _SIDES if side in of]
        lines.append(" ".join([f"{data:7}{beta:5}{of['beta_vae']['steps']:8.0f}", *needed]))
    return "\n".join(lines)


def ends_of(race: Recorded) -> str:
    """The loss of the best training of each side less that of the β-VAE, seed by seed: a table."""
    lines = ["best held-out loss less that of the β-VAE, nats"]
    lines.append(" ".join(["data      β      L*", *(f"{name:^17}" for name in _SIDES.values())]))
    for (data, beta), of in by_setting(race.table).items():
        _, base = best_training(race, data, beta, "beta_vae")
        cells = [f"{data:7}{beta:5}{of['beta_vae']['target']:8.2f}"]
        for side in (side for side in _SIDES if side in of):
            _, ends = best_training(race, data, beta, side)
            pairs = [loss - base[seed] for seed, loss in ends.items() if seed in base]
            cells.append(effect_with(fmean(pairs), standard_error(pairs)))
        lines.append(" ".join(cells))
    return "\n".join(lines)


def needs_with_one_optimiser(race: Recorded, evaluate: _Evaluate) -> str:
    """What GRAE≈ ends above the β-VAE's best loss and needs to come down to it, both with one optimiser: a table."""
    lines = ["both with  data      β      L*  GRAE≈ less L*   steps, passes, seconds"]
    for optimiser in ("adam", "muon", "soap"):
        for (data, beta), of in with_one_optimiser(race, evaluate, optimiser).items():
            vae, grae = of["beta_vae"], of["grae_column"]
            less = grae["best"] - vae["best"]
            lines.append(f"{optimiser:9}  {data:7}{beta:4}{vae['best']:8.2f} {less:+13.2f}  {_needs(grae, vae)}")
    return "\n".join(lines)


def _needs(row: Row, vae: Row) -> str:
    return "".join(f"{row[of] / vae[of]:7.2f}" if row[of] and vae[of] else f"{'–':>7}" for of in _COUNTED)
