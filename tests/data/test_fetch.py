"""Bringing what is missing: mirrors in turn, what is complete kept, what is half done continued."""

import gzip
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.data.dataset import load, load_files
from harness.data.fetch import fetch_files, fetch_missing
from harness.data.mnist import MNIST
from harness.errors import ConfigError, DataError
from tests.support.datasets import (
    IMAGES,
    NAMES,
    contents,
    flipped,
    parts,
    put,
    real_mnist,
    small_dataset,
    small_files,
)
from tests.support.server import Server, serving

LABELS = NAMES[1]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(small_files()) as server:
        yield server


def closed_address() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def test_missing_files_are_brought_once(server: Server, tmp_path: Path) -> None:
    files = small_dataset((server.url,))
    assert fetch_files(files, tmp_path) == tuple(tmp_path / "small" / name for name in NAMES)
    assert contents(tmp_path / "small") == small_files()
    assert server.asked == [(name, None) for name in NAMES]
    assert fetch_files(files, tmp_path) == ()
    assert len(server.asked) == 4
    assert len(load_files(files, tmp_path).test.examples) == 5


def test_files_that_are_there_are_left_alone(server: Server, tmp_path: Path) -> None:
    """Even damaged ones: reading refuses them, and a person decides."""
    folder = put(tmp_path)
    (folder / IMAGES).write_bytes(b"mine")
    (folder / LABELS).unlink()
    assert fetch_files(small_dataset((server.url,)), tmp_path) == (folder / LABELS,)
    assert server.asked == [(LABELS, None)]
    assert (folder / IMAGES).read_bytes() == b"mine"


BAD_MIRRORS = {
    "nothing there": (lambda good: {}, "HTTP 404 Not Found"),
    "a web page": (lambda good: dict.fromkeys(good, b"<html>Sign in"), "bytes that are not gzip"),
    "truncated": (lambda good: {name: packed[:-9] for name, packed in good.items()}, "breaks off after"),
    "corrupt": (
        lambda good: {name: flipped(packed, 160) for name, packed in good.items()},
        "found a corrupt",
    ),
    "other digits": (
        lambda good: {
            name: gzip.compress(flipped(content, 8 * len(content) - 1))
            for name, content in ((name, gzip.decompress(packed)) for name, packed in good.items())
        },
        "found checksum",
    ),
    "endless": (lambda good: dict.fromkeys(good, bytes(50_000)), "found more bytes, expected at most"),
}


@pytest.mark.parametrize("kind", BAD_MIRRORS)
def test_the_next_mirror_is_tried(kind: str, server: Server, tmp_path: Path) -> None:
    spoil, reason = BAD_MIRRORS[kind]
    with serving(spoil(small_files())) as bad:
        fetch_files(small_dataset((closed_address(), bad.url, server.url)), tmp_path)
        assert contents(tmp_path / "small") == small_files()
        assert bad.asked == [(IMAGES, None)]  # a mirror that failed is not asked first again

        nowhere = closed_address()
        with pytest.raises(DataError) as caught:
            fetch_files(small_dataset((nowhere, bad.url)), tmp_path / "new")
    message = str(caught.value)
    folder = tmp_path / "new" / "small"
    assert f"\n  {nowhere}{IMAGES}: " in message
    assert "Connection refused" in message
    assert "object at 0x" not in message
    assert re.search(f"\n  {bad.url}{IMAGES}: .*{reason}", message)
    for name in NAMES:
        assert f"\n  {folder / name}\n" in message
    assert message.endswith("data=digits, which needs no files.")
    assert len(message.splitlines()) <= 10
    assert contents(folder) == {}


@pytest.mark.parametrize("ranges", [True, False], ids=["206", "200"])
def test_a_second_call_continues(ranges: bool, server: Server, tmp_path: Path) -> None:
    """What is complete stays; what broke off goes on where it was, or from the start if it must."""
    server.breaks = {NAMES[2]: 1500}
    server.ranges = ranges
    files = small_dataset((server.url,))
    with pytest.raises(DataError, match="broke off midway; a second call continues there"):
        fetch_files(files, tmp_path)
    folder = tmp_path / "small"
    (part,) = parts(folder)
    kept = part.read_bytes()
    assert 0 < len(kept) <= 1500
    assert small_files()[NAMES[2]].startswith(kept)
    assert set(contents(folder)) == {IMAGES, LABELS, part.name}

    server.breaks.clear()
    server.asked.clear()
    assert fetch_files(files, tmp_path) == (folder / NAMES[2], folder / NAMES[3])
    assert server.asked == [(NAMES[2], f"bytes={len(kept)}-"), (NAMES[3], None)]
    assert contents(folder) == small_files()


@pytest.mark.parametrize("length", [1500, len(small_files()[IMAGES]), 12_000])
def test_a_part_that_does_not_fit_is_started_over(length: int, server: Server, tmp_path: Path) -> None:
    files = small_dataset((server.url,))
    server.breaks = {IMAGES: 1500}
    with pytest.raises(DataError):
        fetch_files(files, tmp_path)
    (part,) = parts(tmp_path / "small")
    part.write_bytes(bytes(length))
    server.breaks.clear()
    server.asked.clear()
    fetch_files(files, tmp_path)
    assert server.asked[:2] == [(IMAGES, f"bytes={length}-"), (IMAGES, None)]
    assert contents(tmp_path / "small") == small_files()


def test_parts_of_two_mirrors_are_not_mixed(server: Server, tmp_path: Path) -> None:
    """Mirrors compress MNIST differently: the rest of one's file is no use to the other's beginning."""
    with serving(small_files(level=1)) as first:
        first.breaks = dict.fromkeys(NAMES, 2500)
        fetch_files(small_dataset((first.url, server.url)), tmp_path)
    assert [asked for _, asked in server.asked] == [None] * 4
    assert contents(tmp_path / "small") == small_files()


def test_progress_names_each_file(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fetch_files(small_dataset((server.url,)), tmp_path / "silent")
    assert capfd.readouterr() == ("", "")
    fetch_files(small_dataset((server.url,)), tmp_path / "shown", progress=True)
    err = capfd.readouterr().err
    for name in NAMES:
        assert f"{name}: 100%" in err


def test_without_permission_to_download_nothing_is_asked(server: Server, tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "small" / LABELS).unlink()
    with pytest.raises(DataError) as caught:
        fetch_files(small_dataset((server.url,)), tmp_path, download=False)
    assert str(caught.value) == (
        "small: 1 of 4 files missing. They may not be downloaded (data.download=false).\n"
        f"Looked for in {tmp_path / 'small'} and {tmp_path / 'Small' / 'raw'}: "
        "gzipped or not, named …-idx3-ubyte or ….idx3-ubyte.\n"
        f"Put there by hand:\n  {tmp_path / 'small' / LABELS}\n"
        "or choose data=digits, which needs no files."
    )
    assert server.asked == []


def test_a_root_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "data"
    with pytest.raises(
        DataError, match=rf"data\.root={root}: {root}/small cannot be written \(Not a directory\)"
    ):
        fetch_files(small_dataset((server.url,)), root)
    with pytest.raises(DataError, match="cannot be read"):
        fetch_files(small_dataset((server.url,)), tmp_path / ("long" * 100))
    assert server.asked == []


def test_digits_need_nothing_and_unknown_names_are_refused(tmp_path: Path) -> None:
    assert fetch_missing("digits", tmp_path) == ()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"data\.name=emnist: .* mnist, fashion_mnist, digits"):
        fetch_missing("emnist", tmp_path)


def test_real_mnist_from_a_mirror(tmp_path: Path) -> None:
    folder, _ = MNIST.folders(real_mnist())
    with serving({file.name: (folder / file.name).read_bytes() for file in MNIST.files}) as server:
        assert len(fetch_files(replace(MNIST, mirrors=(server.url,)), tmp_path)) == 4
    assert len(load("mnist", tmp_path).train.examples) == 55_000
