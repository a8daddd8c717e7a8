"""The files of MNIST and Fashion-MNIST, their checksums, their mirrors, and where they may lie."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data import idx
from harness.errors import ConfigError, DataError


@dataclass(frozen=True)
class DataFile:
    """One IDX file: its name on the mirrors, the shape of the uint8 array in it, the SHA-256 of its
    uncompressed content (mirrors compress differently)."""

    name: str
    shape: tuple[int, ...]
    digest: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the file may have, in the order in which they are tried: as on the mirrors,
        uncompressed, and both with a dot in place of the hyphen before `idx`."""
        plain = self.name.removesuffix(".gz")
        dotted = plain.replace("-idx", ".idx")
        return (self.name, plain, f"{dotted}.gz", dotted)

    def read(self, path: Path, label: object = None) -> np.ndarray:
        """The verified array in the file at `path`, read-only; errors call the file `label` (or `path`).

        Raises DataError for a file with any other content. It may be gzipped or not, whatever its name.
        """
        label = label or path
        content = idx.read_bytes(path, limit=idx.gzip_limit(self.shape), label=label)
        if not content.startswith(idx.ZEROS):
            content = idx.decompress(content, size=idx.content_bytes(self.shape), label=label)
        array = idx.parse(content, shape=self.shape, label=label)
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.digest:
            raise idx.content_error(
                label, found=f"checksum {digest} (sha256 of the content)", expected=self.digest
            )
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
    torchvision: str  # its folder in torchvision's directories
    validation: int = 5_000

    @property
    def files(self) -> tuple[DataFile, ...]:
        return (self.train_images, self.train_labels, self.test_images, self.test_labels)

    def folders(self, root: Path) -> tuple[Path, Path]:
        """Where the files may lie, with `~` resolved: `<root>/<name>`, to which they are downloaded, then
        torchvision's directory `<root>/<torchvision>/raw`."""
        try:
            root = root.expanduser().absolute()
        except RuntimeError as error:
            raise DataError(f"data.root={root}: {error}") from error
        return root / self.name, root / self.torchvision / "raw"

    def find(self, root: Path, file: DataFile) -> Path | None:
        """The first place of `file` below `root`; None where it is missing. Its content is not looked at.

        What lies where the file would be downloaded to is never passed over, whatever it is.
        """
        first, *others = (folder / name for folder in self.folders(root) for name in file.names)
        try:
            return first if first.exists() else next((path for path in others if path.is_file()), None)
        except OSError as error:
            raise DataError(
                f"{error.filename or first.parent}: cannot be read ({error.strerror or error})."
            ) from error

    def missing(self, root: Path) -> tuple[DataFile, ...]:
        """The files that are in none of their places below `root`."""
        return tuple(file for file in self.files if self.find(root, file) is None)


def _dataset_files(
    name: str, torchvision: str, digests: tuple[str, str, str, str], mirrors: tuple[str, ...]
) -> DatasetFiles:
    train_images, train_labels, test_images, test_labels = digests
    return DatasetFiles(
        name=name,
        train_images=DataFile("train-images-idx3-ubyte.gz", (60_000, 28, 28), train_images),
        train_labels=DataFile("train-labels-idx1-ubyte.gz", (60_000,), train_labels),
        test_images=DataFile("t10k-images-idx3-ubyte.gz", (10_000, 28, 28), test_images),
        test_labels=DataFile("t10k-labels-idx1-ubyte.gz", (10_000,), test_labels),
        mirrors=mirrors,
        torchvision=torchvision,
    )


MNIST = _dataset_files(
    "mnist",
    "MNIST",
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
    "FashionMNIST",
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
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
