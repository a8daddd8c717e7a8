"""Datasets as a run sees them: parts, limits, the default place, and real MNIST where it lies at hand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.data.dataset import default_root, load, load_files
from harness.data.mnist import DATASET_FILES, DATASETS, FASHION_MNIST, MNIST
from harness.errors import ConfigError, DataError
from tests.support.datasets import put, real_mnist, small_arrays, small_dataset


def test_parts(tmp_path: Path) -> None:
    put(tmp_path)
    arrays = small_arrays()
    dataset = load_files(small_dataset(), tmp_path)
    np.testing.assert_array_equal(dataset.train.examples, arrays["train-images-idx3-ubyte.gz"][:10])
    np.testing.assert_array_equal(dataset.train.labels, arrays["train-labels-idx1-ubyte.gz"][:10])
    np.testing.assert_array_equal(dataset.validation.examples, arrays["train-images-idx3-ubyte.gz"][10:])
    np.testing.assert_array_equal(dataset.validation.labels, arrays["train-labels-idx1-ubyte.gz"][10:])
    np.testing.assert_array_equal(dataset.test.examples, arrays["t10k-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(dataset.test.labels, arrays["t10k-labels-idx1-ubyte.gz"])
    assert dataset.train.examples.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int64
    for array in (dataset.train.examples, dataset.train.labels, dataset.test.examples, dataset.test.labels):
        assert not array.flags.writeable


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (7, 7), (10, 10), (11, 10), (10**9, 10), (None, 10)])
def test_limit_cuts_what_trains_and_nothing_else(limit: int | None, kept: int, tmp_path: Path) -> None:
    put(tmp_path)
    whole, cut = load_files(small_dataset(), tmp_path), load_files(small_dataset(), tmp_path, limit)
    np.testing.assert_array_equal(cut.train.examples, whole.train.examples[:kept])
    np.testing.assert_array_equal(cut.train.labels, whole.train.labels[:kept])
    np.testing.assert_array_equal(cut.validation.examples, whole.validation.examples)
    np.testing.assert_array_equal(cut.test.labels, whole.test.labels)


def test_limits_below_one_and_unknown_names_are_refused(tmp_path: Path) -> None:
    for limit in (0, -5):
        with pytest.raises(ConfigError, match=rf"data\.limit={limit}: .* at least 1"):
            load("digits", tmp_path, limit)
    with pytest.raises(ConfigError, match=r"data\.name=cifar: .* mnist, fashion_mnist, digits"):
        load("cifar", tmp_path)


@pytest.mark.parametrize("name", DATASET_FILES)
def test_missing_files_are_named_with_their_place(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{name}: 4 of 4 files missing.")
    for file in DATASET_FILES[name].files:
        assert f"\n  {tmp_path / name / file.name}\n" in message
    assert message.endswith("or choose data=digits, which needs no files.")


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root=~nobody-of-that-name/data: "):
        load("mnist", Path("~nobody-of-that-name/data"))


def test_home_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "data")
    assert len(load_files(small_dataset(), Path("~/data")).train.examples) == 10


def test_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.setenv("HARNESS_DATA", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tmp_path in default_root().parents
    assert "harness" in str(default_root().relative_to(tmp_path))


def test_catalog() -> None:
    assert DATASETS == ("mnist", "fashion_mnist", "digits")
    names = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"}
    names |= {"t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}
    for collection in (MNIST, FASHION_MNIST):
        assert {file.name for file in collection.files} == names
        assert len({file.digest for file in collection.files}) == 4
        assert len(collection.mirrors) >= 3
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in collection.mirrors)
    assert {len(file.digest) for file in FASHION_MNIST.files} == {32}


def test_real_mnist() -> None:
    dataset = load("mnist", real_mnist())
    assert dataset.train.examples.shape == (55_000, 28, 28)
    assert dataset.validation.examples.shape == (5_000, 28, 28)
    assert dataset.test.examples.shape == (10_000, 28, 28)
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.validation.labels[-3:].tolist() == [5, 6, 8]
    assert dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    np.testing.assert_allclose(dataset.train.examples.mean() / 255, 0.1307, atol=2e-4)


def test_real_mnist_with_one_bit_flipped(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file in MNIST.files:
        (folder / file.name).symlink_to(MNIST.folder(real_mnist()) / file.name)
    path = folder / "t10k-labels-idx1-ubyte.gz"
    packed = bytearray(path.read_bytes())
    packed[2000] ^= 1
    path.unlink()
    path.write_bytes(packed)
    with pytest.raises(DataError, match=rf"{path}: found .*, expected "):
        load("mnist", tmp_path)
    assert path.read_bytes() == packed


def test_import_is_light() -> None:
    heavy = {"torch", "tensorflow", "keras", "pandas", "sklearn", "scipy", "pooch", "requests", "tqdm"}
    code = f"import sys, harness.data; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
