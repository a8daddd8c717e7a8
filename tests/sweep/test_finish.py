"""Runs whose process is gone get a status and a record when the command ends."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.store.record import RunRecord
from harness.sweep.display import ProgressDisplay
from harness.sweep.finish import PROCESS_GONE, finish_runs
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus
from tests.conftest import ROOT
from tests.support.sweeps import task


@pytest.mark.parametrize(
    ("interrupted", "status", "reason"),
    [(False, "crashed", PROCESS_GONE), (True, "interrupted", "stopped from outside")],
)
def test_a_run_whose_process_is_gone(results: Path, interrupted: bool, status: str, reason: str) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    files = StatusFiles(str(results / "sweeps" / "one"))
    files.write(replace(RunStatus.starting(task(results)), pid=int(gone.stdout), key="0" * 20, threads=1))
    display = ProgressDisplay(total=2)
    display.expect(task(results, number) for number in range(2))
    began = time.monotonic()
    result = finish_runs(display, files.location, interrupted=interrupted, failed=False)
    assert time.monotonic() - began < 5
    first, *rest = result.records
    assert (first.status, first.reason, first.key) == (status, reason, "0" * 20)
    assert RunRecord.read(Path(str(first.record_path))).status == status
    if interrupted:
        assert rest == []
    else:
        assert [(r.status, r.seed) for r in rest] == [("crashed", 1)]
        assert "before it started" in str(rest[0].reason)
    assert result.exit_status == 1


def test_a_run_that_is_still_ending_is_waited_for(results: Path) -> None:
    files = StatusFiles(str(results / "sweeps" / "one"))
    own = task(results)
    code = f"""
import sys, time
from dataclasses import replace
from harness.config.schema import Config
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus, Task
config = Config.from_mapping({own.config.to_mapping()!r})
task = Task({own.number!r}, config, "", {own.directory!r}, ".")
files, status = StatusFiles({files.location!r}), RunStatus.starting(task)
files.write(status)
print("started", flush=True)
sys.stdin.readline()
time.sleep(1)
files.write(replace(status, status="ok", result="ok"))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout  # noqa: PT018
        assert process.stdout.readline() == "started\n"
        display = ProgressDisplay(total=1)
        display.read(files)
        process.stdin.write("\n")
        process.stdin.flush()
        result = finish_runs(display, files.location, interrupted=False, failed=False)
    assert [record.status for record in result.records] == ["ok"]
