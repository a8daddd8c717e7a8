"""Older records have the columns that their raw windows give."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.store import frames
from harness.store.record import RunRecord
from tests.conftest import ROOT
from tests.support.made import of_windows, stored, timed

RATES = [1000.0] * 25 + [1300.0] * 5


def older(results: Path, **changed: Any) -> Path:
    """A record as it was before these columns; `changed` are parts of its document."""
    stored(results, timed(1, **of_windows(RATES)))
    (path,) = results.rglob("record.json")
    values = json.loads(path.read_text("utf-8"))
    del values["train_throughput_best"], values["unsteady"]
    path.write_text(json.dumps({**values, **changed}), "utf-8")
    return path


def test_the_undisturbed_speed_of_an_older_record_is_that_of_its_windows(tmp_path: Path) -> None:
    path = older(tmp_path)
    frame = frames.load(tmp_path)
    assert frame[["train_throughput_best", "unsteady"]].to_numpy().tolist() == [[1300, True]]
    assert RunRecord.read(path).unsteady is True


@pytest.mark.parametrize(
    "changed",
    [
        {"timing": {}},
        {"timing": {"windows": [{"sequences": "many", "seconds": 1.0}] * 30}},
        {"timing": {"windows": 7}},
        {"config": {"measure": 3}},
        {"config": {}},
    ],
)
def test_nothing_comes_of_windows_that_are_missing_or_damaged(tmp_path: Path, changed: Any) -> None:
    read = RunRecord.read(older(tmp_path, **changed))
    assert (read.train_throughput_best, read.unsteady) == (None, None)


def test_published_runs_that_were_long_enough_have_one() -> None:
    frame = frames.load(ROOT / "results/published/frameworks")
    assert frame["train_throughput_best"].notna().all()
    assert (frame["train_throughput_best"] > frame["train_throughput"]).all()
    assert frame["unsteady"].any()
