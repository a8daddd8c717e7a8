"""Reading NPZ files: nothing is unpickled, every damage has a message, memory is bounded."""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data.npz import FREE_BYTES
from harness.data.own_sequences import load, read
from harness.errors import DataError
from tests.support.memory import MIB, at_most
from tests.support.npz_files import SPLIT, X, Y, array_bytes, npy, zipped

fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    pickled = npy(np.zeros((24, 12, 2)), descr="|O") + pickle.dumps(Bomb(mark))
    label = io.BytesIO()
    np.save(label, Y)
    for path in (
        zipped(tmp_path / "a.npz", x=pickled, y=label.getvalue()),
        zipped(tmp_path / "b.npz", x=pickle.dumps(Bomb(mark)), y=label.getvalue()),
    ):
        with pytest.raises(DataError):
            read(path)
    (tmp_path / "c.npz").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(DataError, match="is not an npz file"):
        read(tmp_path / "c.npz")
    assert not mark.exists()
    other = zipped(tmp_path / "d.npz", x=npy(X), y=label.getvalue(), z=pickled)  # left alone
    assert read(other).classes == 2
    assert not mark.exists()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"shape": (24, 12, 3)}, "takes 6,912 bytes, but it has 4,608"),
        ({"shape": (10**9, 10**9, 10**9)}, "takes 8,000,000,000,000,000"),
        ({"shape": (-24, -12, 2)}, r"x is empty: \(-24, -12, 2\)"),
        ({"shape": ("a",)}, "cannot be read: "),
        ({"descr": "<f4"}, "bytes, but it has"),
        ({"descr": "nonsense"}, "cannot be read: "),
        ({"descr": 7}, "cannot be read: "),
        ({"fortran_order": 3}, "cannot be read: "),
    ],
)
def test_headers_that_lie(tmp_path: Path, header: dict[str, Any], said: str) -> None:
    path = zipped(tmp_path / "a.npz", x=npy(X, **header), y=npy(Y))
    with pytest.raises(DataError, match=said):
        read(path)


@fuzz
@given(drawn=st.data())
def test_damaged_bytes_give_a_message_or_the_same_arrays(tmp_path: Path, drawn: st.DataObject) -> None:
    path = tmp_path / "a.npz"
    keep = drawn.draw(st.sampled_from([np.savez, np.savez_compressed]))
    keep(path, x=X[:6, :2].astype("f4"), y=Y[:6])
    content = bytearray(path.read_bytes())
    for _ in range(drawn.draw(st.integers(0, 3))):
        content[drawn.draw(st.integers(0, len(content) - 1))] = drawn.draw(st.integers(0, 255))
    if drawn.draw(st.booleans()):
        start = drawn.draw(st.integers(0, len(content)))
        del content[start : start + drawn.draw(st.integers(1, 200))]
    path.write_bytes(content)
    try:
        found = read(path)
    except DataError as error:
        assert str(error).startswith(f"data.path={path}: ")  # noqa: PT017
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        np.testing.assert_array_equal(found.x, X[:6, :2].astype("f4"))
        np.testing.assert_array_equal(found.y, Y[:6])


@fuzz
@given(header=st.binary(max_size=80), version=st.sampled_from([1, 2, 3, 9]))
def test_hostile_headers_give_a_message(tmp_path: Path, header: bytes, version: int) -> None:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    content = b"\x93NUMPY" + bytes([version, 0]) + length + header
    path = zipped(tmp_path / "a.npz", x=content, y=npy(Y))
    with pytest.raises(DataError):
        read(path)


# memory


def refused(path: Path, said: str, limit: int) -> None:
    with at_most(limit), pytest.raises(DataError, match=said):
        load(path, SPLIT)


def test_more_than_a_file_of_its_size_justifies(tmp_path: Path) -> None:
    """Zeros in a thousandth of their size: refused before any is unpacked; read where they are not packed."""
    content = {"x": np.zeros((300, 28 * 28, 28), np.float32), "y": np.arange(300) % 2}
    np.savez_compressed(tmp_path / "tight.npz", **content)
    refused(tmp_path / "tight.npz", r"claims to hold 26,3.* bytes in .*more tightly than 100 to 1", MIB)
    np.savez(tmp_path / "plain.npz", **content)
    size = (tmp_path / "plain.npz").stat().st_size
    with at_most(4 * size):
        assert load(tmp_path / "plain.npz", SPLIT).classes == 2


def test_small_arrays_may_be_packed_as_tightly_as_they_like(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((100, 28, 28)), y=np.arange(100) % 2)
    assert read(tmp_path / "a.npz").x.shape == (100, 28, 28)


def test_an_archive_that_lies_about_its_size(tmp_path: Path) -> None:
    """A quarter of a gigabyte that says it is 300 kB: no more than that is unpacked."""
    x, y = array_bytes(np.ones((6, 80, 80))), array_bytes(Y)
    path = zipped(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, x=x + bytes(256 * MIB), y=y)
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<I", len(x))
    path.write_bytes(content)
    refused(path, "cannot be read: Bad CRC-32", 5 * MIB)


@pytest.mark.parametrize(("size", "limit"), [(15 * MIB, MIB), (64 * MIB, MIB)])
def test_a_header_that_never_ends(tmp_path: Path, size: int, limit: int) -> None:
    header = b"\x93NUMPY\2\0" + struct.pack("<I", size) + b" " * size
    path = zipped(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, x=header, y=array_bytes(Y))
    refused(path, "array header|claims to hold", limit)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_to_compress_that_have_no_bound(tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path / "a.npz", method, x=array_bytes(X), y=array_bytes(Y))
    refused(path, r"x is compressed in a way that numpy\.savez_compressed does not use", MIB)


def test_more_sequences_than_a_file_of_its_size_justifies(tmp_path: Path) -> None:
    count = 4 * MIB
    content = {"x": np.zeros((count, 1, 1), np.uint8), "y": (np.arange(count) % 2).astype(np.uint8)}
    np.savez_compressed(tmp_path / "a.npz", **content)
    refused(tmp_path / "a.npz", "holds 4,194,304 sequences in", 4 * FREE_BYTES)


def test_not_a_number_in_a_large_file_costs_no_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.full((1000, 100, 100), np.nan, np.float16), y=np.arange(1000) % 2)
    refused(path, r"x\[0, 0, 0\] is nan", 3 * path.stat().st_size)
