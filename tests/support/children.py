"""The processes of a run: started, broken on purpose, found."""

import os
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
    return shadow("sitecustomize", in_children(code))


def sabotaged(folder: Path, code: str) -> dict[str, str]:
    """The same for a fixture that outlives a test, with a folder to keep the code in."""
    (folder / "sitecustomize.py").write_text(in_children(code))
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}


def in_children(code: str) -> str:
    """What Python runs at its start, and what does nothing in processes that are no child of the harness."""
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    return f"import sys\nif 'harness.runner' in sys.orig_argv:\n{indented}"


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
