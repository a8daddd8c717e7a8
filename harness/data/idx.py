"""IDX files (MNIST's format), gzipped: read strictly, or not at all.

Layout, big-endian: `00 00 <type> <number of dimensions>`, one uint32 per dimension, then the values.
Source: http://yann.lecun.com/exdb/mnist/ ("The IDX file format"). Only type 08 (uint8) is read.
"""

import math
import struct
import zlib
from pathlib import Path

import numpy as np

from harness.errors import DataError

Shape = tuple[int, ...]

UINT8 = 0x08
GZIP = 16 + zlib.MAX_WBITS  # what zlib calls "a gzip header and its checksum"


def damaged(label: object, *, found: str, expected: str) -> DataError:
    """The one wording for a file that is not what it should be; `label` is its path or its address."""
    return DataError(f"{label}: found {found}, expected {expected}.")


def content_bytes(shape: Shape) -> int:
    """The exact size in bytes of an uncompressed IDX file of uint8 values of this shape."""
    return 4 + 4 * len(shape) + math.prod(shape)


def gzip_limit(shape: Shape) -> int:
    """The most bytes that gzip can make of such a file: deflate grows what it cannot shrink by < 1 %."""
    return content_bytes(shape) + content_bytes(shape) // 100 + 4096


def read_bytes(path: Path, *, limit: int, label: object) -> bytes:
    """The file's bytes. A file above `limit` bytes is refused before it is read."""
    try:
        if not path.is_file():
            raise damaged(label, found="no regular file", expected="a gzip file")
        size = path.stat().st_size
        if size > limit:
            raise damaged(label, found=f"{size:,} bytes", expected=f"a gzip file of at most {limit:,} bytes")
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise DataError(f"{label}: cannot be read ({error.strerror or error}).") from error


def decompress(packed: bytes, *, size: int, label: object) -> bytes:
    """The content of a gzip file that must hold `size` bytes; never makes more than `size` + 1 of them.

    Raises DataError for an empty, truncated or corrupt file, and for one that is not gzip or too long.
    """
    expected = f"a gzip file holding {size:,} bytes"
    if not packed:
        raise damaged(label, found="an empty file", expected=expected)
    content, rest = b"", packed
    while rest.strip(b"\0"):  # gzip files may be concatenated, and padded with zeros
        member = zlib.decompressobj(GZIP)
        try:
            content += member.decompress(rest, size + 1 - len(content))
        except zlib.error as error:
            raise damaged(label, found=_gzip_fault(rest, error), expected=expected) from error
        if len(content) > size:
            raise damaged(label, found="more than that", expected=expected)
        if not member.eof:
            found = f"a gzip file that breaks off after {len(packed):,} bytes ({len(content):,} uncompressed)"
            raise damaged(label, found=found, expected=expected)
        rest = member.unused_data
    return content


def parse(content: bytes, *, shape: Shape, label: object) -> np.ndarray:
    """The uint8 array of `shape` in the bytes of an uncompressed IDX file: a read-only view, no copy.

    Raises DataError where the magic number, a dimension or the length differs from what `shape` demands.
    """
    header = 4 + 4 * len(shape)
    magic = UINT8 << 8 | len(shape)
    if len(content) < header:
        raise damaged(label, found=f"{len(content)} bytes", expected=f"an IDX header of {header} bytes")
    found_magic, *dims = struct.unpack_from(f">I{len(shape)}I", content)
    if found_magic != magic:
        raise damaged(label, found=f"magic number 0x{found_magic:08x}", expected=f"0x{magic:08x}")
    if tuple(dims) != shape:
        raise damaged(label, found=f"{_times(dims)} values in its header", expected=_times(shape))
    if len(content) != content_bytes(shape):
        found = f"{len(content):,} bytes uncompressed"
        raise damaged(label, found=found, expected=f"{content_bytes(shape):,} for {_times(shape)} values")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _gzip_fault(rest: bytes, error: zlib.error) -> str:
    if not rest.startswith(b"\x1f\x8b"):
        return f"bytes that are not gzip (they start with {rest[:4].hex(' ')})"
    return f"a corrupt gzip stream ({str(error).split(': ')[-1]})"


def _times(shape: "Shape | list[int]") -> str:
    return " × ".join(f"{n:,}" for n in shape)
