"""Every run of a sweep has a status file, in a directory or at a URL."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from harness.store.record import RunRecord
from harness.sweep.status_files import StatusFiles, status_directory
from harness.sweep.task import RunStatus
from tests.conftest import ROOT, SMALL, Shell, environment
from tests.support.children import ALIVE, Shadow, child_of, start
from tests.support.sweeps import task


def status_files(results: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(results.glob("sweeps/*/run-*.json"))]


def test_every_run_has_a_status_file(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy", "seed=0,1")
    assert done.returncode == 0, done.stderr
    stored = status_files(results)
    assert [run_status["number"] for run_status in stored] == [0, 1]
    for run_status in stored:
        assert run_status["status"] == "ok"
        assert (run_status["host"], run_status["title"]) == (
            socket.gethostname(),
            f"numpy lstm-8 digits row seed {run_status['number']}",
        )
        record = RunRecord.read(Path(str(run_status["record"])))
        assert (record.key, record.seed) == (run_status["key"], run_status["number"])
        assert 0 < float(str(run_status["seconds"])) <= record.total_seconds  # type: ignore[operator]
    assert not list(results.glob("sweeps/*/.run-*"))


def test_damaged_files_are_ignored(results: Path) -> None:
    files = StatusFiles(str(results))
    files.write(RunStatus.starting(task(results)))
    (results / "run-00001.json").write_bytes(b'{"number": 1, "tit')
    (results / "run-00002.json").write_bytes(b"\xff\x00")
    (results / "run-00003.json").write_text("[]")
    (results / "run-00004.json").mkdir()
    assert [run_status.number for run_status in files.read()] == [0]


def test_status_files_at_a_url(results: Path) -> None:
    url = status_directory(f"memory://bucket/{results.name}", "/somewhere/sweeps/2026")
    assert url == f"memory://bucket/{results.name}/sweeps/2026"
    files = StatusFiles(url)
    assert list(files.read()) == []
    runs = [RunStatus.starting(task(results, number)) for number in range(3)]
    for run_status in runs:
        files.write(run_status)
    files.write(replace(runs[1], status="ok"))
    stored = {run_status.number: run_status for run_status in StatusFiles(url).read()}
    assert stored == {0: runs[0], 1: replace(runs[1], status="ok"), 2: runs[2]}


def test_a_sweep_directory_with_a_name_that_needs_quotes(run: Shell, results: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "run.py",
            *SMALL,
            "backend=numpy",
            f"results.root='{tmp_path}/it is=here,{{x}}'",
            "-m",
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "it is=here,{x}").glob("sweeps/*/run-00000.json"))) == 1


def test_what_a_killed_command_was_doing_can_be_read(results: Path, shadow: Shadow) -> None:
    process = start(results, "backend=torch", env=shadow("torch", ALIVE))
    child_of(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (run_status,) = StatusFiles(str(next(results.glob("sweeps/*")))).read()
    assert (run_status.status, run_status.pid) == (None, process.pid)
    assert not run_status.alive
