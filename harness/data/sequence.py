"""Images read as sequences: (N, 28, 28) -> (N, T, I), by rows, columns or single pixels."""

import functools
import hashlib
import zlib
from typing import Any, Literal

import numpy as np

from harness.errors import ConfigError

SEQUENCES = ("row", "column", "pixel", "permuted")
NORMALIZE = ("none", "standard")

SIDE = 28
GROUPS = (1, 2, 4, 7, 14, 28)  # the divisors of 28
PERMUTATION_SEED = 1504_00941  # arXiv 1504.00941, where permuted MNIST comes from (Le et al., 2015)
MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's training pixels, divided by 255


def shape(name: str, rows_per_step: int = 1) -> tuple[int, int]:
    """(T, I) of a sequence. Raises ConfigError, naming the key, for an unknown name or grouping."""
    if name not in SEQUENCES:
        raise ConfigError(f"sequence.name={name}: no such sequence; choose one of {', '.join(SEQUENCES)}.")
    allowed = GROUPS if name in ("row", "column") else (1,)
    if rows_per_step not in allowed:
        choice = f"one of {', '.join(map(str, allowed))}" if len(allowed) > 1 else "1 (its steps are pixels)"
        raise ConfigError(f"sequence.rows_per_step={rows_per_step}: sequence={name} takes {choice}.")
    if name in ("row", "column"):
        return SIDE // rows_per_step, SIDE * rows_per_step
    return SIDE * SIDE, 1


def view(images: np.ndarray, name: str, rows_per_step: int = 1) -> np.ndarray:
    """Images (N, 28, 28) as sequences (N, T, I), time from top to bottom or left to right.

    A step holds `rows_per_step` rows (or columns), one after another. The result is a view where possible:
    `permuted`, and `column` with more than one column per step, are copies.
    """
    steps, features = shape(name, rows_per_step)
    if name == "column":
        images = images.transpose(0, 2, 1)
    elif name == "permuted":
        images = images.reshape(len(images), SIDE * SIDE)[:, permutation()]
    return images.reshape(len(images), steps, features)


@functools.cache
def permutation() -> np.ndarray:
    """The fixed order (784,) int64 in which `permuted` reads the pixels."""
    stream = np.random.default_rng([PERMUTATION_SEED, zlib.crc32(b"permuted")])
    order = stream.permutation(SIDE * SIDE).astype(np.int64)
    order.setflags(write=False)
    return order


def permutation_hash() -> str:
    """SHA-256 of the permutation, as little-endian int64."""
    return hashlib.sha256(permutation().astype("<i8").tobytes()).hexdigest()


def to_float(sequences: np.ndarray, normalize: Literal["none", "standard"] | str, dtype: Any) -> np.ndarray:
    """uint8 pixels as floats of `dtype`, C-contiguous: divided by 255; `standard` also subtracts MNIST's
    mean 0.1307 and divides by its deviation 0.3081."""
    if normalize not in NORMALIZE:
        raise ConfigError(f"data.normalize={normalize}: choose one of {', '.join(NORMALIZE)}.")
    floats: np.ndarray = np.divide(sequences, 255, dtype=dtype, order="C")
    if normalize == "standard":
        floats -= np.asarray(MEAN, dtype)
        floats /= np.asarray(DEVIATION, dtype)
    return floats
