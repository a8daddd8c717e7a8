"""The stage that compares squares of the matrix with the reference, on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config import catalogue
from harness.model.precision import PRECISIONS
from harness.runner.parity.distance import LIMITS, UPDATE_LIMITS
from tests.gpu import parity, summary
from tests.gpu.parity import Part, Square
from tests.gpu.stages import Job

TORCH = Part("torch", "torch", ("fused",))  # of the quick cells the LSTM alone has it


def given(folder: Path, seconds: float = 60.0) -> Job:
    return Job("cpu", seconds, folder, quick=True)


def test_every_square_of_the_matrix_is_in_a_part() -> None:
    found = {
        (part.backend, part.engine, square.cell, square.implementation, square.precision)
        for part in parity.PARTS
        for square in parity.squares(part, quick=False)
    }
    expected = {
        (backend, engine, cell, implementation, precision)
        for backend, engines in (("torch", [None]), ("keras", ["jax", "torch"]))
        for engine in engines
        for cell in catalogue.cell_names()
        for implementation in catalogue.implementations(backend, cell)
        for precision in PRECISIONS
    }
    assert found == expected
    compiled = [parity.squares(part, quick=False) for part in parity.PARTS if "compiled" in part.framework]
    assert {squares[0].cell for squares in compiled} > set(parity.FIRST), (
        "each process begins with what counts"
    )


def test_a_square_within_its_limits_and_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parity.measure_part(TORCH, given(tmp_path), threads=1) == 0
    _, good, bfloat16 = parity.lines(tmp_path)["torch"]
    assert (good["cell"], good["implementation"], good["precision"]) == ("lstm", "fused", "float32")
    assert 0 < good["gradient"] < good["gradient_limit"] == LIMITS["float32"]
    assert 0 < good["update"] < good["update_limit"]
    assert "failed" not in bfloat16
    assert "within limits" in summary.parity_table(tmp_path)
    assert "| torch | fused | float32 | 1 of 1 |" in summary.parity_table(tmp_path)

    with monkeypatch.context() as strict:
        strict.setitem(UPDATE_LIMITS, "bfloat16", 1e-6)
        assert parity.measure_part(TORCH, given(tmp_path), threads=1) == 1
        assert "batches of training" in parity.lines(tmp_path)["torch"][2]["failed"]

    monkeypatch.setitem(LIMITS, "float32", 1e-12)
    assert parity.measure_part(TORCH, given(tmp_path), threads=1) == 1
    _, bad, _ = parity.lines(tmp_path)["torch"]
    assert "above 1e-12" in bad["failed"]
    assert "| torch | fused | float32 | 0 of 1 |" in summary.parity_table(tmp_path)
    assert "- torch: lstm fused float32 failed: distance from the reference" in summary.parity_table(tmp_path)


def test_what_breaks_and_what_is_not_there_hides_no_other_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares = [Square("lstm", "fused", "tf32"), Square("nonsense", "fused", "float32")]
    squares.append(Square("rnn", "fused", "float32"))
    monkeypatch.setattr(parity, "squares", lambda part, quick: squares)
    assert parity.measure_part(TORCH, given(tmp_path), threads=1) == 1
    _, absent, broken, good = parity.lines(tmp_path)["torch"]
    assert "precision=tf32 is not available on device=cpu" in absent["unavailable"]
    assert f"- torch: 1 not available: {absent['unavailable']}" in summary.parity_table(tmp_path).splitlines()
    assert "nonsense" in broken["failed"]
    assert good["gradient"] < good["gradient_limit"]


@pytest.mark.parametrize(
    ("found", "status"), [({"gradient": 1e-7}, 0), ({"unavailable": "no torch"}, 1), ({"squares": 3}, 1)]
)
def test_a_stage_that_compared_nothing_is_not_good(
    found: dict[str, object], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / TORCH.file).write_text(json.dumps(found) + "\n")
    monkeypatch.setattr(parity, "start", lambda *_: subprocess.Popen([sys.executable, "-c", ""]))
    monkeypatch.setattr("sys.argv", ["parity", "--device=cpu", "--quick", f"--output={tmp_path}"])
    monkeypatch.setenv("HARNESS_LEASES", str(tmp_path / "leases"))
    assert parity.main() == status


def test_without_time_it_says_what_it_did_not_come_to(tmp_path: Path) -> None:
    assert parity.measure_part(TORCH, given(tmp_path, seconds=-1.0), threads=1) == 0
    assert parity.lines(tmp_path)["torch"] == [{"squares": 2}]
    assert summary.parity_table(tmp_path) == "- torch: 2 not reached"


def test_a_process_that_does_not_end_in_time_is_cut_off() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        assert parity.ended(process, parity.clock() + 0.2) == 0
        assert process.returncode < 0


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    whole = json.dumps({"squares": 2})
    (tmp_path / TORCH.file).write_text(f'{whole}\n{{"cell": "ls')
    assert parity.lines(tmp_path)["torch"] == [{"squares": 2}]
