"""Thousands of damaged IDX files: a clear error or the right array, in bounded memory."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from harness.data.mnist import MNIST
from harness.errors import DataError
from tests.support.datasets import GOOD, IMAGES, PACKED, mutations, small_arrays, small_dataset
from tests.support.fuzz import fuzz
from tests.support.memory import MIB, at_most


def compressed(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def bombed(size: int) -> bytes:
    """A gzip file of zeros behind a good header."""
    return compressed(GOOD[:16] + bytes(size))


GZIP = st.one_of(
    mutations(PACKED),
    mutations(GOOD).map(compressed),
    mutations(GOOD).map(lambda content: PACKED[:10] + zlib.compress(content)[2:]),
    st.tuples(mutations(GOOD), mutations(GOOD)).map(lambda two: b"".join(map(compressed, two))),
    st.integers(0, 300_000).map(bombed),
    st.binary(max_size=200),
)


@fuzz(300, 4000, packed=GZIP)
def test_idx(packed: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """At most the file, and as many bytes again as a good one unpacks to."""
    path = tmp_path_factory.getbasetemp() / IMAGES
    path.write_bytes(packed)
    file = small_dataset().train_images
    with at_most(len(packed) + 2 * len(GOOD) + 64 * 1024):
        try:
            array = file.read(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            assert str(error).isprintable()  # noqa: PT017
            array = None
    if array is not None:
        np.testing.assert_array_equal(array, small_arrays()[IMAGES])


def test_an_idx_file_that_unpacks_to_more_than_it_should(tmp_path: Path) -> None:
    """A quarter of a gigabyte in as many kilobytes, where 47 MB are expected: unpacked to there."""
    path = tmp_path / IMAGES
    packer = zlib.compressobj(wbits=31)
    path.write_bytes(b"".join([*(packer.compress(bytes(MIB)) for _ in range(256)), packer.flush()]))
    expected = 16 + 60_000 * 28 * 28
    with at_most(path.stat().st_size + 2 * expected + 2 * MIB), pytest.raises(DataError, match="holds more"):
        MNIST.train_images.read(path)
