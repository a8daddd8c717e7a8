"""A command on a terminal of its own."""

import os
import pty
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

from tests.conftest import ROOT, environment


def on_a_terminal(columns: int, *arguments: str, term: str = "xterm") -> tuple[int, str]:
    """Exit status and everything written to a terminal of that width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {key: value for key, value in environment(TERM=term).items() if key != "COLUMNS"}
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
