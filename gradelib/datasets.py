"""Data for the experiments, split once and for all into training and held-out examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradelib._names import one_of

MNIST_TOTAL_VARIANCE = 52.7  # summed over its pixels in [0, 1]; the scale on which the paper's β were chosen


@dataclass(frozen=True)
class Dataset:
    """Examples as rows of `train` and `test`, both (examples, n), with their labels (examples).

    `scale` is the value of a fully white pixel, `image_shape` what a row is as a picture.
    """

    name: str
    train: Tensor
    test: Tensor
    train_labels: Tensor
    test_labels: Tensor
    image_shape: tuple[int, ...]
    scale: float

    @property
    def n(self) -> int:
        """How many pixels an example has."""
        return self.train.shape[-1]


def load(name: str, dtype: torch.dtype | None = None) -> Dataset:
    """Load a data set by name ("digits"), in torch's default dtype unless told otherwise.

    Raises ValueError, with the nearest right name, for any other name.
    """
    return _LOADERS[one_of("data set", name, _LOADERS)](dtype or torch.get_default_dtype())


def _digits(dtype: torch.dtype) -> Dataset:
    """scikit-learn's 1797 handwritten digits of 8×8 pixels: 1500 to train on, 297 held out.

    They are scaled so that their total variance is MNIST's. Scaling x by c turns β into c²β, so on this scale the
    paper's values of β mean here what they mean there.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels, labels = torch.from_numpy(bunch.data), torch.from_numpy(bunch.target)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    pixels, labels = pixels[order], labels[order]
    factor = (MNIST_TOTAL_VARIANCE / pixels[:1500].var(0, correction=0).sum()).sqrt()
    pixels = (pixels * factor).to(dtype)
    return Dataset(
        name="digits",
        train=pixels[:1500],
        test=pixels[1500:],
        train_labels=labels[:1500],
        test_labels=labels[1500:],
        image_shape=(8, 8),
        scale=float(16 * factor),
    )


_LOADERS: dict[str, Callable[[torch.dtype], Dataset]] = {"digits": _digits}
