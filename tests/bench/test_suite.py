"""The benchmarks measure what they say, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.commands.tournament.contender_process import ContenderFailed
from harness.launcher.lease import Lease
from harness.measure.machine import cores
from harness.measure.statistics import Estimate
from harness.model.optimizer import OptimizerSpec
from tests.bench import child, suite
from tests.bench.compare import take_turns
from tests.bench.sides.tutorial_lstm import LSTM, from_canonical
from tests.bench.task import Task
from tests.conftest import ROOT, environment
from tests.support.parity import Case, distance, open_session

SMALL = ("--hidden=8", "--batch=16", "--threads=1", "--seconds=0.02")
NUMPY, PRODUCT = "session:backend=numpy", "matmul:size=32"
ONE_CORE = Lease((cores()[0],), None)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.bench.compare", *SMALL, *arguments]


def compare(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(**env), capture_output=True, text=True, timeout=120
    )


def test_sides_take_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    output = tmp_path / "found.json"
    done = compare(NUMPY, "tutorial_lstm", PRODUCT, "--rounds=6", f"--output={output}")
    assert done.returncode == 0, done.stderr
    record = json.loads(output.read_text())
    sides = record["sides"]
    assert list(sides) == [NUMPY, "tutorial_lstm", PRODUCT]
    assert len({side["process"] for side in sides.values()} - {os.getpid()}) == 3
    assert all(sorted(order) == sorted(sides) for order in record["orders"])
    assert len({tuple(order) for order in record["orders"]}) > 1, "never a fresh order: 1 in 6^5 by chance"
    assert all(len(side["seconds"]) == 6 for side in sides.values())
    assert sides[NUMPY]["facts"]["kernel"].startswith("NumPy")

    over = record["first_over"]["tutorial_lstm"]
    each = [
        (a["updates"] / s) / (b["updates"] / t)
        for a, b in [(sides[NUMPY], sides["tutorial_lstm"])]
        for s, t in zip(a["seconds"], b["seconds"], strict=True)
    ]
    assert over["median"] == pytest.approx(np.median(each))
    assert min(each) * 0.999 <= over["low"] <= over["median"] <= over["high"] <= max(each) * 1.001
    assert over["coverage"] > 0.95
    assert over["median"] > 1, "a whole batch at once is faster than one sequence after the other"
    assert "sequences_per_second" not in sides[PRODUCT]
    assert {"versions", "machine", "load_average_before", "cores"} <= set(record)
    assert NUMPY in done.stdout


def test_a_side_that_fails_is_reported_and_the_others_go_on(
    tmp_path: Path, shadow: Callable[[str, str], dict[str, str]]
) -> None:
    output = tmp_path / "found.json"
    broken = shadow("torch", "raise ImportError('libtorch.so is broken')")
    done = compare("torch_loop", NUMPY, "--rounds=2", f"--output={output}", **broken)
    assert done.returncode == 1, done.stderr
    record = json.loads(output.read_text())
    assert record["sides"]["torch_loop"] == {"error": "exit status 1: ImportError: libtorch.so is broken"}
    assert len(record["sides"][NUMPY]["seconds"]) == 2
    assert record["first_over"] == {}
    assert "libtorch.so is broken" in done.stdout


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("matmull", "no side 'matmull'; there are keras_fit, matmul"),
        ("matmul:512", "must be NAME or NAME:KEY=VALUE"),
    ],
)
def test_a_side_that_there_is_not_is_refused_at_once(side: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        child.parse(side)


def test_a_side_that_dies_on_the_way_says_how() -> None:
    task = Task(hidden=8, batch=16)
    with child.Child(child.parse(PRODUCT), task, ONE_CORE, 0.01) as side:
        assert side.wait_until_ready()["flops_per_update"] == 2 * 32**3
        assert side.time_window() > 0
        os.kill(side.process.pid, signal.SIGSEGV)
        with pytest.raises(ContenderFailed, match="SIGSEGV"):
            side.time_window()


def test_a_side_sees_the_gpu_that_is_held() -> None:
    held = Lease((3, 5), "GPU-aa11")
    for side in ("torch_graph", "session:backend=keras,engine=jax", NUMPY):
        env = child.environment(child.parse(side), held)
        assert (env["CUDA_VISIBLE_DEVICES"], env["OMP_NUM_THREADS"]) == ("GPU-aa11", "2")
    assert child.environment(child.parse(PRODUCT), ONE_CORE)["CUDA_VISIBLE_DEVICES"] == ""


def test_a_side_that_failed_has_no_more_turns() -> None:
    class Fake:
        def __init__(self, windows: int) -> None:
            self.left = windows

        def time_window(self) -> float:
            self.left -= 1
            if self.left < 0:
                raise ContenderFailed("its memory is full", "out_of_memory")
            return 1.0

    children = {"good": Fake(9), "bad": Fake(1)}
    found: dict[str, dict] = {name: {"seconds": []} for name in children}
    orders = take_turns(children, found, 3, lambda text: None)
    assert [sorted(order) for order in orders] == [["bad", "good"], ["bad", "good"], ["good"]]
    assert found == {"good": {"seconds": [1.0] * 3}, "bad": {"error": "its memory is full"}}


def test_ctrl_c_ends_all_sides() -> None:
    with subprocess.Popen(
        command(NUMPY, PRODUCT, "--rounds=100000"),
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if line.startswith("round 2"):
                break
        sides = psutil.Process(started.pid).children(recursive=True)
        assert len(sides) == 2
        started.send_signal(signal.SIGINT)
        assert started.wait(20) == 130
    _, alive = psutil.wait_procs(sides, timeout=5)
    assert alive == []


def test_a_side_between_windows_sleeps() -> None:
    """While another is timed it uses no core."""
    with child.Child(child.parse(NUMPY), Task(hidden=8, batch=16), ONE_CORE, 0.02) as side:
        side.wait_until_ready()
        side.time_window()
        process = psutil.Process(side.process.pid)
        before = process.cpu_times()
        time.sleep(0.5)
        after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.05


def test_the_tutorials_gradient_is_right() -> None:
    """Against the reference, of one sequence, with weights that hide no swapped gate."""
    case = Case("lstm")
    session = open_session("numpy", case, "auto", OptimizerSpec())
    x, y = case.data()
    tutorial = LSTM(case.model.hidden, from_canonical(case.weights()))
    for k in range(2):
        loss, found = tutorial.gradient(x[k], int(y[k]))
        expected = session.gradients(x[k : k + 1], y[k : k + 1])
        assert loss == pytest.approx(expected.loss, rel=1e-12)
        own = from_canonical(expected.gradients)
        assert set(found) == set(own)
        assert max(distance(found[name], own[name]) for name in own) < 1e-10


def test_three_rounds_meet_no_goal() -> None:
    assert suite.verdict(suite.Row("what", Estimate(3, 3, 3, 0.75), 1.1)) == "open"


def test_a_comparison_is_with_the_best_that_did_not_fail() -> None:
    def side(*seconds: float) -> dict[str, object]:
        return {"updates": 2, "flops_per_update": 10.0, "seconds": seconds}

    comparison = suite.Comparison("gru", "NumPy", suite.TORCH, 1.0)
    found = {
        suite.SIDES["NumPy"]: side(1, 2, 1),
        suite.SIDES["torch fused"]: side(3, 9, 3),
        suite.SIDES["torch loop"]: side(2, 4, 1),
        suite.SIDES["torch compiled"]: {"error": "no compiler"},
    }
    row = suite.compared(comparison, {"sides": found})
    assert row.what == "gru: NumPy / the best of torch (torch loop); failed: torch compiled"
    assert row.figure is not None
    assert row.figure[:3] == (2, 1, 2)
    alone = suite.compared(comparison, {"sides": {name: {"error": "no torch"} for name in found}})
    assert suite.verdict(alone) == "not measured"
    assert "| not measured |" in suite.table([alone])


@pytest.mark.parametrize(
    ("figure", "floor", "at_most", "met"),
    [
        ((1.3, 1.2, 1.4), None, False, "yes"),
        ((1.3, 1.05, 1.4), None, False, "open"),
        ((1.0, 0.9, 1.05), None, False, "no"),
        ((1.1, 1.06, 1.2), 1.05, False, "yes"),
        ((1.09, 1.06, 1.2), 1.05, False, "open"),
        ((1.0, 1.0, 1.0), None, True, "yes"),
        ((1.2, 1.2, 1.2), None, True, "no"),
        (None, None, False, "not measured"),
    ],
)
def test_a_goal_is_met_by_the_whole_interval(
    figure: tuple[float, float, float] | None, floor: float | None, at_most: bool, met: str
) -> None:
    found = figure and Estimate(*figure, 0.95)
    assert suite.verdict(suite.Row("what", found, 1.1, floor, at_most=at_most)) == met


def test_every_comparison_names_sides_that_there_are() -> None:
    for comparison in suite.COMPARISONS:
        for name in comparison.sides:
            child.parse(suite.SIDES[name])
