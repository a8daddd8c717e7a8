"""Your own sequences: a file with the arrays x (N, T, I) and y (N,), and optionally x_test and y_test.

    numpy.savez("mine.npz", x=x, y=y)

Integers in x are used as numbers. The labels y are the classes 0 … C-1.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.data.dataset import Dataset, Shape, Split
from harness.data.npz import file_error, read_arrays
from harness.data.split import stratified
from harness.errors import DataError
from harness.model.initializers import stream

NPZ = "npz"  # the data.name of such a file
MAX_VALUE = np.float64(np.finfo(np.float32).max)
VALIDATION_DIVISOR = 12  # one twelfth of the sequences that are not for the test validates


class SplitOptions(NamedTuple):
    """The fraction of x that tests where there is no x_test, and the seed that draws test and validation."""

    test_fraction: float
    seed: int


@dataclass(frozen=True, eq=False)
class Content:
    """The checked content of a file: x (N, T, I), y (N,) int64, the test split if the file has one."""

    x: np.ndarray
    y: np.ndarray
    test: Split | None
    sha256: str

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1

    def select(self, rows: np.ndarray) -> Split:
        """Copies of these rows of x and y, read-only."""
        split = Split(self.x[rows], self.y[rows])
        for array in split:
            array.setflags(write=False)
        return split


@dataclass(frozen=True)
class FileInfo:
    """The shape that the sequences of a file ask of a model, its SHA-256, and how many sequences train."""

    shape: Shape
    sha256: str
    train: int


def load(path: Path, options: SplitOptions, limit: int | None = None) -> Dataset:
    """The dataset in a file; `limit` keeps the first so many training sequences, in the order of the seed.

    Raises DataError for a file that cannot be used.
    """
    content = read(path)
    train, validation, test = split_rows(path, content, options)
    return Dataset(
        name=NPZ,
        train=content.select(train[:limit]),
        validation=content.select(validation),
        test=content.test or content.select(test),
        classes=content.classes,
        sha256=content.sha256,
    )


def inspect(path: Path, options: SplitOptions) -> FileInfo:
    """Reads and checks a file as `load` does, but only once until the file changes; raises DataError."""
    try:
        stat = path.expanduser().stat()
    except (OSError, RuntimeError) as error:
        raise file_error(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _inspect(path, options, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))


@cache
def _inspect(path: Path, options: SplitOptions, version: tuple[int, ...]) -> FileInfo:
    content = read(path)
    train, _, _ = split_rows(path, content, options)
    _, steps, features = content.x.shape
    return FileInfo(Shape(steps, features, content.classes), content.sha256, len(train))


def read(path: Path) -> Content:
    """The checked arrays of a file; raises DataError."""
    arrays, sha256 = read_arrays(path)
    x = arrays["x"]
    _check_sequences(path, "x", x)
    y = _labels(path, "y", arrays["y"], len(x))
    _check_classes(path, y)
    if "x_test" not in arrays:
        return Content(x, y, None, sha256)
    x_test = arrays["x_test"]
    _check_sequences(path, "x_test", x_test)
    if x.shape[1:] != x_test.shape[1:]:
        raise file_error(path, f"x_test is {x_test.shape}, but x {x.shape}: T and I must be the same")
    y_test = _labels(path, "y_test", arrays["y_test"], len(x_test))
    if y_test.max() > y.max():
        raise file_error(path, f"y_test has the label {y_test.max()}, which does not occur in y")
    return Content(x, y, Split(x_test, y_test), sha256)


def _check_sequences(path: Path, name: str, x: np.ndarray) -> None:
    if x.ndim != 3:
        raise file_error(path, f"{name} is {x.shape}: must be (N, T, I), sequences of T steps of I features")
    if not (x.min() >= -MAX_VALUE and x.max() <= MAX_VALUE):  # false where there is a NaN
        at = tuple(int(n) for n in np.unravel_index(np.argmin(np.abs(x) <= MAX_VALUE), x.shape))
        raise file_error(path, f"{name}{list(at)} is {x[at]}: must be finite, and at most {MAX_VALUE:.2g}")


def _labels(path: Path, name: str, y: np.ndarray, count: int) -> np.ndarray:
    """The labels as int64, read-only."""
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise file_error(path, f"{name} is {y.shape} {y.dtype}: must be (N,) integers, the classes 0 … C-1")
    if len(y) != count:
        raise file_error(path, f"{name} has {len(y):,} labels for {count:,} sequences")
    if y.min() < 0:
        at = int(np.argmax(y < 0))
        raise file_error(path, f"{name}[{at}] is {y[at]}: classes are 0 … C-1")
    if y.max() > np.iinfo(np.int64).max:
        raise file_error(path, f"{name} has the label {y.max()}: classes are 0 … C-1")
    labels = y.astype(np.int64)
    labels.setflags(write=False)
    return labels


def _check_classes(path: Path, y: np.ndarray) -> None:
    classes = np.unique(y)
    if classes[-1] != len(classes) - 1:
        missing = int(np.argmax(classes != np.arange(len(classes))))
        raise file_error(
            path, f"y has labels up to {classes[-1]}, but none is {missing}: every class 0 … C-1 must occur"
        )
    if len(classes) < 2:
        raise file_error(path, "y has one class only; there must be at least two")


def split_rows(
    path: Path, content: Content, options: SplitOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of x that train, validate and test; no rows test where the file has a test split.

    Validation and test hold the classes in the proportions of the whole, and every class is in the training
    rows. Raises DataError where there are too few sequences for that.
    """
    random = stream(options.seed, "split")
    rows = random.permutation(len(content.y))
    test = rows[:0]
    if content.test is None:
        rows, test = stratified(content.y, rows, math.ceil(options.test_fraction * len(rows)))
    train, validation = stratified(content.y, rows, max(1, len(rows) // VALIDATION_DIVISOR))
    if not len(validation) or (content.test is None and not len(test)):
        fraction = f"data.test_fraction={options.test_fraction:g}"
        splits = "validation" if content.test else f"validation and test ({fraction})"
        raise file_error(
            path,
            f"{len(content.y)} sequences of {content.classes} classes are too few to leave some for "
            f"{splits} and every class to train on",
        )
    return random.permutation(train), np.sort(validation), np.sort(test)


def to_float(examples: np.ndarray, train: np.ndarray, normalize: str, dtype: Any) -> np.ndarray:
    """Sequences (N, T, I) as C-contiguous floats of `dtype`.

    With `normalize=standard` each feature is shifted by its mean over `train` (N', T, I) and divided by its
    standard deviation there, unless that is zero. Raises DataError where a number is then too large for
    `dtype`.
    """
    if normalize == "standard":
        constant = train.min(axis=(0, 1)) == train.max(axis=(0, 1))
        deviation = train.std(axis=(0, 1), dtype=np.float64)
        examples = examples - train.mean(axis=(0, 1), dtype=np.float64)
        examples /= np.where(constant, 1.0, deviation)
    with np.errstate(over="ignore"):
        floats = np.array(examples, dtype, order="C")
    if not np.isfinite(floats).all():
        raise DataError(f"data.normalize={normalize}: leaves numbers that are too large for {dtype}")
    return floats
