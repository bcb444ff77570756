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


_PLACES = {"left": 0.148, "right": 0.986, "bottom": 0.082, "top": 0.94, "hspace": 0.5, "height_ratios": (1.2, 1)}
_MARK = {"full": {"fillstyle": "none", "markersize": 8}}  # a ring stays visible around a triangle


@style()
def turning_posterior(
    degrees: Sequence[float], covariance: Tensor, factors: Sequence[Tensor], excess: Mapping[str, Sequence[float]]
) -> Callable[[float], Picture]:
    """A function of an angle in `degrees` that draws the turned posterior with the best diagonal one, and their price.

    `covariance` (2, 2) is the best one at 0 degrees. At each angle `factors` are the L (2, 2) of the best diagonal
    covariance LLᵀ, and `excess` has for each family, "diagonal" among them, the loss in nats above that at 0 degrees.
    """
    reach = 1.25 * float(torch.linalg.eigvalsh(covariance)[-1].sqrt())
    fine = torch.linspace(min(degrees), max(degrees), 61, dtype=covariance.dtype)
    line = angle_cost(torch.linalg.inv(covariance), fine)
    price = excess["diagonal"]

    figure, (above, below) = axes(2, 1, width=4.4, height=6.2, places=_PLACES)
    above.plot([], [], **look("full", marker="", label="turned posterior"))
    above.plot([], [], **look("diagonal", marker="", label="best diagonal one"))
    above.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$z_1 - h_1$", ylabel="$z_2 - h_2$")
    below.plot(fine, line, color=COLOURS["muted"], linewidth=1, label="formula")
    for family, losses in excess.items():
        below.plot(degrees, losses, **look(family, linestyle="", label=family, **_MARK.get(family, {})))
    [here] = below.plot([], [], **look("learned", markersize=10))
    below.set(xticks=[0, 45, 90], xlabel="angle of the turn, degrees", ylabel="excess loss, nats")
    below.set_ylim(-0.06 * max(price), 1.12 * max(price))
    above.locator_params(nbins=5)
    below.locator_params(axis="y", nbins=4)
    for panel in (above, below):
        panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.2, handlelength=1.6)

    @style()
    def draw(angle: float) -> Picture:
        place = list(degrees).index(angle)
        turned = _turn(angle) @ covariance.detach().numpy() @ _turn(angle).T
        diagonal = (factors[place] @ factors[place].mT).detach().numpy()
        for last in list(above.patches):
            last.remove()
        ellipse(above, (0, 0), turned, "full")
        ellipse(above, (0, 0), diagonal, "diagonal")
        here.set_data([angle], [price[place]])
        long, short = (np.sqrt(np.linalg.eigvalsh(turned))[side] for side in (1, 0))
        return Picture(
            figure,
            alt=f"Turned by {angle:g} degrees, the posterior is an ellipse with half axes {long:.3f} and {short:.3f}. "
            f"The best diagonal one reaches {diagonal[0, 0] ** 0.5:.3f} along the first axis and "
            f"{diagonal[1, 1] ** 0.5:.3f} along the second. The loss is {_nats(price[place])} nats above the least one"
            + "".join(
                f", for the {name} family {_nats(losses[place])}"
                for name, losses in excess.items()
                if name != "diagonal"
            )
            + ".",
        )

    return draw


def _nats(excess: float) -> str:
    return f"{excess:.3f}".replace("-0.000", "0.000")


def _turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])
