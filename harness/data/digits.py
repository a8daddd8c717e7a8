"""The embedded dataset: the 1,797 handwritten digits that ship with scikit-learn, made like MNIST.

MNIST's makers fitted each digit into 20×20 pixels with grey levels and placed it in 28×28 with its
centre of mass in the middle (http://yann.lecun.com/exdb/mnist/). This module does the same with 8×8 digits.
All arithmetic is on integers, so every machine gets the same bytes.
"""

import hashlib
import importlib.util
import zlib
from pathlib import Path

import numpy as np

from harness.data.split import class_shares
from harness.errors import DataError

TEST_SIZE = 360
DIGEST = "97a2e133676e64fbb3fdcd90d4ec353f7e567a0c73b4c9573c684af2156be67a"  # of all images, then all labels


def load_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images (1437, 28, 28) uint8 and labels (1437,) int64, then the 360 test images and labels.

    Raises DataError where scikit-learn or its digits are missing, or the digits are other ones.
    """
    images, labels = _source()
    large = _centre(_enlarge(images))
    digest = hashlib.sha256(large.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    if digest != DIGEST:
        raise DataError(f"The digits in scikit-learn: found checksum {digest}, expected {DIGEST}.")
    test = _test_mask(labels)
    return large[~test], labels[~test], large[test], labels[test]


def _source() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's images (1797, 8, 8) with values 0..16, and their labels (1797,), both int64.

    Read from the file that `sklearn.datasets.load_digits` reads: importing scikit-learn takes a second
    and brings a second OpenMP runtime into a process that is about to be timed.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(
            "data=digits comes with scikit-learn, which is not installed: pip install scikit-learn"
        )
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.exists():
        try:
            table = np.loadtxt(path, delimiter=",", dtype=np.int64)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        if table.shape != (1797, 65):
            raise DataError(f"{path}: found {table.shape} numbers, expected (1797, 65).")
        return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    from sklearn.datasets import load_digits as sklearn_digits

    images, labels = sklearn_digits(return_X_y=True)
    return images.reshape(-1, 8, 8).astype(np.int64), labels.astype(np.int64)


def _enlarge(images: np.ndarray) -> np.ndarray:
    """Bilinear interpolation: (N, 8, 8) with values 0..16 -> (N, 20, 20) with values 0..255.

    Pixel i of 20 lies at (i + 1/2)·8/20 - 1/2 = (4i - 3)/10 of 8, hence weights in tenths.
    """
    tenths = np.clip(4 * np.arange(20) - 3, 0, 70)
    left, share = np.divmod(tenths, 10)
    weights = np.zeros((20, 8), np.int64)
    np.add.at(weights, (np.arange(20), left), 10 - share)
    np.add.at(weights, (np.arange(20), np.minimum(left + 1, 7)), share)
    hundredths = weights @ images @ weights.T  # 0..1600
    return (hundredths * 255 + 800) // 1600


def _centre(images: np.ndarray) -> np.ndarray:
    """Places (N, 20, 20) in (N, 28, 28) uint8, the centre of mass as near (14, 14) as whole pixels allow.

    (14, 14), counted from 0, is where MNIST's own centres of mass lie, to half a pixel.
    """
    placed = np.zeros((len(images), 28, 28), np.uint8)
    total = images.sum(axis=(1, 2))
    steps = np.arange(20)
    row = (2 * (images.sum(axis=2) @ steps) + total) // (2 * total)  # the nearest whole pixel
    column = (2 * (images.sum(axis=1) @ steps) + total) // (2 * total)
    for image, target, top, left in zip(images, placed, 14 - row, 14 - column, strict=True):
        target[top : top + 20, left : left + 20] = image
    return placed


def _test_mask(labels: np.ndarray) -> np.ndarray:
    """Marks the test images, (N,) bool: from each class its share, spread evenly over its images."""
    mask = np.zeros(len(labels), bool)
    for label, (count, share) in enumerate(
        zip(np.bincount(labels), class_shares(labels, TEST_SIZE), strict=True)
    ):
        mask[np.flatnonzero(labels == label)[np.arange(share) * count // share]] = True
    return mask
