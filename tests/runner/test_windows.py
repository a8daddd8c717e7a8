"""Windows of training where an epoch is shorter than one: they are joined over epochs."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.runner import evaluation, training
from harness.runner.protocol import Message, Update
from harness.runner.training import TrainingProgress
from tests.support.configurations import composed

EXAMPLES, BATCH = 96, 32  # three updates an epoch
SECONDS = 0.002  # of an update


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a record says of 60 epochs of 6 ms with windows of at least 10 ms."""
    labels = np.zeros(EXAMPLES, np.int64)
    split = SimpleNamespace(labels=labels)
    found: dict[str, Any] = {}

    def keep(message: Message) -> None:
        if isinstance(message, Update):
            found.update(message.columns)

    def timed(session: object, work: Any) -> tuple[np.ndarray, float]:
        losses = work()
        return losses, SECONDS * len(losses)

    def predicted(*of: object) -> np.ndarray:
        return np.zeros((EXAMPLES, 2))

    monkeypatch.setattr(training, "timed", timed)
    monkeypatch.setattr(training, "predict", predicted)
    monkeypatch.setattr(evaluation, "predict", predicted)
    config = composed("train.epochs=60", f"train.batch_size={BATCH}", "measure.window_seconds=0.01")
    context: Any = SimpleNamespace(
        config=config,
        emit=keep,
        dataset=SimpleNamespace(validation=split),
        train_labels=labels,
        session=SimpleNamespace(
            begin_epoch=lambda epoch: None, train=lambda batches, rates: np.ones(len(batches))
        ),
    )
    training.train(context, TrainingProgress.begin(config), step_seconds=SECONDS, keep=lambda: None)
    return found


def test_the_figure_has_an_interval(columns: dict[str, Any]) -> None:
    assert columns["train_seconds"] == pytest.approx(60 * 3 * SECONDS)
    rate = pytest.approx(BATCH / SECONDS)
    assert (columns["train_throughput"], columns["train_throughput_best"]) == (rate, rate)
    assert columns["train_throughput_coverage"] == pytest.approx(1 - 2.0**-29)  # of thirty pairs of epochs
