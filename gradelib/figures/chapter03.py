"""Figures of chapter 3: the price of turning a trained model, and the posterior that a diagonal one cannot follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gradelib.figures import COLOURS, Picture, axes, ellipse, look, style


def angle_cost(precision: Tensor, degrees: Tensor) -> Tensor:
    """Least KL from a diagonal Gaussian after a turn, ½ log(1 + (a−b)² sin²2θ/(4ab)) nats (`eq-angle-cost`).

    `precision` (2, 2) has the eigenvalues a and b and stands along the axes at 0 `degrees` (angles) → (angles).
    """
    a, b = torch.linalg.eigvalsh(precision)
    return 0.5 * torch.log1p((a - b) ** 2 / (4 * a * b) * torch.sin(2 * torch.deg2rad(degrees)) ** 2)


@style()
def objective_over_angle(
    degrees: Sequence[float], excess: Mapping[str, Sequence[Sequence[float]]], precisions: Sequence[Tensor]
) -> Picture:
    """What turning a trained model costs in each family, one panel for each data seed.

    `excess` maps a family to the excess loss in nats at each of `degrees`, one list for each seed; `precisions` are the
    posterior precisions (2, 2) of the diagonal models, which give the line of the formula.
    """
    count = len(precisions)
    figure, panels = axes(1, count, width=2.4 * count, height=2.8, sharex=True, sharey=True, squeeze=False)
    fine = torch.linspace(min(degrees), max(degrees), 61, dtype=precisions[0].dtype)
    for seed, panel in enumerate(panels[0]):
        panel.plot(fine, angle_cost(precisions[seed], fine), **look("formula", linewidth=1, label="formula"))
        for family, rows in excess.items():
            panel.plot(degrees, rows[seed], **look(family, linestyle="", label=family, **_MARK.get(family, {})))
        panel.set(title=f"data seed {seed}", xticks=[0, 45, 90], xlabel="angle of the turn, degrees")
    panels[0][0].set_ylabel("excess loss, nats")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    words = "; ".join(
        f"{family} between {min(map(min, rows)):.2f} and {max(map(max, rows)):.2f}".replace("-0.00", "0.00")
        for family, rows in excess.items()
    )
    return Picture(
        figure,
        alt=f"Excess loss in nats against the angle by which the trained model is turned, for {count} data sets: "
        f"{words}. The diagonal family's points rise to one hump in the middle and follow the formula's line.",
    )


_MARK = {"full": {"fillstyle": "none", "markersize": 8}}  # a ring stays visible around a triangle


def turning_posterior(
    degrees: Sequence[float], covariance: Tensor, factors: Sequence[Tensor], excess: Sequence[float]
) -> Callable[[float], Picture]:
    """A function of an angle in `degrees` that draws the turned posterior with the best diagonal one, and their price.

    `covariance` (2, 2) is the best one at 0 degrees. At each angle `factors` are the L (2, 2) of the best diagonal
    covariance LLᵀ, and `excess` is the loss in nats above that at 0 degrees.
    """
    reach = 1.25 * float(torch.linalg.eigvalsh(covariance)[-1].sqrt())
    fine = torch.linspace(min(degrees), max(degrees), 61, dtype=covariance.dtype)
    line = angle_cost(torch.linalg.inv(covariance), fine)

    @style()
    def draw(angle: float) -> Picture:
        figure, (left, right) = axes(1, 2, width=7.0, height=3.7)
        place = list(degrees).index(angle)
        turned = _turn(angle) @ covariance.detach().numpy() @ _turn(angle).T
        diagonal = (factors[place] @ factors[place].mT).detach().numpy()
        ellipse(left, (0, 0), turned, "full")
        ellipse(left, (0, 0), diagonal, "diagonal")
        left.plot([], [], **look("full", marker="", label="turned posterior"))
        left.plot([], [], **look("diagonal", marker="", label="best diagonal one"))
        left.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$z_1 - h_1$", ylabel="$z_2 - h_2$")
        right.plot(fine, line, color=COLOURS["muted"], linewidth=1, label="formula")
        right.plot(degrees, excess, **look("diagonal", linestyle="", label="measured"))
        right.plot([angle], [excess[place]], **look("learned", markersize=10))
        right.set(xticks=[0, 45, 90], xlabel="angle of the turn, degrees", ylabel="excess loss, nats")
        right.set_ylim(-0.04 * max(excess), 1.12 * max(excess))
        for panel in (left, right):
            panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.2, handlelength=1.6)
        long, short = (np.sqrt(np.linalg.eigvalsh(turned))[side] for side in (1, 0))
        return Picture(
            figure,
            alt=f"Turned by {angle:g} degrees, the posterior is an ellipse with half axes {long:.3f} and {short:.3f}. "
            f"The best diagonal one reaches {diagonal[0, 0] ** 0.5:.3f} along the first axis and "
            f"{diagonal[1, 1] ** 0.5:.3f} along the second. The loss is {excess[place]:.3f} nats above the least one.",
        )

    return draw


def _turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])
