"""A dataset in memory: verified, split into training, validation and test."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.data import digits, fetch, mnist
from harness.errors import ConfigError, DataError
from harness.measure.directories import cache_directory

SPLITS = ("train", "validation", "test")


class Split(NamedTuple):
    """Examples as stored, images (N, 28, 28) uint8 or sequences (N, T, I) of any number type, and their
    labels (N,) int64; both are read-only."""

    examples: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """The three splits; `sha256` is that of a file of your own."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int = 10
    sha256: str | None = None

    def split(self, name: str) -> Split:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


@dataclass(frozen=True)
class Shape:
    """What a dataset asks of a model: T steps, I features, C classes."""

    steps: int
    features: int
    classes: int


def default_root() -> Path:
    """The default of `data.root`: $HARNESS_DATA, else a folder in this user's cache."""
    return Path(os.environ.get("HARNESS_DATA") or cache_directory() / "data")


def load(name: str, root: Path, limit: int | None = None) -> Dataset:
    """The dataset `name` ("mnist", "fashion_mnist", "digits") from its files below `root`.

    The last 5,000 of 60,000 training images (of digits: 119 of 1,437) validate, the others train.
    `limit` keeps only the first so many training images. Every file is verified each time.
    Raises DataError for a missing or damaged file, ConfigError for an unknown name or a limit below 1.
    """
    files = mnist.files_of(name)
    if limit is not None and limit < 1:
        raise ConfigError(
            f"data.limit={limit}: takes a number of training images, at least 1, or null for all."
        )
    if files is not None:
        return load_files(files, root, limit)
    images, labels, test_images, test_labels = digits.load_digits()
    return _split(name, images, labels, test_images, test_labels, validation=len(images) // 12, limit=limit)


def load_files(files: mnist.DatasetFiles, root: Path, limit: int | None = None) -> Dataset:
    """The dataset in these files; otherwise as `load`."""
    paths = {file: path for file in files.files if (path := files.find(root, file))}
    if len(paths) < len(files.files):
        raise fetch.missing_error(files, root, "Nothing was fetched.")
    try:
        images, labels, test_images, test_labels = (file.read(path) for file, path in paths.items())
    except DataError as error:
        raise DataError(
            f"{error}\nThe file was not used and stays as it is; remove it to fetch it again."
        ) from error
    return _split(
        files.name, images, labels, test_images, test_labels, validation=files.validation, limit=limit
    )


def _split(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    *,
    validation: int,
    limit: int | None,
) -> Dataset:
    labels, test_labels = labels.astype(np.int64), test_labels.astype(np.int64)
    for array in (images, labels, test_images, test_labels):
        array.setflags(write=False)
    train = len(images) - validation
    size = train if limit is None else min(limit, train)
    return Dataset(
        name=name,
        train=Split(images[:size], labels[:size]),
        validation=Split(images[train:], labels[train:]),
        test=Split(test_images, test_labels),
    )
