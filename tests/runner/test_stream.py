"""Rows that come one at a time: the same predictions, an accuracy after every row, a latency per row."""

import re
from pathlib import Path

import numpy as np
import pytest

from harness.backends.base import Session
from harness.backends.states import CarriedStates
from harness.model.optimizer import OptimizerSpec
from harness.runner.modes.stream import Stream, limit
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.parity import Case, open_session


@pytest.mark.parametrize("readout", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("cell", ["lstm", "sru", "fir"])
def test_every_row_gives_what_the_sequence_up_to_it_gives(
    cell: str, readout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(cell, layers=2, readout=readout, initial_state="learned")
    session = open_session("numpy", case, "loop", OptimizerSpec())
    monkeypatch.setattr(CarriedStates, "named", None)  # what is timed copies no states
    x, _ = case.data()
    for _ in range(2):  # a second stream begins anew
        batch = Stream(session, case.model)
        for t in range(case.steps):
            np.testing.assert_allclose(
                batch.feed(x[:, t]), logits(session, x[:, : t + 1]), rtol=1e-10, atol=1e-12
            )


def logits(session: Session, x: np.ndarray) -> np.ndarray:
    """Those of sequences of any length, read at once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CarriedStates, "named", lambda self, tensors: {})
        return session.outputs(x).logits


@pytest.mark.parametrize(
    ("precision", "device", "difference", "in_float32", "expected"),
    [
        ("float32", "cpu", 3e-5, 1e-5, 1e-5),
        ("float32", "cuda:0", 9e-6, 1e-5, 1e-5),  # within it: what float32 does is not asked
        ("float32", "cuda:0", 3e-5, 1e-7, 1e-5),
        ("float32", "cuda:0", 3e-5, 8e-6, 8e-5),
        ("float32", "cuda:0", np.nan, 8e-6, 8e-5),
        ("float16", "cuda:0", 3e-2, 8e-3, 1e-2),
    ],
)
def test_kernels_of_a_gpu_may_differ_by_what_rounding_does(
    precision: str, device: str, difference: float, in_float32: float, expected: float
) -> None:
    assert limit(precision, device, difference, lambda: in_float32) == pytest.approx(expected)


def trained(run: Shell, results: Path, *overrides: str) -> RunRecord:
    done = run("train.epochs=6", "train.batch_size=16", "save_weights=true", *overrides)
    assert done.returncode == 0, done.stderr
    (path,) = results.glob("runs/*/*/record.json")
    return RunRecord.read(path)


@pytest.mark.parametrize(
    ("backend", "overrides"),
    [
        ("numpy", ["cell=minlstm", "model.readout=attention"]),
        pytest.param(
            "torch", ["cell=lstm", "model.layers=2", "model.initial_state=learned"], marks=pytest.mark.long
        ),
        pytest.param("keras", ["cell=gru", "model.readout=mean"], marks=pytest.mark.long),
    ],
)
def test_a_trained_model_streams(run: Shell, results: Path, backend: str, overrides: list[str]) -> None:
    before = trained(run, results, f"backend={backend}", *overrides)
    streamed = results.parent / "streamed"
    done = run(
        f"backend={backend}",
        *overrides,
        "mode=stream",
        f"weights={before.weights_path}",
        "evaluate.batch_size=100",
        f"results.root={streamed}",
    )
    assert done.returncode == 0, done.stderr
    (path,) = streamed.glob("runs/*/*/record.json")
    record = RunRecord.read(path)
    assert "step_latency_p50_seconds" in done.stdout
    assert re.search(
        r"after 7, 0\.\d\d after 14, 0\.\d\d after 21 steps\), [\d,]+ µs a step", done.stdout + done.stderr
    )
    assert record.mode == "stream"
    assert record.test_accuracy == before.test_accuracy
    after = record.details["accuracy_after_step"]
    assert len(after) == 28
    assert after[-1] == record.test_accuracy
    assert after[0] < 0.3 < after[-1]
    assert record.details["stream_difference"] <= record.details["stream_limit"] == 1e-5
    assert 0 < record.step_latency_p50_seconds <= record.step_latency_p99_seconds
    sizes = {entry["batch_size"]: entry["steps"] for entry in record.details["stream_latency"]}
    assert sizes == {1: 40 * 28, 100: 3 * 28}  # 360 sequences: the last 60 are no full batch
    assert record.train_throughput is None
    assert record.history == []
