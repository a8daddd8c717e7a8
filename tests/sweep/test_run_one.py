"""A sweep tells how it goes while it goes, and every run of it is a row at its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.store.record import RunRecord
from harness.sweep.display import ProgressDisplay
from harness.sweep.finish import PROCESS_GONE, finish_runs
from harness.sweep.status_files import StatusFiles, status_directory
from harness.sweep.task import RunStatus
from tests.conftest import ROOT, SMALL, Shell, environment
from tests.support.children import ALIVE, Shadow, child_of, start
from tests.support.sweeps import task
from tests.support.terminal import on_a_terminal


def documents(results: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(results.glob("sweeps/*/run-*.json"))]


def test_every_run_leaves_a_document(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy", "seed=0,1")
    assert done.returncode == 0, done.stderr
    found = documents(results)
    assert [entry["number"] for entry in found] == [0, 1]
    for entry in found:
        assert entry["status"] == "ok"
        assert (entry["host"], entry["title"]) == (
            socket.gethostname(),
            f"numpy lstm-8 digits row seed {entry['number']}",
        )
        record = RunRecord.read(Path(str(entry["record"])))
        assert (record.key, record.seed) == (entry["key"], entry["number"])
        assert 0 < float(str(entry["seconds"])) <= record.total_seconds  # type: ignore[operator]
    assert not list(results.glob("sweeps/*/.run-*"))


def test_a_single_run_leaves_no_sweep(run: Shell, results: Path) -> None:
    assert run("backend=numpy").returncode == 0
    assert [path.name for path in results.iterdir()] == ["runs"]


@pytest.mark.long
def test_the_overall_line_on_a_terminal(results: Path) -> None:
    for columns in (38, 120):
        root = results / str(columns)
        status, said = on_a_terminal(
            columns, "-m", f"results.root={root}", "backend=numpy", "seed=0,1,2", *SMALL, "train.epochs=3"
        )
        assert status == 0, said
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said)
        lines = re.split(r"[\r\n]+", plain)
        overall = [line for line in lines if re.match(r"\d done, \d failed, \d left", line)]
        assert overall[0].startswith("0 done, 0 failed, 3 left")
        assert any(line.startswith("2 done, 0 failed, 1 left, about 0:00:") for line in overall)
        assert all(len(line) <= columns for line in overall)
        below = [lines[k + 1] for k, line in enumerate(lines) if line in overall and k + 1 < len(lines)]
        assert any(line.startswith("epoch 2/3") for line in below), below


def test_a_single_run_has_no_overall_line(results: Path) -> None:
    _, said = on_a_terminal(120, f"results.root={results}", "backend=numpy", *SMALL)
    assert " left, about" not in said
    assert "0 done" not in said


def test_plain_overall_lines(
    capsys: pytest.CaptureFixture[str], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("harness.sweep.display.seconds", lambda: clock[0])
    display = ProgressDisplay(total=4)
    display.expect(task(results, number) for number in range(4))
    for number in range(2):
        display.update(RunStatus.expected(task(results, number)))
        clock[0] += 12
        ended = replace(
            RunStatus.expected(task(results, number)), status="ok", seconds=12.0, result="ok: fine"
        )
        display.update(ended)
    display.update(
        replace(RunStatus.expected(task(results, 2)), status="crashed", reason="x", result="crashed: x")
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "[1/4] numpy lstm-8 digits row seed 0: starting"
    assert "2 done, 0 failed, 2 left, about 0:00:24 to go" in lines
    assert "[3/4] numpy lstm-8 digits row seed 2: crashed: x" in lines
    assert display.overall() == "2 done, 1 failed, 1 left, about 0:00:12 to go"


def test_it_shows_what_other_processes_write(capsys: pytest.CaptureFixture[str], results: Path) -> None:
    kept = StatusFiles(str(results / "sweeps" / "one"))
    display = ProgressDisplay(total=1)
    other = replace(RunStatus.starting(task(results)), pid=1)
    with display.following(kept.location):
        kept.write(other)
        kept.write(replace(other, status="ok", result="ok: far away"))
    assert "numpy lstm-8 digits row seed 0: ok: far away" in capsys.readouterr().err
    assert display.runs[0].status == "ok"


def test_documents_that_are_damaged_are_passed_over(results: Path) -> None:
    kept = StatusFiles(str(results))
    kept.write(RunStatus.starting(task(results)))
    (results / "run-00001.json").write_bytes(b'{"number": 1, "tit')
    (results / "run-00002.json").write_bytes(b"\xff\x00")
    (results / "run-00003.json").write_text("[]")
    (results / "run-00004.json").mkdir()
    assert [entry.number for entry in kept.read()] == [0]


def test_documents_at_a_url(results: Path) -> None:
    where = status_directory(f"memory://bucket/{results.name}", "/somewhere/sweeps/2026")
    assert where == f"memory://bucket/{results.name}/sweeps/2026"
    kept = StatusFiles(where)
    assert list(kept.read()) == []
    entries = [RunStatus.starting(task(results, number)) for number in range(3)]
    for entry in entries:
        kept.write(entry)
    kept.write(replace(entries[1], status="ok"))
    found = {entry.number: entry for entry in StatusFiles(where).read()}
    assert found == {0: entries[0], 1: replace(entries[1], status="ok"), 2: entries[2]}


@pytest.mark.parametrize(
    ("interrupted", "status", "reason"),
    [(False, "crashed", PROCESS_GONE), (True, "interrupted", "stopped from outside")],
)
def test_a_run_whose_process_is_gone(results: Path, interrupted: bool, status: str, reason: str) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    kept = StatusFiles(str(results / "sweeps" / "one"))
    kept.write(replace(RunStatus.starting(task(results)), pid=int(gone.stdout), key="0" * 20, threads=1))
    display = ProgressDisplay(total=2)
    display.expect(task(results, number) for number in range(2))
    began = time.monotonic()
    ending = finish_runs(display, kept.location, interrupted=interrupted, failed=False)
    assert time.monotonic() - began < 5
    first, *rest = ending.records
    assert (first.status, first.reason, first.key) == (status, reason, "0" * 20)
    assert RunRecord.read(Path(str(first.record_path))).status == status
    if interrupted:
        assert rest == []
    else:
        assert [(r.status, r.seed) for r in rest] == [("crashed", 1)]
        assert "before it started" in str(rest[0].reason)
    assert ending.exit_status == 1


def test_a_run_that_is_still_ending_is_waited_for(results: Path) -> None:
    kept = StatusFiles(str(results / "sweeps" / "one"))
    config = task(results)
    code = f"""
import sys, time
from dataclasses import replace
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus, Task
task = Task({config.number!r}, {config.config!r}, "", {config.directory!r}, ".")
kept, entry = StatusFiles({kept.location!r}), RunStatus.starting(task)
kept.write(entry)
print("begun", flush=True)
sys.stdin.readline()
time.sleep(1)
kept.write(replace(entry, status="ok", result="ok"))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout  # noqa: PT018
        assert process.stdout.readline() == "begun\n"
        display = ProgressDisplay(total=1)
        display.read(kept)
        process.stdin.write("\n")
        process.stdin.flush()
        ending = finish_runs(display, kept.location, interrupted=False, failed=False)
    assert [record.status for record in ending.records] == ["ok"]


def test_ctrl_c_before_the_first_run_has_its_cores(results: Path, tmp_path: Path) -> None:
    """Waiting for a lease is part of a run: stopped there, it is a row too."""
    env = {"HARNESS_LEASES": str(tmp_path / "leases")}
    holder = (
        "import sys\nfrom harness.launcher.lease import lease\nfrom harness.measure.machine import cores\n"
        "with lease(len(cores()), [], print): print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=ROOT,
        env=environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin and other.stdout  # noqa: PT018
        assert other.stdout.readline() == "held\n"
        process = start(results, "backend=numpy", "seed=0,1", env=env)
        assert process.stderr
        while "waiting for 1 of" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        other.stdin.write("\n")
    assert process.returncode == 130, err
    assert "interrupted" in out
    found = [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")]
    assert found == ["interrupted"]


def test_a_run_that_cannot_even_be_named_is_a_row_and_the_others_go_on(run: Shell, results: Path) -> None:
    """Its weights, which its key is made of, are not there: it has no record, but a row."""
    bad = results.parent / "none.safetensors"
    done = run("-m", "backend=numpy", f"weights=null,{bad}")
    assert done.returncode == 1, done.stderr
    assert "| failed |" in done.stdout
    assert str(bad) in done.stderr
    assert [RunRecord.read(path).status for path in results.glob("runs/*/*/record.json")] == ["ok"]
    assert "Traceback" not in done.stderr


def test_none_that_could_start_is_status_2(run: Shell) -> None:
    done = run("-m", "backend=numpy", "seed=0,1", "threads=4096")
    assert done.returncode == 2, done.stderr
    assert done.stdout.count("skipped") == 2


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


def test_a_killed_command_is_said_by_its_documents(results: Path, shadow: Shadow) -> None:
    """What a killed command was doing can be read; the same command again makes it."""
    process = start(results, "backend=torch", env=shadow("torch", ALIVE))
    child_of(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (entry,) = StatusFiles(str(next(results.glob("sweeps/*")))).read()
    assert (entry.status, entry.pid) == (None, process.pid)
    assert not entry.alive
