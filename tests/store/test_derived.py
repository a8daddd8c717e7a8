"""Columns that follow from others: the same for new records and for stored ones, and no share above 1."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

import harness
from harness.store.record import RunRecord
from tests.conftest import ROOT
from tests.support.records import PEAK, measured

PUBLISHED = sorted({path.parents[3] for path in (ROOT / "results").glob("*/*/runs/*/*/record.json")})
TOURNAMENTS = [ROOT / "results/published/answer"]


def stored(path: Path, record: RunRecord, **values: object) -> RunRecord:
    """What is read from a record's document as it was before it had the FLOPs of a training sequence."""
    document = asdict(record) | values
    del document["training_flops_per_sequence"]
    path.write_text(json.dumps(document))
    return RunRecord.read(path)


@pytest.mark.parametrize("root", PUBLISHED, ids=lambda path: "-".join(path.parts[-2:]))
def test_no_published_share_of_the_peak_is_above_1(root: Path) -> None:
    frame = harness.load(root)
    ridge = [config["train"]["solver"] == "ridge" for config in frame["config"]]
    timed = frame[frame["train_throughput"].notna() & ~frame.index.isin(frame.index[ridge])]
    assert len(timed) > 0
    if root in TOURNAMENTS:
        assert timed["peak_flops_per_second"].isna().all(), "a tournament measures none"
        return
    shares = timed["train_flops_per_second"] / timed["peak_flops_per_second"]
    assert shares.notna().all()
    for column in ("peak_fraction", "own_shape_fraction"):
        assert frame.loc[timed.index, column].isna().equals(shares > 1)
    assert frame["peak_fraction"].max() <= 1
    assert frame.loc[ridge, "peak_fraction"].isna().all()


@pytest.mark.parametrize(
    "overrides",
    [
        ("cell=lstm", "model.layers=2", "model.bidirectional=true", "model.readout=attention"),
        ("cell=gru", "train.truncate=7"),
        ("cell=ctrnn", "cell.substeps=3", "model.initial_state=learned"),
        ("cell=mlp",),
        ("cell=echo_state", "train.solver=gradient"),
    ],
)
def test_a_stored_record_is_counted_as_a_new_one_is(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    new = measured("numpy", 1e-3, 0, 5e10, *overrides)
    old = stored(tmp_path / "record.json", new, train_flops_per_second=1.0, peak_fraction=1.5)
    assert old.training_flops_per_sequence == new.training_flops_per_sequence is not None
    assert old.train_flops_per_second == pytest.approx(new.train_flops_per_second)
    assert old.peak_fraction == pytest.approx(new.peak_fraction)


def test_what_training_passed_is_no_peak(tmp_path: Path) -> None:
    fast = measured("numpy", 0, 0, 1.2 * PEAK, own_shape_flops_per_second=PEAK / 2)
    found = stored(tmp_path / "record.json", fast)
    assert found.train_flops_per_second == pytest.approx(1.2 * PEAK)
    assert found.peak_flops_per_second == PEAK
    assert found.peak_fraction is found.own_shape_fraction is None


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("details", {}),
        ("config", {}),
        ("config", {"cell": {"name": "no_cell", "hidden": 1}, "model": {}, "train": {}}),
        ("details", {"shape": {"steps": "x", "features": 1, "classes": 1}}),
        ("details", {"shape": 3}),
    ],
)
def test_a_record_that_says_no_model_has_no_rate(tmp_path: Path, part: str, value: object) -> None:
    found = stored(tmp_path / "record.json", measured("numpy", 1e-3, 0, 5e10), **{part: value})
    assert found.training_flops_per_sequence is found.train_flops_per_second is found.peak_fraction is None
    assert found.train_throughput is not None
