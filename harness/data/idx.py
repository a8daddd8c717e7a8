"""IDX files, MNIST's format, gzipped or not; anything unexpected raises DataError.

Layout, big-endian: `00 00 <type> <number of dimensions>`, one uint32 per dimension, then the values.
Source: http://yann.lecun.com/exdb/mnist/ ("The IDX file format"). Only type 08 (uint8) is read.
"""

import math
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from harness.errors import DataError

UINT8 = 0x08
ZEROS = bytes(2)  # the first bytes of an uncompressed file
GZIP = 16 + zlib.MAX_WBITS  # selects gzip instead of zlib streams


def content_error(label: object, *, found: str, expected: str) -> DataError:
    """The error for a file that is not the expected one; `label` is its path or URL."""
    return DataError(f"{label}: found {found}, expected {expected}.")


def content_bytes(shape: tuple[int, ...]) -> int:
    """The exact size in bytes of an uncompressed IDX file of uint8 values of this shape."""
    return 4 + 4 * len(shape) + math.prod(shape)


def gzip_limit(shape: tuple[int, ...]) -> int:
    """The largest gzip file of such content: deflate grows incompressible bytes by less than 1 %."""
    return content_bytes(shape) + content_bytes(shape) // 100 + 4096


def read_bytes(path: Path, *, limit: int, label: object) -> bytes:
    """The file's bytes; raises DataError for a file above `limit` bytes without reading it."""
    try:
        if not path.is_file():
            raise content_error(label, found="no regular file", expected="a gzip file")
        size = path.stat().st_size
        if size > limit:
            raise content_error(
                label, found=f"{size:,} bytes", expected=f"a gzip file of at most {limit:,} bytes"
            )
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"{label}: cannot be read ({error.strerror or error}).") from error


def decompress(packed: bytes, *, size: int, label: object) -> bytes:
    """The content of a gzip file that must hold `size` bytes; decompresses at most `size` + 1 bytes.

    Raises DataError for an empty, truncated or corrupt file, and for one that is not gzip or too long.
    """
    expected = f"a gzip file holding {size:,} bytes"
    if not packed:
        raise content_error(label, found="an empty file", expected=expected)
    member = zlib.decompressobj(GZIP)
    try:
        content = member.decompress(packed, size + 1)
    except zlib.error as error:
        raise content_error(label, found=_gzip_fault(packed, error), expected=expected) from error
    if len(content) > size:
        raise content_error(label, found="a gzip file that holds more", expected=expected)
    if not member.eof:
        found = f"a gzip file that breaks off after {len(packed):,} bytes ({len(content):,} uncompressed)"
        raise content_error(label, found=found, expected=expected)
    if member.unused_data:
        found = f"{len(member.unused_data):,} bytes after the end of the gzip stream"
        raise content_error(label, found=found, expected=expected)
    return content


def parse(content: bytes, *, shape: tuple[int, ...], label: object) -> np.ndarray:
    """The uint8 array of `shape` in the bytes of an uncompressed IDX file: a read-only view, no copy.

    Raises DataError where the magic number, a dimension or the length differs from what `shape` demands.
    """
    header = 4 + 4 * len(shape)
    magic = UINT8 << 8 | len(shape)
    if len(content) < header:
        raise content_error(label, found=f"{len(content)} bytes", expected=f"an IDX header of {header} bytes")
    found_magic, *dims = struct.unpack_from(f">I{len(shape)}I", content)
    if found_magic != magic:
        raise content_error(label, found=f"magic number 0x{found_magic:08x}", expected=f"0x{magic:08x}")
    if tuple(dims) != shape:
        raise content_error(label, found=f"{_times(dims)} values in its header", expected=_times(shape))
    if len(content) != content_bytes(shape):
        found = f"{len(content):,} bytes uncompressed"
        raise content_error(
            label, found=found, expected=f"{content_bytes(shape):,} for {_times(shape)} values"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _gzip_fault(packed: bytes, error: zlib.error) -> str:
    if not packed.startswith(b"\x1f\x8b"):
        return f"bytes that are not gzip (they start with {packed[:4].hex(' ')})"
    return f"a corrupt gzip stream ({str(error).split(': ')[-1]})"


def _times(shape: Iterable[int]) -> str:
    return " × ".join(f"{n:,}" for n in shape)
