"""Figures of chapter 10: what both objectives charge at each solution, and how far apart they are over β."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from gradelib._names import one_of
from gradelib.figures import COLOURS, Picture, axes, look, style

Terms = Mapping[str, float]

# What each bar is made of, from the bottom up. The first two terms belong to both losses.
GRAE_BAR, VAE_BAR = ("error", "code", "charge"), ("error", "code", "width", "blur")
_FILLS = {
    "error": (COLOURS["faint"], ""),
    "code": (COLOURS["muted"], ""),
    "charge": (COLOURS["diagonal"], "//"),
    "width": (COLOURS["block"], "\\\\"),
    "blur": (COLOURS["learned"], ""),
}
_MEANINGS = {"β-VAE": "learned", "GRAE≈": "diagonal", "GRAE": "full"}  # by what a model was trained with


def terms_at_solutions(solutions: Mapping[float, Mapping[str, Terms]]) -> Callable[[float], Picture]:
    """A function of β that draws GRAE≈ and the β-VAE loss, term by term, at each solution that there is at this β.

    `solutions` maps β to the objective trained with, and that to the five terms "error", "code", "charge", "width" and
    "blur" in nats. Raises ValueError where there is no solution, a term is missing or one is negative.
    """
    for terms in (terms for found in solutions.values() for terms in found.values()):
        if set(terms) != set(_FILLS) or not all(value >= 0 for value in terms.values()):
            raise ValueError(f"A solution has the terms {list(_FILLS)}, none of them negative, but got {dict(terms)}.")
    if not solutions or not all(solutions.values()):
        raise ValueError("Every β needs at least one solution, but there is none.")
    top = 1.06 * max(_height(terms) for found in solutions.values() for terms in found.values())
    most = max(map(len, solutions.values()))

    @style()
    def draw(beta: float) -> Picture:
        figure, panel = axes(width=6.4, height=3.6)
        found = solutions[beta]
        for place, terms in enumerate(found.values()):
            _stack(panel, place - 0.2, GRAE_BAR, terms)
            _stack(panel, place + 0.2, VAE_BAR, terms)
        panel.set_xticks(range(len(found)), [f"trained with {name}" for name in found])
        panel.tick_params(axis="x", length=0, pad=4)
        panel.set(xlim=(-0.6, most - 0.4), ylim=(0, top), ylabel="nats, without the constant")
        handles = [Patch(facecolor=c, hatch=h, edgecolor=COLOURS["ink"], lw=0.5) for c, h in _FILLS.values()]
        figure.legend(handles[::-1], list(_FILLS)[::-1], loc="outside right upper")
        return Picture(figure, alt=_words(found))

    return draw


def gaps_over_beta(gaps: Mapping[str, Mapping[float, Sequence[float]]]) -> Picture:
    """How much higher the β-VAE loss is than the deterministic one, in % and over β: the seeds and their mean.

    `gaps` maps the objective trained with to β, and that to the gaps of its seeds. Raises ValueError for another name.
    """
    with style():
        figure, panel = axes(width=5, height=3)
        for name, found in gaps.items():
            shown = look(_MEANINGS[one_of("objective", name, _MEANINGS)])
            betas = sorted(found)
            middle = [_mean(found[beta]) for beta in betas]
            panel.plot(betas, middle, color=shown["color"], linestyle=shown["linestyle"] or "-", linewidth=1)
            points = [(beta, gap) for beta in betas for gap in found[beta]]
            label = f"trained with {name}"
            panel.plot(*zip(*points, strict=True), **shown | {"linestyle": "", "label": label})
        panel.axhline(0, color=COLOURS["muted"], linewidth=0.8)
        panel.set(xscale="log", xlabel="β", ylabel="gap, % of the loss")
        ticks = sorted({beta for found in gaps.values() for beta in found})
        panel.set_xticks([beta for beta in ticks if beta != 0.6], [f"{beta:g}" for beta in ticks if beta != 0.6])
        panel.minorticks_off()
        panel.legend(loc="upper left")
        ends = [
            f"{name} the mean goes from {_mean(found[min(found)]):.3f}% at β = {min(found):g} "
            f"to {_mean(found[max(found)]):.3f}% at β = {max(found):g}"
            for name, found in gaps.items()
        ]
        words = "The gap over β, one mark for each seed and a line through their means. For models trained with "
        return Picture(figure, alt=words + "; with ".join(ends) + ".")


def _mean(gaps: Sequence[float]) -> float:
    return sum(gaps) / len(gaps)


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
            f"charge {terms['charge']:.2f}) and the β-VAE loss {kept:.2f} (the same error and code, width "
            f"{terms['width']:.2f}, blur {terms['blur']:.2f})."
        )
    return "Two stacked bars for each solution. " + " ".join(said)
