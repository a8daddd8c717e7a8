"""Damaged data files: each is named, with what was found and what was expected; none is used or touched."""

import gzip
import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import idx
from harness.data.dataset import load_files
from harness.data.mnist import MNIST, DataFile
from harness.errors import DataError
from tests.support.datasets import (
    GOOD,
    IMAGES,
    PACKED,
    TRAIN,
    changed,
    flipped,
    mutations,
    put,
    small_arrays,
    small_dataset,
    small_files,
)

SIZE = "a gzip file holding 9,424 bytes"
BAD = {
    "empty": (b"", "an empty file", SIZE),
    "truncated": (PACKED[:3000], "breaks off after 3,000 bytes", SIZE),
    "without its last byte": (PACKED[:-1], "breaks off after", SIZE),
    "a web page": (b"<html>404</html>", "not gzip (they start with 3c 68 74 6d)", SIZE),
    "not compressed, and short": (GOOD[:-28], "9,396 bytes uncompressed", "9,424 for 12 × 28 × 28 values"),
    "not compressed, another pixel": (
        flipped(GOOD, 8 * 500),
        f"checksum {hashlib.sha256(flipped(GOOD, 8 * 500)).hexdigest()}",
        hashlib.sha256(GOOD).hexdigest(),
    ),
    "bit flip": (flipped(PACKED, 8 * 4000), "a corrupt gzip stream (incorrect data check)", SIZE),
    "bytes behind": (PACKED + b"more", "4 bytes after the end of the gzip stream", SIZE),
    "bomb": (gzip.compress(bytes(5_000_000)), "a gzip file that holds more", SIZE),
    "huge": (bytes(50_000), "50,000 bytes", "a gzip file of at most 13,614 bytes"),
    "no header": (gzip.compress(GOOD[:7]), "7 bytes", "an IDX header of 16 bytes"),
    "labels": (gzip.compress(changed(GOOD, 3, b"\1")), "magic number 0x00000801", "0x00000803"),
    "float32": (gzip.compress(changed(GOOD, 2, b"\r")), "magic number 0x00000d03", "0x00000803"),
    "count": (gzip.compress(changed(GOOD, 7, b"\x0b")), "11 × 28 × 28 values in its header", "12 × 28 × 28"),
    "overflow": (
        gzip.compress(changed(GOOD, 4, b"\xff" * 12)),
        "4,294,967,295 × 4,294,967,295 × 4,294,967,295 values in its header",
        "12 × 28 × 28",
    ),
    "short": (gzip.compress(GOOD[:-28]), "9,396 bytes uncompressed", "9,424 for 12 × 28 × 28 values"),
    "another pixel": (
        gzip.compress(flipped(GOOD, 8 * 500)),
        f"checksum {hashlib.sha256(flipped(GOOD, 8 * 500)).hexdigest()}",
        hashlib.sha256(GOOD).hexdigest(),
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_damaged_file(kind: str, tmp_path: Path) -> None:
    packed, found, expected = BAD[kind]
    path = put(tmp_path, small_files() | {IMAGES: packed}) / IMAGES
    with pytest.raises(DataError) as caught:
        load_files(small_dataset(), tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path}: found ")
    assert found in message.split(", expected ")[0]
    assert expected in message.split(", expected ")[1]
    assert "remove it to fetch it again" in message
    assert len(message.splitlines()) == 2
    assert path.read_bytes() == packed


@pytest.mark.parametrize("name", small_files())
def test_each_of_the_four_is_verified(name: str, tmp_path: Path) -> None:
    folder = put(tmp_path)
    content = gzip.decompress((folder / name).read_bytes())
    (folder / name).write_bytes(gzip.compress(flipped(content, 8 * len(content) - 1)))
    with pytest.raises(DataError, match=f"{name}: found checksum"):
        load_files(small_dataset(), tmp_path)


def test_who_compressed_a_file_does_not_matter(tmp_path: Path) -> None:
    put(tmp_path, small_files(level=1))
    load_files(small_dataset(), tmp_path)


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    path = put(tmp_path) / IMAGES
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="found no regular file, expected a gzip file"):
        load_files(small_dataset(), tmp_path)
    assert path.is_dir()


@pytest.mark.parametrize(
    ("file", "packed"),
    [
        (small_dataset().train_images, gzip.compress(bytes(5_000_000))),
        (MNIST.train_images, PACKED),
        (MNIST.train_images, b"\x1f\x8b"),
    ],
    ids=["a bomb", "a small file", "two bytes"],
)
def test_memory_stays_below_what_the_file_justifies(file: DataFile, packed: bytes, tmp_path: Path) -> None:
    """Neither what a bomb holds is unpacked, nor room for 60,000 images reserved for a small file."""
    (tmp_path / IMAGES).write_bytes(packed)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            file.read(tmp_path / IMAGES)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@settings(max_examples=400, deadline=None)
@given(content=mutations(GOOD))
def test_parser_gives_the_values_or_a_data_error(content: bytes) -> None:
    shape = (TRAIN, 28, 28)
    if content[:16] == GOOD[:16] and len(content) == len(GOOD):
        array = idx.parse(content, shape=shape, label="file")
        assert array.shape == shape
        assert array.tobytes() == content[16:]
    else:
        with pytest.raises(DataError, match=r"^file: found .*, expected "):
            idx.parse(content, shape=shape, label="file")


@settings(max_examples=400, deadline=None)
@given(packed=mutations(PACKED) | mutations(GOOD) | mutations(GOOD).map(gzip.compress) | st.binary())
def test_a_mutated_file_gives_the_very_array_or_a_data_error(
    packed: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(packed)
    try:
        array = small_dataset().train_images.read(path)
    except DataError:
        array = None
    if array is not None:
        np.testing.assert_array_equal(array, small_arrays()[IMAGES])
    assert path.read_bytes() == packed
