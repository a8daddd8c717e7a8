"""NPZ files that nobody vouches for: arrays of numbers, read in bounded memory and never unpickled.

An array's header is checked before its content is read. Arrays that take more than `FREE_BYTES` and more than
`MAX_RATIO` times the file are rejected before anything is decompressed. So are files with so many sequences
that splitting them would: using a file takes at most four times the larger of the two.
"""

import hashlib
import io
import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy

from harness.errors import DataError
from harness.text import one_line

FREE_BYTES = 16 * 2**20  # of arrays: allowed in a file of any size
MAX_RATIO = 100  # of arrays to file, beyond that: a larger one is a bomb, or hardly anything but zeros
BYTES_PER_ROW = 100  # that splitting takes
HEADER_BYTES = 16 * 1024  # NumPy accepts headers of up to 10,000
CHUNK_BYTES = 2**20
HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# what zipfile, its decompressors and NumPy's header reader raise for damaged bytes
READ_ERRORS = (
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


def file_error(path: Path, problem: str) -> DataError:
    """The error for a file that cannot be used, in one line."""
    return DataError(f"data.path={path}: {one_line(problem)}")


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays `x` and `y`, and `x_test` and `y_test` if the file has them, and the file's SHA-256.

    The arrays are read-only and hold floating or integer numbers; other arrays are ignored.
    Raises DataError.
    """
    try:
        resolved = path.expanduser()
        if not resolved.is_file():
            raise file_error(path, "is not a file" if resolved.exists() else "no such file")
        with resolved.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not zipfile.is_zipfile(file):
                raise file_error(path, "is not an npz file, as numpy.savez writes them")
            with zipfile.ZipFile(file) as archive:
                members = _members(path, archive)
                file_bytes = file.seek(0, os.SEEK_END)
                unpacked = sum(info.file_size for info in members.values())
                _check_ratio(path, f"claims to hold {unpacked:,} bytes", unpacked, file_bytes)
                arrays = {name: _array(path, archive, name, info) for name, info in members.items()}
    except READ_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise file_error(path, f"cannot be read: {reason or type(error).__name__}") from error
    rows = sum(len(array) for name, array in arrays.items() if array.ndim and name.startswith("x"))
    _check_ratio(path, f"holds {rows:,} sequences", BYTES_PER_ROW * rows, file_bytes)
    return arrays, digest


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries of x and y, and of x_test and y_test if the archive has them."""
    members: dict[str, list[zipfile.ZipInfo]] = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            members.setdefault(info.filename.removesuffix(".npy"), []).append(info)
    for name in ("x", "y"):
        if name not in members:
            others = ", ".join(name[:40] for name in sorted(members)[:8]) or "none"
            raise file_error(path, f"has no array {name}; it needs x (N, T, I) and y (N,); found: {others}")
    tests = {"x_test", "y_test"} & members.keys()
    if len(tests) == 1:
        raise file_error(path, f"has {tests.pop()} alone: x_test and y_test belong together")
    names = ["x", "y", *sorted(tests)]
    for name in names:
        if len(members[name]) > 1:
            raise file_error(path, f"has {len(members[name])} arrays {name}: it may have one")
        if members[name][0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise file_error(path, f"{name} is compressed in a way that numpy.savez_compressed does not use")
    return {name: members[name][0] for name in names}


def _check_ratio(path: Path, what: str, needed: int, file_bytes: int) -> None:
    """Rejects what would take more memory than the size of the file justifies."""
    if needed > max(FREE_BYTES, MAX_RATIO * file_bytes):
        raise file_error(
            path,
            f"{what} in {file_bytes:,}: what is packed more tightly than {MAX_RATIO} to 1 is read only "
            "uncompressed, as numpy.savez writes it",
        )


def _array(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> np.ndarray:
    """One array of numbers, read-only; its size must be the one that its header announces."""
    with archive.open(info) as member:
        start = io.BytesIO(member.read(HEADER_BYTES))
        version = npy.read_magic(start)
        if version not in HEADER_READERS:
            raise file_error(path, f"{name} is stored in an unknown version of the npy format")
        shape, fortran_order, dtype = HEADER_READERS[version](start)
        if dtype.kind not in "iuf":
            raise file_error(path, f"{name} holds {dtype}: must be floating or integer numbers")
        if 0 in shape or min(shape, default=1) < 0:
            raise file_error(path, f"{name} is empty: {shape}")
        size, stored = math.prod(shape) * dtype.itemsize, info.file_size - start.tell()
        if stored != size:
            raise file_error(
                path, f"{name} is damaged: {shape} {dtype} takes {size:,} bytes, but it has {stored:,}"
            )
        content = np.empty(size, np.uint8)
        count = _read_into(content.data, start, member)
    if count != size:
        raise file_error(path, f"{name} is damaged: it ends after {count:,} of {size:,} bytes")
    array = content.view(dtype).reshape(shape, order="F" if fortran_order else "C")
    array.setflags(write=False)
    return array


def _read_into(buffer: memoryview, *sources: IO[bytes]) -> int:
    """Reads the sources one after another until they end or the buffer is full; the number of bytes read.

    In chunks: when asked for everything, zipfile decompresses all that it finds, whatever was announced.
    """
    count = 0
    for source in sources:
        while chunk := source.read(min(CHUNK_BYTES, len(buffer) - count)):
            buffer[count : count + len(chunk)] = chunk
            count += len(chunk)
    return count
