"""Figures of chapter 10: the gap against the length of training, and what both objectives charge at each solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from gradelib._names import one_of
from gradelib.evaluation import standard_error
from gradelib.figures import COLOURS, Picture, axes, look, style

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
