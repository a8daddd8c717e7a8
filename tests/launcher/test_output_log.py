"""What a run prints: both ends of a flood are kept, and what cannot be written is still read."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from harness.launcher.output_log import PART, Output
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.children import Shadow, sabotage


def printed(path: Path, *parts: bytes) -> Output:
    """What is kept of so many writes, and how they were ended."""
    over, other = os.pipe()
    output = Output(path, over)
    with os.fdopen(output.pipe, "wb", buffering=0) as pipe:
        for part in parts:
            pipe.write(part)
    os.close(other)
    output.last(1)
    output.close()
    os.close(over)
    return output


@pytest.mark.parametrize("more", [-1, 0, 1, 5 * PART])
def test_of_a_flood_both_ends_are_kept(tmp_path: Path, more: int) -> None:
    content = np.random.default_rng(0).bytes(2 * PART + more)
    output = printed(tmp_path / "log", *(content[k : k + 99_999] for k in range(0, len(content), 99_999)))
    found = (tmp_path / "log").read_bytes()
    if more <= 0:
        assert found == content
    else:
        between = f"\n... {more:,} bytes are left out here ...\n".encode()
        assert found == content[:PART] + between + content[-PART:]
    assert output.last(1000) == content[-1000:]
    assert output.failed is None


def test_what_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    output = printed(Path("/dev/full"), b"x" * 500_000, b"the end")
    assert "No space left on device" in str(output.failed)
    assert output.last(7) == b"the end"


def test_a_run_that_prints_without_end(run: Shell, results: Path, shadow: Shadow) -> None:
    code = """
import os
os.write(1, b"the beginning\\n")
while True:
    os.write(1, b"and on and on\\n" * 1000)
"""
    done = run("backend=numpy", "run.timeout_seconds=2", env=sabotage(shadow, code))
    assert done.returncode == 1, done.stderr
    (path,) = results.glob("runs/*/*/record.json")
    assert RunRecord.read(path).status == "timeout"
    text = (path.parent / "output.log").read_text()
    assert 2 * PART < len(text) < 2 * PART + 100
    assert text.startswith("the beginning\n")
    assert re.search(r"\n\.\.\. [\d,]+ bytes are left out here \.\.\.\n", text)
    assert "and on and on\nand on and on\n" in text[-100:]
