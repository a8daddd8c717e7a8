"""A sweep that is killed at any moment, again and again, loses nothing: `tests.bench.kills` in small."""

from pathlib import Path

import pytest

from harness.measure.machine import cores
from tests.bench.kills import kill

pytestmark = pytest.mark.long


def test_a_sweep_whose_whole_process_tree_is_killed_again_and_again(tmp_path: Path) -> None:
    threads = min(2, len(cores()))
    swept = ("backend=numpy,torch", "cell=gru", f"threads={threads}", "train.schedule=step", "train.epochs=8")
    found = kill(tmp_path, kills=6, seed=0, swept=swept, runs=2, launcher="basic")
    assert found.kills == 6
    assert found.processes > found.kills
