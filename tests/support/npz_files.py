"""NPZ files: good ones, and the parts of which damaged ones are made."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.own_sequences import SplitOptions

SPLIT = SplitOptions(0.2, 0)


def example(count: int = 120, classes: int = 3) -> dict[str, np.ndarray]:
    """Waves (count, 12, 2) whose frequency is their class."""
    rng = np.random.default_rng(5)
    y = np.arange(count) % classes
    phase = rng.uniform(0, 2 * np.pi, (count, 1))
    wave = np.sin(np.arange(12) * (y[:, None] + 1) * 0.5 + phase)
    return {"x": np.stack([wave, 100 + 10 * wave**2], axis=2), "y": y}


def save(path: Path, **content: Any) -> Path:
    np.savez(path, **content)
    return path


EXAMPLE = example(24, 2)
X, Y = EXAMPLE["x"], EXAMPLE["y"]


def changed(at: tuple[int, ...], value: float, array: np.ndarray = X) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


def array_bytes(array: np.ndarray) -> bytes:
    """An array as numpy.save writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy(array: np.ndarray, **header: Any) -> bytes:
    """An array as .npy, some of its header replaced."""
    described = np.lib.format.header_data_from_array_1_0(array) | header
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue() + array.tobytes()


def zipped(path: Path, method: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    """A zip archive of .npy members with any content."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path
