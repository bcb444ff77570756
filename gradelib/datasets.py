"""Data for the experiments, split once and for all into training and held-out examples."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradelib import _input
from gradelib._names import one_of

MNIST_TOTAL_VARIANCE = 52.7  # summed over its pixels in [0, 1]; the scale on which the paper's β were chosen


@dataclass(frozen=True)
class Dataset:
    """Examples as rows of `train` and `test`, both (examples, n), with their labels (examples).

    `scale` is the value of a fully white pixel, `image_shape` what a row is as a picture. Where the data were made and
    not found, `mixing` is the true W (n, d) and `train_latents`, `test_latents` are the true z (examples, d).
    """

    name: str
    train: Tensor
    test: Tensor
    train_labels: Tensor
    test_labels: Tensor
    image_shape: tuple[int, ...]
    scale: float
    mixing: Tensor | None = None
    train_latents: Tensor | None = None
    test_latents: Tensor | None = None

    @property
    def n(self) -> int:
        """How many pixels an example has."""
        return self.train.shape[-1]


def load(
    name: str, dtype: torch.dtype = torch.float32, *, limit: int | None = None, source: str | Path | None = None
) -> Dataset:
    """Load a data set by name: "digits", "synthetic", "mnist" or "celeba".

    "mnist" and "celeba" need the optional package `datasets`, which downloads them once and keeps them. `limit` takes
    only so many examples of each half, `source` another repository or folder with the same columns. Raises ValueError,
    with the nearest right name, for an unknown data set, ImportError where the package is missing and ConnectionError
    where there is no copy and no network.
    """
    loader = _LOADERS[one_of("data set", name, _LOADERS)]
    if name in _IMAGES:
        return loader(dtype, limit, source)
    if source is not None or limit is not None:
        raise ValueError(f"limit and source go with 'mnist' and 'celeba'; {name!r} comes whole and from one source.")
    return loader(dtype)


def synthetic(
    dtype: torch.dtype = torch.float32,
    *,
    n: int = 6,
    norms: Sequence[float] = (2.0, 1.0),
    noise: float = 0.05,
    examples: int = 200,
    seed: int = 0,
) -> Dataset:
    """The paper's x = ν(Wz) + ε, z ~ N(0, I), ε ~ N(0, noise² I), ν the leaky ReLU of slope 0.2 (`eq-synthetic`).

    W (n, d) has orthogonal columns of the lengths `norms`, different ones, for equal ones would leave W unidentified.
    There are `examples` to train on and as many held out. Raises ValueError for n < d or numbers that are not positive.
    """
    d = len(norms)
    for norm in norms:
        _input.positive("norms", norm)
    _input.positive("noise", noise)
    _input.whole("examples", examples)
    if _input.whole("n", n) < d:
        raise ValueError(f"Orthogonal columns need n ≥ d, but n is {n} and d is {d}.")
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    W = torch.linalg.qr(normal(n, d)).Q * torch.tensor(norms, dtype=torch.float64)
    z = normal(2 * examples, d)
    x = torch.nn.functional.leaky_relu(z @ W.mT, 0.2) + noise * normal(2 * examples, n)
    x, z = x.to(dtype), z.to(dtype)
    none = torch.zeros(examples, dtype=torch.long)
    return Dataset(
        name="synthetic",
        train=x[:examples],
        test=x[examples:],
        train_labels=none,
        test_labels=none,
        image_shape=(n,),
        scale=1.0,
        mixing=W.to(dtype),
        train_latents=z[:examples],
        test_latents=z[examples:],
    )


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


@dataclass(frozen=True)
class _Images:
    """Where pictures come from on the Hugging Face hub, and what their columns are called."""

    name: str
    repository: str
    held_out: str
    label: str | None
    side: int
    colours: int
    crop: int | None = None

    def __call__(self, dtype: torch.dtype, limit: int | None, source: str | Path | None) -> Dataset:
        train, train_labels = self._half("train", dtype, limit, source)
        test, test_labels = self._half(self.held_out, dtype, limit, source)
        shape = (self.side, self.side) if self.colours == 1 else (self.side, self.side, self.colours)
        return Dataset(self.name, train, test, train_labels, test_labels, image_shape=shape, scale=1.0)

    def _half(
        self, split: str, dtype: torch.dtype, limit: int | None, source: str | Path | None
    ) -> tuple[Tensor, Tensor]:
        if limit is not None:
            _input.whole("limit", limit)
        examples = _open(self.name, str(source or self.repository), split)
        count = min(limit or len(examples), len(examples))
        pixels = torch.empty(count, self.side**2 * self.colours, dtype=dtype)
        labels = torch.zeros(count, dtype=torch.long)
        for row in range(count):
            example = examples[row]
            pixels[row] = self._pixels(example["image"]).to(dtype)
            labels[row] = example[self.label] if self.label else 0
        return pixels, labels

    def _pixels(self, picture: Any) -> Tensor:
        """A picture as a row of numbers from 0 to 1, its middle square cut out and shrunk where it is larger."""
        import numpy as np

        picture = picture.convert("L" if self.colours == 1 else "RGB")
        if self.crop:
            left, top = (picture.width - self.crop) // 2, (picture.height - self.crop) // 2
            picture = picture.crop((left, top, left + self.crop, top + self.crop)).resize((self.side, self.side))
        if picture.size != (self.side, self.side):
            raise ValueError(
                f"{self.name} pictures must be {self.side} pixels wide and high, but one is {picture.size}."
            )
        return torch.from_numpy(np.asarray(picture, dtype=np.float64) / 255).flatten()


def _open(name: str, source: str, split: str) -> Any:
    """The examples of one half, from the kept copy or the network."""
    try:
        hub = importlib.import_module("datasets")
    except ImportError:
        raise ImportError(f"{name!r} needs a package that is not here: pip install 'gradelib[images]'.") from None
    try:
        return hub.load_dataset(source, split=split)
    except (OSError, hub.exceptions.DatasetNotFoundError) as error:
        raise ConnectionError(
            f"{name!r} is not on this machine and {source} cannot be reached; load it once with a network, or take "
            f"'digits', which needs none."
        ) from error


_IMAGES = {
    "mnist": _Images("mnist", "ylecun/mnist", held_out="test", label="label", side=28, colours=1),
    "celeba": _Images("celeba", "flwrlabs/celeba", held_out="test", label=None, side=64, colours=3, crop=148),
}
_LOADERS: dict[str, Callable[..., Dataset]] = {"digits": _digits, "synthetic": synthetic, **_IMAGES}
