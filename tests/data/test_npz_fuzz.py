"""Thousands of damaged NPZ files: a clear error or the right arrays, in bounded memory."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from harness.data.npz import FREE_BYTES, MAX_RATIO
from harness.data.own_sequences import Content, read
from harness.errors import DataError
from tests.support.fuzz import fuzz
from tests.support.memory import at_most
from tests.support.npz_files import array_bytes

X = np.random.default_rng(3).normal(size=(6, 4, 2)).astype("<f4")
Y = np.arange(6) % 2


def tried(path: Path) -> Content | None:
    """What is in a file, or None where it is refused, in one line that names it, within its memory."""
    with at_most(4 * max(FREE_BYTES, MAX_RATIO * path.stat().st_size)):
        try:
            return read(path)
        except DataError as error:
            said = str(error)
            assert said.startswith(f"data.path={path}: ")
            assert said.isprintable()
            assert len(said) < len(str(path)) + 600
            return None


def is_good(found: Content) -> None:
    np.testing.assert_array_equal(found.x, X)
    np.testing.assert_array_equal(found.y, Y)


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


@fuzz(200, 3000, content=damaged())
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


@pytest.mark.filterwarnings("ignore")
@fuzz(
    150,
    2000,
    header=HEADERS,
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (0, 0), (9, 9)]),
    length=st.none() | FIELDS,
    body=st.sampled_from([X.tobytes(), b"", X.tobytes()[:-1], bytes(5000)]),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
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


@pytest.mark.filterwarnings("ignore:Duplicate name")
@fuzz(
    100,
    1000,
    others=st.lists(st.tuples(NAMES, CONTENTS, METHODS), max_size=4),
    methods=st.tuples(METHODS, METHODS),
    before=st.binary(max_size=40),
    comment=st.binary(max_size=200),
)
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
