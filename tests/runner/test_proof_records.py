"""What a record says of the proof, and how a run ends that fails it."""

from pathlib import Path

import numpy as np
import pytest

from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.children import Shadow, sabotage

PREDICTIONS_OFF_BY_ONE = """
import numpy
from harness.backends.numpy.backend import NumpySession
predict = NumpySession.predict
NumpySession.predict = lambda self, *arguments: numpy.roll(predict(self, *arguments), 1, axis=0)
"""
RATE_DOUBLED = """
from harness.backends.numpy.backend import NumpySession
from harness.backends.numpy.reference import Reference
train = NumpySession.train
NumpySession.train = lambda self, batches, rates: train(self, batches, 2 * rates)
Reference.train = train
"""


def records(results: Path) -> list[RunRecord]:
    return [RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json"))]


def test_predictions_that_are_not_the_models_give_no_accuracy(
    run: Shell, results: Path, shadow: Shadow
) -> None:
    assert run("backend=numpy", env=sabotage(shadow, PREDICTIONS_OFF_BY_ONE)).returncode == 1
    (record,) = records(results)
    assert record.status == "parity_failed"
    assert str(record.reason).startswith("logits of 256 test sequences are ")
    assert record.parity_logits is not None
    assert record.parity_logits > 0.1
    assert record.test_accuracy is None
    assert record.train_throughput is not None


@pytest.mark.parametrize("mode", ["train", "throughput"])
def test_an_update_that_is_not_the_optimisers_ends_the_run(
    run: Shell, results: Path, shadow: Shadow, mode: str
) -> None:
    env = sabotage(shadow, RATE_DOUBLED)
    assert run("backend=numpy", f"mode={mode}", "measure.seconds=0.1", env=env).returncode == 1
    (record,) = records(results)
    assert record.status == "parity_failed"
    assert str(record.reason).startswith("3 batches of training are ")
    assert record.train_throughput is None
    assert record.details["parity_update"]["limit"] == 1e-4


def test_backends_train_on_the_same_numbers_in_the_same_order(run: Shell, results: Path) -> None:
    done = run("-m", "backend=numpy,torch", "train.epochs=2")
    assert done.returncode == 0, done.stderr
    one, other = records(results)
    for name in ("split_sha256", "order_sha256"):
        assert one.details[name] == other.details[name]
    assert set(one.details["split_sha256"]) == {"train", "validation", "test"}
    assert len(set(one.details["order_sha256"])) == 2
    first, second = one.details["first_losses"], other.details["first_losses"]
    assert len(first) == 10
    assert np.allclose(first, second, rtol=1e-4)
    for record in (one, other):
        assert 0 < (record.parity_update or 0) < 1e-4
        assert 0 < (record.parity_logits or 0) < 1e-5
