"""Small data sets in the files of the real ones, and what can be wrong with them."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from harness.data.mnist import MNIST, DataFile, DatasetFiles


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".download.lock"}


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.part"))


TRAIN, TEST = 12, 5


def encode(array: np.ndarray) -> bytes:
    """The IDX file of a uint8 array."""
    return struct.pack(f">I{array.ndim}I", 0x800 | array.ndim, *array.shape) + array.tobytes()


def small_arrays() -> dict[str, np.ndarray]:
    """A dataset of 12 + 5 random images: the same in every process that asks."""
    stream = np.random.default_rng(5)
    shapes = {
        "train-images-idx3-ubyte.gz": (TRAIN, 28, 28),
        "train-labels-idx1-ubyte.gz": (TRAIN,),
        "t10k-images-idx3-ubyte.gz": (TEST, 28, 28),
        "t10k-labels-idx1-ubyte.gz": (TEST,),
    }
    return {
        name: stream.integers(0, 256 if len(shape) == 3 else 10, shape).astype(np.uint8)
        for name, shape in shapes.items()
    }


def small_files(level: int = 9) -> dict[str, bytes]:
    """The same dataset as gzip files."""
    return {name: gzip.compress(encode(array), level, mtime=0) for name, array in small_arrays().items()}


def small_dataset(mirrors: tuple[str, ...] = ()) -> DatasetFiles:
    files = (
        DataFile(name, array.shape, hashlib.sha256(encode(array)).hexdigest())
        for name, array in small_arrays().items()
    )
    return DatasetFiles("small", *files, mirrors=mirrors, torchvision="Small", validation=2)


def put(root: Path, contents: dict[str, bytes] | None = None, below: str = "small") -> Path:
    folder = root / below
    folder.mkdir(parents=True, exist_ok=True)
    for name, packed in (contents or small_files()).items():
        (folder / name).write_bytes(packed)
    return folder


def real_mnist() -> Path:
    """The root below which real MNIST lies; skips the test that asks where it does not."""
    root = Path(os.environ.get("HARNESS_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if missing := MNIST.missing(root):
        pytest.skip(f"no {missing[0].name} in {MNIST.folders(root)[0]}")
    return root


IMAGES = "train-images-idx3-ubyte.gz"


GOOD = encode(small_arrays()[IMAGES])


PACKED = small_files()[IMAGES]


def changed(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


def flipped(content: bytes, bit: int) -> bytes:
    return changed(content, bit // 8, bytes([content[bit // 8] ^ 1 << bit % 8]))


FIELDS = st.sampled_from([0, 1, 2, 11, 12, 13, 28, 255, 2**16, 2**31, 2**32 - 1])


@st.composite
def mutations(draw: st.DrawFn, content: bytes) -> bytes:
    """One to three changes of any kind: bits, cuts, insertions, header fields."""
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["flip", "cut", "drop", "insert", "field"]))
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        if kind == "flip" and content:
            content = flipped(content, 8 * at + draw(st.integers(0, 7)))
        elif kind == "cut":
            content = content[:at]
        elif kind == "drop":
            content = content[:at] + content[at + draw(st.integers(1, 900)) :]
        elif kind == "insert":
            content = content[:at] + draw(st.binary(min_size=1, max_size=40)) + content[at:]
        elif kind == "field":
            content = changed(content, 4 * draw(st.integers(0, 3)), struct.pack(">I", draw(FIELDS)))
    return content


NAMES = tuple(small_files())
