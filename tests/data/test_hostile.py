"""Ten thousand damaged data files: a clear error or the right array, and never more memory than justified."""

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.data import npz
from harness.data.mnist import MNIST
from harness.data.npz import ALWAYS, RATIO, Split, load, read
from harness.errors import DataError
from tests.support.collections import GOOD, IMAGES, PACKED, mutations, small_arrays, small_collection

MIB = 2**20
X = np.random.default_rng(3).normal(size=(6, 4, 2)).astype("<f4")
Y = np.arange(6) % 2


def cases(count: int) -> settings:
    """The same so many in every call: with seeds of chance a rare failure would meet only one of us."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Within it, Python and NumPy never hold more than so many bytes more."""
    tracemalloc.start()
    try:
        yield
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grown <= limit, f"{grown:,} bytes, not {limit:,}"


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


@cases(4000)
@given(packed=GZIP)
def test_idx(packed: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """At most the file, and as many bytes again as a good one unpacks to."""
    path = tmp_path_factory.getbasetemp() / IMAGES
    path.write_bytes(packed)
    file = small_collection().train_images
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


def tried(path: Path) -> npz.Content | None:
    """What is in a file, or None where it is refused, in one line that names it, within its memory."""
    with at_most(4 * max(ALWAYS, RATIO * path.stat().st_size)):
        try:
            return read(path)
        except DataError as error:
            said = str(error)
            assert said.startswith(f"data.path={path}: ")
            assert said.isprintable()
            assert len(said) < len(str(path)) + 600
            return None


def is_good(found: npz.Content) -> None:
    np.testing.assert_array_equal(found.x, X)
    np.testing.assert_array_equal(found.y, Y)


def array_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def saved(keep: Callable[..., None]) -> bytes:
    file = io.BytesIO()
    keep(file, x=X, y=Y)
    return file.getvalue()


FIELDS = st.sampled_from([0, 1, 2, 8, 12, 14, 99, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An npz file after one to four changes: bits, bytes, cuts, insertions, numbers in the directories."""
    content = bytearray(draw(st.sampled_from(SAVED)))
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        at = draw(st.integers(0, len(content) - 1))
        match draw(st.sampled_from(["bit", "byte", "cut", "drop", "insert", "field", "double"])):
            case "bit":
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "byte":
                content[at] = draw(st.integers(0, 255))
            case "cut":
                del content[at:]
            case "drop":
                del content[at : at + draw(st.integers(1, 200))]
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=40))
            case "field":  # of the central directory: sizes, methods, flags, places, names
                start = content.find(b"PK\1\2")
                place = start + 2 * draw(st.integers(2, 24))
                content[place : place + 4] = struct.pack("<I", draw(FIELDS))
            case "double":
                content += bytes(content)
    return bytes(content)


SAVED = [saved(np.savez), saved(np.savez_compressed)]


@cases(3000)
@given(content=damaged())
def test_npz_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    found = tried(path)
    if found is not None:
        is_good(found)


DESCRS = st.sampled_from(
    [
        "<f4",
        "O",
        "|O",
        "<U9",
        "|V8",
        "|b1",
        "<c8",
        "<M8[s]",
        "<m8",
        "<f2",
        "<f16",
        ">i2",
        "i1",
        "f4,f4",
        "4f4",
        "|S3",
        "x",
        "''",
    ]
).map(repr) | st.sampled_from(
    [
        "('<f4', (2,))",
        "('<f4', (10**9,))",
        "()",
        "('<f4',)",
        "[()]",
        "[('a', '<f4')]",
        "[('a', '<f4', (3,))]",
        "[('a',)]",
        "[(1, 2)]",
        "{'a': 1}",
        "{'names': [], 'formats': []}",
        "None",
        "7",
        "b'<f4'",
        "[[[[]]]]",
        "[(('t', 'n'), '<f4')]",
        "(" * 300 + "'<f4'" + ",())" * 300,
        "'<f4' ''",
        "...",
        "'\\x00f4'",
    ]
)
ORDERS = st.sampled_from(["False", "True", "0", "None", "''", "[]"])
SHAPES = st.sampled_from(
    [
        "(6, 4, 2)",
        "(6, 2, 4)",
        "(6, 8)",
        "(48,)",
        "()",
        "6",
        "(6, 4, 2.0)",
        "(6, 4, None)",
        "(True, 6, 8)",
        "(6, -4, -2)",
        "(0, 4, 2)",
        "(2**31, 2**31, 4)",
        "(2**63,)",
        "(2**64, 1, 1)",
        "(-1, 4, 2)",
        "(6, 4, 2" + ", 1" * 70 + ")",
        "{6: 4}",
        "(10**400, 1, 1)",
        "(" + "9" * 4200 + ", 1, 1)",
        "(" + "9" * 5000 + ",)",
        "(6, 4, 2,",
        "[6, 4, 2]",
        "('6', 4, 2)",
    ]
)
HEADERS = st.one_of(
    st.builds("{{'descr': {}, 'fortran_order': {}, 'shape': {}}}".format, DESCRS, ORDERS, SHAPES),
    st.builds("{{'descr': '<f4', 'fortran_order': {}, 'shape': {}}}".format, ORDERS, SHAPES),
    st.sampled_from(
        ["(" * 5000, "[" * 200 + "]" * 200, "9" * 5000, "{" * 99, "-" * 9999, "1if 1else 1", "'\\"]
    ),
    st.sampled_from(
        ["{}", "{'descr': 1}", "{1: 2, 'a': 3}", "{[]: 1}", "f'{1}'", "__import__('os')", "\f\x1b"]
    ),
    st.text(max_size=30),
)


@cases(2000)
@given(
    header=HEADERS,
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (0, 0), (9, 9)]),
    length=st.none() | FIELDS,
    body=st.sampled_from([X.tobytes(), b"", X.tobytes()[:-1], bytes(5000)]),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
@pytest.mark.filterwarnings("ignore")
def test_npz_headers(
    header: str,
    version: tuple[int, int],
    length: int | None,
    body: bytes,
    method: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    text = header.encode("utf-8", "backslashreplace")
    width = 2 if version == (1, 0) else 4
    announced = len(text) if length is None else length
    size = (announced % 256**width).to_bytes(width, "little")
    path = tmp_path_factory.getbasetemp() / "headers.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", b"\x93NUMPY" + bytes(version) + size + text + body)
        archive.writestr("y.npy", array_bytes(Y))
    found = tried(path)
    if found is not None:
        assert found.x.nbytes == len(body)
        assert found.x.tobytes("A") == body


NAMES = st.one_of(
    st.sampled_from(
        [
            "x.npy",
            "y.npy",
            "x_test.npy",
            "x",
            "x.npy/",
            "../x.npy",
            "/x.npy",
            "a/x.npy",
            "x.NPY",
            "x.npy\n",
            "\\x.npy",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
    st.just("long" * 70),
)
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            array_bytes(X),
            array_bytes(Y),
            array_bytes(np.full_like(X, np.nan)),
            array_bytes(np.array([None] * 6, object).astype("U3")),
            array_bytes(Y.astype(float)),
            SAVED[0],
            bytes(200_000),
        ]
    ),
)
METHODS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])


@cases(1000)
@given(
    others=st.lists(st.tuples(NAMES, CONTENTS, METHODS), max_size=4),
    methods=st.tuples(METHODS, METHODS),
    before=st.binary(max_size=40),
    comment=st.binary(max_size=200),
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_npz_entries(
    others: list[tuple[str, bytes, int]],
    methods: tuple[int, int],
    before: bytes,
    comment: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "entries.npz"
    with path.open("wb") as file:
        file.write(before)
        with zipfile.ZipFile(file, "w") as archive:
            for name, content, method in (
                ("x.npy", array_bytes(X), methods[0]),
                *others,
                ("y.npy", array_bytes(Y), methods[1]),
            ):
                archive.writestr(name, content, method)
            archive.comment = comment
    found = tried(path)
    if found is not None:
        is_good(found)
    plain = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    if set(methods) <= plain and not {name for name, _, _ in others} & {"x.npy", "y.npy", "x_test.npy"}:
        assert found is not None or b"PK\5\6" in comment


# bombs


def zipped(path: Path, method: int, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def refused(path: Path, said: str, limit: int) -> None:
    with at_most(limit), pytest.raises(DataError, match=said):
        load(path, Split(0.2, 0))


def test_more_than_a_file_of_its_size_justifies(tmp_path: Path) -> None:
    """Zeros in a thousandth of their size: refused before any is unpacked; read where they are not packed."""
    content = {"x": np.zeros((300, 28 * 28, 28), np.float32), "y": np.arange(300) % 2}
    np.savez_compressed(tmp_path / "tight.npz", **content)
    refused(tmp_path / "tight.npz", r"says that it holds 26,3.* bytes in .*more tightly than 100 to 1", MIB)
    np.savez(tmp_path / "plain.npz", **content)
    size = (tmp_path / "plain.npz").stat().st_size
    with at_most(4 * size):
        assert load(tmp_path / "plain.npz", Split(0.2, 0)).classes == 2


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
    refused(path, "array header|says that it holds", limit)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_to_compress_that_have_no_bound(tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path / "a.npz", method, x=array_bytes(X), y=array_bytes(Y))
    refused(path, r"x is compressed in a way that numpy\.savez_compressed does not use", MIB)


def test_more_sequences_than_a_file_of_its_size_justifies(tmp_path: Path) -> None:
    count = 4 * MIB
    content = {"x": np.zeros((count, 1, 1), np.uint8), "y": (np.arange(count) % 2).astype(np.uint8)}
    np.savez_compressed(tmp_path / "a.npz", **content)
    refused(tmp_path / "a.npz", "holds 4,194,304 sequences in", 4 * ALWAYS)


def test_not_a_number_in_a_large_file_costs_no_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.full((1000, 100, 100), np.nan, np.float16), y=np.arange(1000) % 2)
    refused(path, r"x\[0, 0, 0\] is nan", 3 * path.stat().st_size)
