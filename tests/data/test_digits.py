"""The embedded digits: the same bytes everywhere, made from scikit-learn's images the way MNIST was."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from harness.data import digits
from harness.data.dataset import Dataset, load
from harness.errors import DataError

NOWHERE = Path("/does/not/exist")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load("digits", NOWHERE)


def test_bytes_on_record(dataset: Dataset) -> None:
    images = (dataset.train.examples, dataset.validation.examples, dataset.test.examples)
    labels = (dataset.train.labels, dataset.validation.labels, dataset.test.labels)
    content = np.concatenate(images).tobytes() + np.concatenate(labels).astype("<i8").tobytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == "55ffb335c5aab4b81f1682b9916dfa6ba568481c1afc51c178881cb10e55e85b"
    )


def test_split(dataset: Dataset) -> None:
    assert dataset.train.examples.shape == (1318, 28, 28)
    assert dataset.validation.examples.shape == (119, 28, 28)
    assert dataset.test.examples.shape == (360, 28, 28)
    assert dataset.test.examples.dtype == np.uint8
    assert dataset.test.labels.dtype == np.int64
    assert dataset.classes == 10


def test_the_test_part_is_stratified(dataset: Dataset) -> None:
    everything = np.bincount(load_digits().target)
    assert np.bincount(dataset.test.labels).sum() == 360
    assert np.abs(np.bincount(dataset.test.labels) - everything * 360 / 1797).max() < 1


def test_every_image_is_used_once(dataset: Dataset) -> None:
    parts = (dataset.train.examples, dataset.validation.examples, dataset.test.examples)
    assert len(np.unique(np.concatenate(parts), axis=0)) == 1797


def test_ink_and_centre_of_mass(dataset: Dataset) -> None:
    """As in MNIST: a 20×20 field of greys, its centre of mass at (14, 14) to half a pixel."""
    images = dataset.train.examples.astype(np.float64)
    total = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = images.sum(axis=3 - axis) @ np.arange(28) / total
        assert np.abs(centre - 14).max() <= 0.5
        inked = images.any(axis=3 - axis)
        extent = 28 - inked.argmax(axis=1) - inked[:, ::-1].argmax(axis=1)
        assert extent.max() <= 20
    assert images.max() == 255
    assert len(np.unique(images)) > 100


def test_enlarging_keeps_what_is_drawn() -> None:
    """Averaged back over the 8×8 cells, an enlarged digit is its original, a little blurred."""
    source = load_digits().images
    large = digits._enlarge(source.astype(np.int64)) / 255 * 16
    cells = np.repeat(np.repeat(source, 5, axis=1), 5, axis=2).reshape(-1, 20, 2, 20, 2).mean(axis=(2, 4))
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(large, cells, strict=True)]
    assert min(correlation) > 0.9
    np.testing.assert_allclose(large.mean(), source.mean(), rtol=1e-4)  # values are rounded to 1/255


def test_both_ways_to_the_source_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images, labels = digits._source()
    package = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: package)
    again, same = digits._source()
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, same)


def test_other_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits._source()
    monkeypatch.setattr(digits, "_source", lambda: (images[::-1], labels))
    with pytest.raises(DataError, match=r"found checksum [0-9a-f]{64}, expected 97a2e133"):
        load("digits", NOWHERE)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        load("digits", NOWHERE)
