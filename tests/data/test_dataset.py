"""Datasets as a run sees them: parts, limits, the default place, and real MNIST where it lies at hand."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.data.dataset import default_root, load, load_files
from harness.data.fetch import fetch_files
from harness.data.mnist import DATASET_FILES, DATASETS, FASHION_MNIST, MNIST
from harness.errors import ConfigError, DataError
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.datasets import put, real_mnist, small_arrays, small_dataset, small_files


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
    theirs = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name]
    assert f"\nLooked for in {tmp_path / name} and {tmp_path / theirs / 'raw'}: gzipped or not" in message
    for file in DATASET_FILES[name].files:
        assert f"\n  {tmp_path / name / file.name}\n" in message
    assert message.endswith("or choose data=digits, which needs no files.")


PLACES = {
    "uncompressed": ("small", "-idx", False),
    "with dots": ("small", ".idx", True),
    "uncompressed, with dots": ("small", ".idx", False),
    "torchvision's": ("Small/raw", "-idx", False),
    "torchvision's, with archives only": ("Small/raw", "-idx", True),
}


def named(separator: str, gzipped: bool) -> dict[str, bytes]:
    """The small dataset's files under other names."""
    return {
        name.replace("-idx", separator).removesuffix("" if gzipped else ".gz"): packed
        if gzipped
        else gzip.decompress(packed)
        for name, packed in small_files().items()
    }


@pytest.mark.parametrize("place", PLACES)
def test_files_are_used_where_they_lie(place: str, tmp_path: Path) -> None:
    below, separator, gzipped = PLACES[place]
    folder = put(tmp_path, named(separator, gzipped), below)
    before = sorted(tmp_path.rglob("*"))
    assert fetch_files(small_dataset(("http://nowhere.invalid/",)), tmp_path) == ()
    dataset = load_files(small_dataset(), tmp_path)
    np.testing.assert_array_equal(dataset.test.examples, small_arrays()["t10k-images-idx3-ubyte.gz"])
    assert sorted(tmp_path.rglob("*")) == before
    for path in folder.iterdir():  # verified there too
        kept = path.read_bytes()
        path.write_bytes(kept[:-1])
        with pytest.raises(DataError, match=f"{path}: found "):
            load_files(small_dataset(), tmp_path)
        path.write_bytes(kept)


def test_the_first_place_counts(tmp_path: Path) -> None:
    """Each file by itself; a directory of the file's name, as some archives unpack into, is not the file."""
    files = small_dataset()
    image = files.train_images
    places = [
        tmp_path / below / name.format("train-images")
        for below in ("small", "Small/raw")
        for name in ("{}-idx3-ubyte.gz", "{}-idx3-ubyte", "{}.idx3-ubyte.gz", "{}.idx3-ubyte")
    ]
    assert files.find(tmp_path, image) is None
    for path in reversed(places):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        assert files.find(tmp_path, image) == path
    places[0].unlink()
    places[1].unlink()
    places[1].mkdir()
    assert files.find(tmp_path, image) == places[2]
    assert files.missing(tmp_path) == files.files[1:]


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
        assert {len(file.digest) for file in collection.files} == {64}


def test_real_mnist() -> None:
    dataset = load("mnist", real_mnist())
    assert dataset.train.examples.shape == (55_000, 28, 28)
    assert dataset.validation.examples.shape == (5_000, 28, 28)
    assert dataset.test.examples.shape == (10_000, 28, 28)
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.validation.labels[-3:].tolist() == [5, 6, 8]
    assert dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    np.testing.assert_allclose(dataset.train.examples.mean() / 255, 0.1307, atol=2e-4)


@pytest.mark.long
def test_a_run_reads_the_files_that_torchvision_unpacked(run: Shell, results: Path, tmp_path: Path) -> None:
    given, folder = MNIST.folders(real_mnist())[0], tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for file in MNIST.files:
        content = gzip.decompress((given / file.name).read_bytes())
        (folder / file.name.removesuffix(".gz")).write_bytes(content)
    few = ("data.limit=64", "train.batch_size=32", "cell=rnn", "data.download=false")
    done = run("data=mnist", f"data.root={tmp_path}", *few, "backend=numpy")
    assert done.returncode == 0, done.stderr
    (path,) = results.glob("runs/*/*/record.json")
    assert RunRecord.read(path).details["train_examples"] == 64


def test_real_mnist_with_one_bit_flipped(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file in MNIST.files:
        (folder / file.name).symlink_to(MNIST.folders(real_mnist())[0] / file.name)
    path = folder / "t10k-labels-idx1-ubyte.gz"
    packed = bytearray(path.read_bytes())
    packed[2000] ^= 1
    path.unlink()
    path.write_bytes(packed)
    with pytest.raises(DataError, match=rf"{path}: found .*, expected "):
        load("mnist", tmp_path)
    assert path.read_bytes() == packed


def test_real_fashion_mnist_compressed_by_another_program(tmp_path: Path) -> None:
    root = Path(os.environ.get("HARNESS_DATA", ""))
    if missing := FASHION_MNIST.missing(root):
        pytest.skip(f"no {missing[0].name} in {FASHION_MNIST.folders(root)[0]}")
    (tmp_path / "fashion_mnist").mkdir()
    for file in FASHION_MNIST.files:
        packed = FASHION_MNIST.find(root, file).read_bytes()  # type: ignore[union-attr]
        other = gzip.compress(gzip.decompress(packed), 1)
        (tmp_path / "fashion_mnist" / file.name).write_bytes(other)
    assert load("fashion_mnist", tmp_path).test.labels[:5].tolist() == [9, 2, 1, 1, 6]


def test_import_is_light() -> None:
    heavy = {"torch", "tensorflow", "keras", "pandas", "sklearn", "scipy", "pooch", "requests", "tqdm"}
    code = f"import sys, harness.data; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
