"""One download from a real server on the loopback: continued, bounded, shown, given up in time."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.data import download as module
from harness.data.download import ServerError, download_file
from harness.errors import DataError
from tests.support.server import CONTENT, Handler, Server, serving

LIMIT = 20_000


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"file": CONTENT}) as server:
        yield server


def test_the_whole_file(server: Server, tmp_path: Path) -> None:
    download_file(server.url + "file", tmp_path / "part", limit=LIMIT)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.asked == [("file", None)]


@pytest.mark.parametrize("ranges", [True, False], ids=["206", "200"])
def test_what_is_there_is_continued(ranges: bool, server: Server, tmp_path: Path) -> None:
    """Only what is missing comes from a server that can; all of it, and once, from one that cannot."""
    server.ranges = ranges
    (tmp_path / "part").write_bytes(CONTENT[:3000])
    download_file(server.url + "file", tmp_path / "part", limit=LIMIT)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.asked == [("file", "bytes=3000-")]
    assert server.sent == len(CONTENT) - (3000 if ranges else 0)


def test_what_came_before_it_broke_off_is_kept(server: Server, tmp_path: Path) -> None:
    server.breaks = {"file": 5000}
    with pytest.raises(
        ServerError, match="file: the connection broke off midway; a second call continues there"
    ):
        download_file(server.url + "file", tmp_path / "part", limit=LIMIT)
    kept = (tmp_path / "part").read_bytes()
    assert 4000 < len(kept) <= 5000
    assert CONTENT.startswith(kept)


def test_another_range_than_asked_for_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Handler.send_header
    monkeypatch.setattr(
        Handler, "send_header", lambda *args: send(*args[:2], args[2].replace("3000-", "3001-"))
    )
    (tmp_path / "part").write_bytes(CONTENT[:3000])
    with pytest.raises(DataError, match="another range"):
        download_file(server.url + "file", tmp_path / "part", limit=LIMIT)
    assert (tmp_path / "part").read_bytes() == CONTENT[:3000]


def test_a_part_longer_than_the_file_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT * 2)
    with pytest.raises(DataError, match="has no bytes after the 20,480 fetched earlier"):
        download_file(server.url + "file", tmp_path / "part", limit=LIMIT)


def test_no_more_than_the_limit_is_kept(server: Server, tmp_path: Path) -> None:
    server.files["file"] = bytes(10_000_000)
    with pytest.raises(DataError, match="file: found more bytes, expected at most 20,000"):
        download_file(server.url + "file", tmp_path / "part", limit=LIMIT)
    assert (tmp_path / "part").stat().st_size <= LIMIT


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:3000])
    download_file(server.url + "moved/file", tmp_path / "part", limit=LIMIT)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.asked == [("file", "bytes=3000-")] * 2


def test_refusals_say_why(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=rf"^{server.url}other: HTTP 404 Not Found$"):
        download_file(server.url + "other", tmp_path / "part", limit=LIMIT)


def test_a_server_that_falls_silent_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.3)
    server.gate.clear()
    started = time.monotonic()
    with pytest.raises(ServerError, match="Read timed out"):
        download_file(server.url + "file", tmp_path / "part", limit=LIMIT)
    assert time.monotonic() - started < 4
    assert (tmp_path / "part").stat().st_size > 4000


def test_a_network_that_swallows_everything_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full backlog on the loopback behaves like a firewall that drops packets."""
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        started = time.monotonic()
        with pytest.raises(ServerError, match="no connection within 1 s"):
            download_file(f"http://127.0.0.1:{hole.getsockname()[1]}/file", tmp_path / "part", limit=LIMIT)
        assert time.monotonic() - started < 4


@pytest.mark.parametrize("start", [0, 3000])
def test_progress_goes_to_stderr_when_it_has_a_title(
    start: int, server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    download_file(server.url + "file", tmp_path / "silent", limit=LIMIT)
    assert capfd.readouterr() == ("", "")
    (tmp_path / "shown").write_bytes(CONTENT[:start])
    download_file(server.url + "file", tmp_path / "shown", limit=LIMIT, title="images")
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"images: 100%\|.*B/s", err)
