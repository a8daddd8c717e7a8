"""The processes of a run: started, broken on purpose, found."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.conftest import ROOT, SMALL, environment

Shadow = Callable[[str, str], dict[str, str]]


ALIVE = "import time; time.sleep(600)"


def sabotage(shadow: Shadow, code: str) -> dict[str, str]:
    """An environment in which every child of the harness, and nothing else, first runs `code`."""
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    return shadow("sitecustomize", f"import sys\nif 'harness.runner' in sys.orig_argv:\n{indented}")


def start(results: Path, *overrides: str, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "run.py", "-m", f"results.root={results}", *SMALL, *overrides],
        cwd=ROOT,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def child_of(process: subprocess.Popen[str]) -> psutil.Process:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children():
            if "harness.runner" in child.cmdline():
                return child
        time.sleep(0.05)
    raise AssertionError("no child process")
