"""The still of the playground: what finished runs of the three families look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gradelib.evaluation import permutation_error
from gradelib.figures import COLOURS, Picture, axes, ellipse, look, style
from gradelib.playground import SharedCovarianceVAE

_CIRCLE = np.linspace(0, 2 * np.pi, 91)


@style()
def two_runs(models: Mapping[str, Sequence[SharedCovarianceVAE]], W: Tensor) -> Picture:
    """Columns of A on the orthogonal ones of W (n, 2), and below the ellipse of q, for two models of each family."""
    lengths = torch.linalg.vector_norm(W, dim=0).numpy()
    plane = W.numpy() / lengths
    figure, panels = axes(2, len(models), width=7.0, height=3.6)
    reach = 1.3 * max(float(model.factor().detach().norm(dim=1).max()) for pair in models.values() for model in pair)
    for (family, pair), (upper, lower) in zip(models.items(), np.transpose(panels), strict=True):
        upper.plot(lengths[0] * np.cos(_CIRCLE), lengths[1] * np.sin(_CIRCLE), color=COLOURS["faint"], linewidth=1)
        for column in np.diag(lengths):
            upper.plot(*np.stack([-column, column]).T, color=COLOURS["ink"], linestyle="--", linewidth=1.2)
        for number, model in enumerate(pair):
            for column in (plane.T @ model.A.detach().numpy()).T:
                how = look(family, linestyle="-" if number == 0 else ":", marker="o", markevery=[1], markersize=5)
                upper.plot(*np.stack([-column, column]).T, **how)
            L = model.factor().detach()
            ellipse(lower, (0, 0), (L @ L.mT).numpy(), family)
        side = 1.2 * lengths
        upper.set(title=family, xlim=(-side[0], side[0]), ylim=(-side[1], side[1]), aspect="equal")
        upper.axis("off")
        lower.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return Picture(figure, alt=_words(models, W))


def _words(models: Mapping[str, Sequence[SharedCovarianceVAE]], W: Tensor) -> str:
    parts = []
    for family, (first, second) in models.items():
        A, B = first.A.detach(), second.A.detach()
        off = " and ".join(f"{permutation_error(each, W):.2f}" for each in (A, B))
        parts.append(f"{family}: {off} from W, {permutation_error(B, A):.2f} from each other")
    return (
        "Columns of A on those of W, dashed, and ellipses of q, for two runs of three families. Relative distance of "
        f"A, up to order and sign of its columns: {'; '.join(parts)}."
    )
