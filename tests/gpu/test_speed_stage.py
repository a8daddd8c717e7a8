"""The stage that times sides in turns: a process takes one task after the other."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from harness.launcher.lease import Lease
from harness.measure.machine import cores
from tests.bench.child import parse
from tests.bench.sides import torch_graph
from tests.gpu import speed, summary
from tests.gpu.speed import COMPARISONS, Comparison, Sides
from tests.gpu.stages import Job

NUMPY, PRODUCT = "session:backend=numpy", "matmul:size=32"
BROKEN = "tutorial_lstm"  # has an LSTM alone
HELD = Lease((cores()[0],), None)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "WINDOW_SECONDS", 0.01)
    monkeypatch.setattr(speed, "FUSED", NUMPY)


def measured(folder: Path, *comparisons: Comparison, seconds: float = 60.0) -> dict:
    return speed.measure(Job("cpu", seconds, folder, quick=True), comparisons, HELD)


@pytest.mark.usefixtures("quickly")
def test_a_side_takes_one_task_after_the_other(tmp_path: Path) -> None:
    sides = (NUMPY, BROKEN, PRODUCT)
    measured(tmp_path, Comparison("lstm", 8, 16, sides), Comparison("gru", 8, 16, sides))
    document = json.loads((tmp_path / speed.FILE).read_text())
    lstm, gru = document["comparisons"]
    assert [lstm["name"], gru["name"]] == ["lstm-8, batch 16", "gru-8, batch 16"]
    for record in (lstm, gru):
        assert len(record["sides"][NUMPY]["seconds"]) == speed.ROUNDS
        assert record["sides"][NUMPY]["facts"]["kernel"].startswith("NumPy")
        assert record["sides"][PRODUCT]["updates"] >= 1
    assert lstm["flops_per_sequence"] > gru["flops_per_sequence"]
    assert lstm["first_over"][BROKEN]["median"] > 1
    assert gru["sides"][BROKEN] == {"error": "ValueError: cell=gru: the tutorial has an lstm only"}
    assert document["not_reached"] == []


@pytest.mark.usefixtures("quickly")
def test_a_comparison_without_time_is_named(tmp_path: Path) -> None:
    sides = (NUMPY,)
    document = measured(tmp_path, Comparison("gru", 8, 16, sides), seconds=-1.0)
    assert document["comparisons"] == []
    assert document["not_reached"] == ["gru-8, batch 16"]
    assert json.loads((tmp_path / speed.FILE).read_text()) == document
    assert summary.speed_tables(tmp_path) == ["Not reached: gru-8, batch 16."]


@pytest.mark.usefixtures("quickly")
def test_a_side_that_dies_is_started_again_for_the_next_task() -> None:
    comparison = Comparison("lstm", 8, 16, (NUMPY, PRODUCT))
    task = speed.Task("lstm", 8, 16, 1, epoch=4)
    end = speed.clock() + 60
    with Sides(HELD) as sides:
        first = speed.compare(sides, comparison, task, end, 0.01)
        killed = sides.processes[PRODUCT].process.pid
        os.kill(killed, signal.SIGKILL)
        second = speed.compare(sides, comparison, task, end, 0.01)
        third = speed.compare(sides, comparison, task, end, 0.01)
    assert "error" not in first["sides"][PRODUCT]
    assert "SIGKILL" in second["sides"][PRODUCT]["error"]
    assert len(second["sides"][NUMPY]["seconds"]) == speed.ROUNDS
    assert "error" not in third["sides"][PRODUCT]


def test_a_side_that_is_not_ready_in_time_is_ended() -> None:
    found: dict[str, dict] = {NUMPY: {}}
    with Sides(HELD) as sides:
        task = speed.Task("lstm", 8, 16, 1, epoch=4)
        assert sides.built(task, [NUMPY], speed.clock(), found) == []
        assert sides.processes == {}
    assert found[NUMPY]["error"].startswith("no answer for")


def test_every_comparison_names_sides_that_there_are() -> None:
    assert COMPARISONS[0].name == "lstm-128, batch 128"
    models = {(each.cell, each.hidden, each.batch) for each in COMPARISONS}
    assert len(models) == 3 * 2 * 2
    for comparison in (*COMPARISONS, *speed.QUICK):
        assert comparison.sides[0] == speed.FUSED
        for side in comparison.sides:
            parse(side)
            assert summary.fused_like(side) in (*speed.SIDES, *speed.QUICK_SIDES)


def test_a_cpu_has_no_graphs() -> None:
    with pytest.raises(torch_graph.Unavailable, match="only CUDA has graphs"):
        torch_graph.open_side(speed.Task("lstm", 8, 16))


def test_the_table_compares_sides_of_one_precision(tmp_path: Path) -> None:
    def side(*seconds: float) -> dict:
        facts = {"kernel": "cuDNN, CUDA graph"}
        return {"updates": 2, "flops_per_update": 160.0, "seconds": list(seconds), "facts": facts}

    low = f"{speed.FUSED},precision=bfloat16"
    record = {
        "name": "lstm-128, batch 16",
        "task": {"batch": 16},
        "flops_per_sequence": 10,
        "sides": {
            speed.FUSED: side(2, 2, 2),
            low: side(1, 1, 1),
            f"{speed.EAGER}:precision=bfloat16": side(3, 3, 3),
            speed.GRAPH: {"error": "no graph"},
        },
    }
    text = summary.speed_table(speed.with_estimates(record))
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    ratios = {row.split(" | ")[0].strip("| "): row.split(" | ")[2].split()[0] for row in rows[1:]}
    assert ratios == {
        "torch fused, float32": "–",
        "torch fused, bfloat16": "0.500",
        "a bare loop, bfloat16": "3.000",
        "a bare CUDA graph, float32": "no",
    }
    assert "16" in rows[1], "32 sequences in 2 seconds"
    assert np.isclose(record["sides"][low]["seconds"], 1).all()
