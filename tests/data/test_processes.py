"""Downloads in processes of their own: two at once, one killed, one on a full disk."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.data.fetch import fetch_files
from tests.support.datasets import IMAGES, NAMES, contents, parts, small_dataset, small_files
from tests.support.server import Server, serving

FETCH = """
import sys
from pathlib import Path
from harness.data.fetch import fetch_files
from tests.support.datasets import small_dataset
brought = fetch_files(small_dataset((sys.argv[1],)), Path(sys.argv[2]), progress=True)
print(len(brought))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(small_files()) as server:
        yield server


def fetching(server: Server, root: Path) -> subprocess.Popen[str]:
    """Another process that fetches the small dataset and prints how many files it brought."""
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, server.url, str(root)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_two_processes_fetch_each_file_once(server: Server, tmp_path: Path) -> None:
    server.gate.clear()
    first = fetching(server, tmp_path)
    until(lambda: server.asked)
    second = fetching(server, tmp_path)
    assert second.stderr is not None
    line = second.stderr.readline()  # while the first holds half a file, the second waits and says so
    assert line == f"Another process is downloading into {tmp_path / 'small'}; waiting for it.\n"
    assert not set(contents(tmp_path / "small")) & set(NAMES)
    server.gate.set()
    assert (first.communicate(timeout=30)[0], second.communicate(timeout=30)[0]) == ("4\n", "0\n")
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(server.asked) == sorted((name, None) for name in NAMES)
    assert contents(tmp_path / "small") == small_files()


def test_a_killed_download_is_continued(server: Server, tmp_path: Path) -> None:
    """SIGKILL in the middle of a file: nothing half is in place, no lock is left, the half is used."""
    server.gate.clear()
    child = fetching(server, tmp_path)
    until(lambda: any(part.stat().st_size for part in parts(tmp_path / "small")))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (part,) = parts(tmp_path / "small")
    kept = part.stat().st_size
    assert set(contents(tmp_path / "small")) == {part.name}
    server.gate.set()
    server.asked.clear()
    fetch_files(small_dataset((server.url,)), tmp_path)
    assert server.asked[0] == (IMAGES, f"bytes={kept}-")
    assert contents(tmp_path / "small") == small_files()


def test_a_disk_that_is_full(server: Server, tmp_path: Path) -> None:
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n" + FETCH
    done = subprocess.run(
        [sys.executable, "-B", "-c", limited, server.url, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr.endswith(f"{tmp_path / 'small'} cannot be written (File too large).\n")
    assert set(contents(tmp_path / "small")) == {part.name for part in parts(tmp_path / "small")}
