"""Sweeps over processes, for tests of executors."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.config.compose import configuration
from harness.store.record import RunRecord
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus, Task
from tests.conftest import ROOT, SMALL, environment


def records(results: Path) -> dict[int, RunRecord]:
    found = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert len({record.key for record in found}) == len(found)
    return {record.seed: record for record in found}


def in_seed_one(code: str) -> str:
    """Code of a child that runs `code` in place of its run where the seed is 1."""
    return f"""
import os, signal, time
import harness.runner.run as runner
run = runner.run
def broken(job, emit):
    if job.config.seed == 1:
        {code}
    run(job, emit)
runner.run = broken
"""


def command(results: Path, launcher: str, *overrides: str, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "run.py",
            "-m",
            f"results.root={results}",
            f"hydra/launcher={launcher}",
            *SMALL,
            *overrides,
        ],
        cwd=ROOT,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def statuses(results: Path) -> dict[int, RunStatus]:
    found: dict[int, RunStatus] = {}
    for directory in results.glob("sweeps/*"):
        found |= {run.number: run for run in StatusFiles(str(directory)).read()}
    return found


def await_(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while not what():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def task(results: Path, number: int = 0, *overrides: str) -> Task:
    config = configuration([f"results.root={results}", "backend=numpy", *SMALL, f"seed={number}", *overrides])
    return Task(number, config, "python run.py", str(results / "sweeps" / "one"), str(ROOT))
