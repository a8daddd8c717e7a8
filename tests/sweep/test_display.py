"""What a person sees on a terminal: one line that moves, a table that fits."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL, environment


def on_a_terminal(columns: int, *arguments: str) -> tuple[int, str]:
    """Exit status and everything written to a terminal of that width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {key: value for key, value in environment(TERM="xterm").items() if key != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "run.py", *arguments], cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while select.select([ours], [], [], 120)[0]:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        said += chunk
    os.close(ours)
    return process.wait(), said.decode()


@pytest.mark.parametrize("columns", [45, 160])
def test_one_line_that_moves_and_a_table_that_fits(results: Path, columns: int) -> None:
    status, said = on_a_terminal(columns, f"results.root={results}", "backend=numpy", *SMALL)
    assert status == 0, said
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said)
    moving = [line for line in re.split(r"[\r\n]+", plain) if line.startswith("epoch 1/1, step 10/10")]
    assert moving
    assert all(len(line) <= columns for line in moving), moving
    shown = plain.split("ok: accuracy")[1].splitlines()[1:]
    assert any("numpy" in line for line in shown)
    assert all(len(line) <= columns for line in shown), shown
