"""The files of MNIST and Fashion-MNIST, their checksums and their mirrors."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from harness.data import idx
from harness.errors import ConfigError, DataError

Hash = Literal["sha256 of the content", "md5 of the file"]


@dataclass(frozen=True)
class DataFile:
    """One gzipped IDX file: its name, the shape of the uint8 array in it, its checksum.

    Mirrors compress MNIST differently, so its checksums are those of the uncompressed content.
    """

    name: str
    shape: tuple[int, ...]
    hash: Hash
    digest: str

    def read(self, path: Path, label: object = None) -> np.ndarray:
        """The verified array in the file at `path`, read-only; errors call the file `label` (or `path`).

        Raises DataError for a file with any other content.
        """
        label = label or path
        packed = idx.read_bytes(path, limit=idx.gzip_limit(self.shape), label=label)
        content = idx.decompress(packed, size=idx.content_bytes(self.shape), label=label)
        array = idx.parse(content, shape=self.shape, label=label)
        if self.hash == "md5 of the file":
            digest = hashlib.md5(packed, usedforsecurity=False).hexdigest()
        else:
            digest = hashlib.sha256(content).hexdigest()
        if digest != self.digest:
            raise idx.content_error(label, found=f"checksum {digest} ({self.hash})", expected=self.digest)
        return array


@dataclass(frozen=True)
class DatasetFiles:
    """The four files of one dataset, where they come from, and how many training images validate."""

    name: str
    train_images: DataFile
    train_labels: DataFile
    test_images: DataFile
    test_labels: DataFile
    mirrors: tuple[str, ...]  # tried in this order; each ends with a slash
    validation: int = 5_000

    @property
    def files(self) -> tuple[DataFile, ...]:
        return (self.train_images, self.train_labels, self.test_images, self.test_labels)

    def folder(self, root: Path) -> Path:
        """The directory of these files: `<root>/<name>`, with `~` resolved."""
        try:
            return (root.expanduser() / self.name).absolute()
        except RuntimeError as error:
            raise DataError(f"data.root={root}: {error}") from error

    def missing(self, root: Path) -> tuple[DataFile, ...]:
        """The files that do not exist below `root`; the content of the others is not looked at."""
        folder = self.folder(root)
        try:
            return tuple(file for file in self.files if not (folder / file.name).exists())
        except OSError as error:
            raise DataError(f"{folder}: cannot be read ({error.strerror or error}).") from error


def _dataset_files(
    name: str, hash: Hash, digests: tuple[str, str, str, str], mirrors: tuple[str, ...]
) -> DatasetFiles:
    train_images, train_labels, test_images, test_labels = digests
    return DatasetFiles(
        name=name,
        train_images=DataFile("train-images-idx3-ubyte.gz", (60_000, 28, 28), hash, train_images),
        train_labels=DataFile("train-labels-idx1-ubyte.gz", (60_000,), hash, train_labels),
        test_images=DataFile("t10k-images-idx3-ubyte.gz", (10_000, 28, 28), hash, test_images),
        test_labels=DataFile("t10k-labels-idx1-ubyte.gz", (10_000,), hash, test_labels),
        mirrors=mirrors,
    )


MNIST = _dataset_files(
    "mnist",
    "sha256 of the content",
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://sagemaker-sample-files.s3.amazonaws.com/datasets/image/MNIST/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
)

FASHION_MNIST = _dataset_files(
    "fashion_mnist",
    "md5 of the file",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # this server speaks no https
    ),
)

DATASET_FILES = {files.name: files for files in (MNIST, FASHION_MNIST)}
DATASETS = (*DATASET_FILES, "digits")


def files_of(name: str) -> DatasetFiles | None:
    """The files of a dataset; None for `digits`, which needs none. Raises ConfigError for other names."""
    if name not in DATASETS:
        raise ConfigError(f"data.name={name}: there is no such dataset; choose one of {', '.join(DATASETS)}.")
    return DATASET_FILES.get(name)
