"""Sequences of one's own: a file with the arrays x (N, T, I) and y (N,), and perhaps x_test and y_test.

    numpy.savez("mine.npz", x=x, y=y)

Integers are used as numbers. Labels are 0 … C-1. Whatever else is in the file is left alone, and nothing
is ever unpickled: an array's header is read and checked before its content is. Arrays that take up more than
`RATIO` times the file, and more than `ALWAYS`, are refused before any of it is unpacked; and so are
more sequences than that: using a file takes at most four times as much memory as the larger of the two.
"""

import hashlib
import io
import math
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from harness.data.dataset import Dataset, Part
from harness.errors import DataError
from harness.model.initializers import stream
from harness.text import one_line

OWN = "npz"  # the data.name of a person's own file
LIMIT = np.float64(np.finfo(np.float32).max)
VALIDATION = 12  # one in so many of what is not for the test validates
ALWAYS = 16 * 2**20  # bytes of arrays that any file may hold
RATIO = 100  # times its own size that a larger one may: beyond that is a bomb, or hardly anything but zeros
PER_ROW = 100  # bytes that parting the rows takes, for each of them
HEADER = 16 * 1024  # bytes: NumPy reads none of more than 10,000
CHUNK = 2**20  # bytes that are unpacked at once
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# what zipfile, its decompressors and NumPy's reader of headers raise for bytes that are not theirs
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    SyntaxError,
    TokenError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


class Split(NamedTuple):
    """How much of x tests where there is no x_test, and by which seed that and the validation is drawn."""

    test_fraction: float
    seed: int


@dataclass(frozen=True, eq=False)
class Content:
    """What is in a file, checked: x (N, T, I), y (N,) int64, the same for the test or None."""

    x: np.ndarray
    y: np.ndarray
    test: Part | None
    sha256: str

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1

    def part(self, rows: np.ndarray) -> Part:
        """Some rows of x and y, copied."""
        part = Part(self.x[rows], self.y[rows])
        for array in part:
            array.setflags(write=False)
        return part


@dataclass(frozen=True)
class Facts:
    """What is known of a file that can be used."""

    steps: int
    features: int
    classes: int
    sha256: str


def load(path: Path, split: Split, limit: int | None = None) -> Dataset:
    """The dataset in a file; `limit` keeps so many of the sequences that train, in the order of the seed.

    Raises DataError for anything that is not as said above.
    """
    found = read(path)
    train, validation, test = choose(path, found, split)
    train = train[:limit]
    return Dataset(
        name="npz",
        train=found.part(train),
        validation=found.part(validation),
        test=found.test or found.part(test),
        classes=found.classes,
        sha256=found.sha256,
    )


def examine(path: Path, split: Split) -> Facts:
    """Reads and checks a file as `load` does, once for as long as it stays the same; raises DataError."""
    try:
        state = path.expanduser().stat()
    except (OSError, RuntimeError) as error:
        raise _refused(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _examined(path, split, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))


@cache
def _examined(path: Path, split: Split, state: tuple[int, ...]) -> Facts:
    found = read(path)
    choose(path, found, split)
    _, steps, features = found.x.shape
    return Facts(steps, features, found.classes, found.sha256)


def read(path: Path) -> Content:
    """All arrays of a file, checked; raises DataError."""
    try:
        place = path.expanduser()
        if not place.is_file():
            raise _refused(path, "is no file" if place.exists() else "no such file")
        with place.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not zipfile.is_zipfile(file):
                raise _refused(path, "is no npz file, as numpy.savez writes them")
            with zipfile.ZipFile(file) as archive:
                members = _members(path, archive)
                size = file.seek(0, os.SEEK_END)
                whole = sum(info.file_size for info in members.values())
                _check_room(path, f"says that it holds {whole:,} bytes", whole, size)
                arrays = {name: _array(path, archive, name, info) for name, info in members.items()}
    except DAMAGE as error:
        said = getattr(error, "strerror", None) or str(error)
        raise _refused(path, f"cannot be read: {said or type(error).__name__}") from error
    rows = sum(len(array) for name, array in arrays.items() if array.ndim and name.startswith("x"))
    _check_room(path, f"holds {rows:,} sequences", PER_ROW * rows, size)
    _check_sequences(path, "x", arrays["x"])
    y = _labels(path, "y", arrays["y"], len(arrays["x"]))
    _check_classes(path, y)
    if "x_test" not in arrays:
        return Content(arrays["x"], y, None, digest)
    _check_sequences(path, "x_test", arrays["x_test"])
    _check_alike(path, arrays["x"], arrays["x_test"])
    y_test = _labels(path, "y_test", arrays["y_test"], len(arrays["x_test"]))
    if y_test.max() > y.max():
        raise _refused(path, f"y_test has the label {y_test.max()}, which y has not")
    return Content(arrays["x"], y, Part(arrays["x_test"], y_test), digest)


def _refused(path: Path, what: str) -> DataError:
    return DataError(f"data.path={path}: {one_line(what)}")


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """x and y, and x_test and y_test if they are there."""
    there: dict[str, list[zipfile.ZipInfo]] = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            there.setdefault(info.filename.removesuffix(".npy"), []).append(info)
    for name in ("x", "y"):
        if name not in there:
            among = ", ".join(name[:40] for name in sorted(there)[:8]) or "none"
            raise _refused(path, f"has no array {name}; there must be x (N, T, I) and y (N,); found: {among}")
    tests = {"x_test", "y_test"} & there.keys()
    if len(tests) == 1:
        raise _refused(path, f"has {tests.pop()} alone: x_test and y_test belong together")
    names = ["x", "y", *sorted(tests)]
    for name in names:
        if len(there[name]) > 1:
            raise _refused(path, f"has {len(there[name])} arrays {name}: which of them is meant?")
        if there[name][0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(path, f"{name} is compressed in a way that numpy.savez_compressed does not use")
    return {name: there[name][0] for name in names}


def _check_room(path: Path, what: str, needed: int, size: int) -> None:
    """Refuses what would take more memory than a file of that size justifies."""
    if needed > max(ALWAYS, RATIO * size):
        raise _refused(
            path,
            f"{what} in {size:,}: what is packed more tightly than {RATIO} to 1 is read only uncompressed, "
            "as numpy.savez writes it",
        )


def _array(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> np.ndarray:
    """One array of numbers, read-only; its header must say exactly what is there."""
    with archive.open(info) as member:
        start = io.BytesIO(member.read(HEADER))
        version = npy.read_magic(start)
        if version not in HEADERS:
            raise _refused(path, f"{name} is stored in a format that is not read here")
        shape, by_columns, dtype = HEADERS[version](start)
        if dtype.kind not in "iuf":
            raise _refused(path, f"{name} holds {dtype}: must be floating or integer numbers")
        if 0 in shape or min(shape, default=1) < 0:
            raise _refused(path, f"{name} is empty: {shape}")
        size = math.prod(shape) * dtype.itemsize
        if info.file_size - start.tell() != size:
            raise _refused(
                path,
                f"{name} is damaged: {shape} {dtype} takes {size:,} bytes, not the "
                f"{info.file_size - start.tell():,} that are there",
            )
        content = np.empty(size, np.uint8)
        found = _fill(content.data, start, member)
    if found != size:
        raise _refused(path, f"{name} is damaged: it ends after {found:,} of {size:,} bytes")
    array = content.view(dtype).reshape(shape, order="F" if by_columns else "C")
    array.setflags(write=False)
    return array


def _fill(room: memoryview, *sources: IO[bytes]) -> int:
    """Reads the sources one after the other, to their end or that of the room; how many bytes there were.

    In pieces: asked for all of it, zipfile unpacks what there is, however much was announced.
    """
    found = 0
    for source in sources:
        while piece := source.read(min(CHUNK, len(room) - found)):
            room[found : found + len(piece)] = piece
            found += len(piece)
    return found


def _check_sequences(path: Path, name: str, x: np.ndarray) -> None:
    if x.ndim != 3:
        raise _refused(path, f"{name} is {x.shape}: must be (N, T, I), sequences of T steps of I features")
    if not (x.min() >= -LIMIT and x.max() <= LIMIT):  # false where there is a NaN
        at = tuple(int(n) for n in np.unravel_index(np.argmin(np.abs(x) <= LIMIT), x.shape))
        raise _refused(path, f"{name}{list(at)} is {x[at]}: must be finite, and at most {LIMIT:.2g}")


def _check_alike(path: Path, x: np.ndarray, x_test: np.ndarray) -> None:
    if x.shape[1:] != x_test.shape[1:]:
        raise _refused(path, f"x_test is {x_test.shape}, but x {x.shape}: T and I must be the same")


def _labels(path: Path, name: str, y: np.ndarray, count: int) -> np.ndarray:
    """The labels as int64, read-only."""
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise _refused(path, f"{name} is {y.shape} {y.dtype}: must be (N,) integers, the classes 0 … C-1")
    if len(y) != count:
        raise _refused(path, f"{name} has {len(y):,} labels for {count:,} sequences")
    if y.min() < 0:
        at = int(np.argmax(y < 0))
        raise _refused(path, f"{name}[{at}] is {y[at]}: classes are 0 … C-1")
    if y.max() > np.iinfo(np.int64).max:
        raise _refused(path, f"{name} has the label {y.max()}: classes are 0 … C-1")
    labels = y.astype(np.int64)
    labels.setflags(write=False)
    return labels


def _check_classes(path: Path, y: np.ndarray) -> None:
    there = np.unique(y)
    if there[-1] != len(there) - 1:
        missing = int(np.argmax(there != np.arange(len(there))))
        raise _refused(
            path, f"y has labels up to {there[-1]}, but none is {missing}: every class 0 … C-1 must occur"
        )
    if len(there) < 2:
        raise _refused(path, "y has one class only; there must be at least two")


def choose(path: Path, found: Content, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of x that train, validate and test; the last are none where the file has a test of its own.

    What tests and validates has the classes in the proportions of all, and every class is among what
    trains. Raises DataError where there is not enough for that.
    """
    random = stream(split.seed, "split")
    rows = random.permutation(len(found.y))
    test = rows[:0]
    if found.test is None:
        rows, test = _stratified(found.y, rows, math.ceil(split.test_fraction * len(rows)))
    train, validation = _stratified(found.y, rows, max(1, len(rows) // VALIDATION))
    if not len(validation) or (found.test is None and not len(test)):
        fraction = f"data.test_fraction={split.test_fraction:g}"
        parts = "validation" if found.test else f"validation and test ({fraction})"
        raise _refused(
            path,
            f"{len(found.y)} sequences of {found.classes} classes are too few to leave some for "
            f"{parts} and every class to train on",
        )
    return random.permutation(train), np.sort(validation), np.sort(test)


def _stratified(labels: np.ndarray, rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Parts `rows` into (the others, `size` of them): of each class its share, and never all of it.

    The first of each class are taken. The shares are rounded down; what is left goes to the classes with
    the largest remainders, as far as they have more than one row left.
    """
    y = labels[rows]
    counts = np.bincount(y)
    shares, remainders = np.divmod(counts * size, len(rows))
    shares = np.minimum(shares, counts - 1)
    remainders[shares + 1 >= counts] = 0
    more = np.argsort(-remainders, kind="stable")[: size - shares.sum()]
    shares[more] += remainders[more] > 0
    by_class = np.argsort(y, kind="stable")
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = np.zeros(len(rows), bool)
    taken[by_class] = rank < np.repeat(shares, counts)
    return rows[~taken], rows[taken]


def to_float(examples: np.ndarray, train: np.ndarray, normalize: str, dtype: Any) -> np.ndarray:
    """Sequences (N, T, I) as floats of `dtype`, C-contiguous: as they are or, with `standard`, less the mean
    of each feature over `train` and divided by its deviation, where it has one.

    Raises DataError where a number is then too large for `dtype`.
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
