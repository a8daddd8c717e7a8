"""The progress of a sweep: an overall line on a terminal, plain lines elsewhere."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.sweep.display import ProgressDisplay
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus
from tests.conftest import SMALL
from tests.support.sweeps import task
from tests.support.terminal import on_a_terminal


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
    files = StatusFiles(str(results / "sweeps" / "one"))
    display = ProgressDisplay(total=1)
    other = replace(RunStatus.starting(task(results)), pid=1)
    with display.following(files.location):
        files.write(other)
        files.write(replace(other, status="ok", result="ok: far away"))
    assert "numpy lstm-8 digits row seed 0: ok: far away" in capsys.readouterr().err
    assert display.runs[0].status == "ok"


def test_status_files_that_cannot_be_read_end_no_sweep(
    capsys: pytest.CaptureFixture[str], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(StatusFiles, "read", unreachable)
    with ProgressDisplay(total=1).following(str(results)):
        pass
    assert f"{results}: cannot be read: no answer" in capsys.readouterr().err
