"""Windows of training where an epoch is shorter than one: they are joined over epochs."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.measure.energy import Meter
from harness.report import metrics
from harness.runner import evaluation, training
from harness.runner.protocol import Message, Update
from harness.runner.training import TrainingProgress
from tests.support.configurations import composed

EXAMPLES, BATCH = 96, 32  # three updates an epoch
SECONDS = 0.002  # of an update


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """What a record says of so many epochs of 6 ms with windows of so many seconds."""

    def train(epochs: int, window: float, step: float = SECONDS) -> dict[str, Any]:
        return _trained(monkeypatch, epochs, window, step)

    return train


def _trained(monkeypatch: pytest.MonkeyPatch, epochs: int, window: float, step: float) -> dict[str, Any]:
    labels = np.zeros(EXAMPLES, np.int64)
    split = SimpleNamespace(labels=labels)
    found: dict[str, Any] = {}

    def keep(message: Message) -> None:
        if isinstance(message, Update):
            found.update({**message.columns, **message.timing})

    def timed(session: object, work: Any) -> tuple[np.ndarray, float]:
        losses = work()
        return losses, SECONDS * len(losses)

    def predicted(*of: object) -> np.ndarray:
        return np.zeros((EXAMPLES, 2))

    monkeypatch.setattr(training, "timed", timed)
    monkeypatch.setattr(training, "predict", predicted)
    monkeypatch.setattr(evaluation, "predict", predicted)
    config = composed(
        f"train.epochs={epochs}", f"train.batch_size={BATCH}", f"measure.window_seconds={window}"
    )
    context: Any = SimpleNamespace(
        config=config,
        emit=keep,
        energy=Meter("none"),
        dataset=SimpleNamespace(validation=split),
        train_labels=labels,
        session=SimpleNamespace(
            begin_epoch=lambda epoch: None, train=lambda batches, rates: np.ones(len(batches))
        ),
    )
    training.train(context, TrainingProgress.begin(config), step_seconds=step, keep=lambda: None)
    return found


def test_the_figure_has_an_interval(trained: Callable[..., dict[str, Any]]) -> None:
    columns = trained(60, 0.01)
    assert columns["train_seconds"] == pytest.approx(60 * 3 * SECONDS)
    rate = pytest.approx(BATCH / SECONDS)
    assert (columns["train_throughput"], columns["train_throughput_best"]) == (rate, rate)
    assert columns["train_throughput_coverage"] == pytest.approx(1 - 2.0**-29)  # of thirty pairs of epochs


@pytest.mark.parametrize(("epochs", "rates"), [(1, 1), (2, 2), (5, 5), (6, 6), (7, 6), (33, 6), (40, 6)])
def test_a_training_of_few_windows_has_an_interval_too(
    trained: Callable[..., dict[str, Any]], epochs: int, rates: int
) -> None:
    columns = trained(epochs, 0.1)
    assert columns["train_throughput_coverage"] == 1 - 2.0 ** (1 - rates)
    assert columns["train_throughput"] == pytest.approx(BATCH / SECONDS)
    config = {"measure": {"window_seconds": 0.1}}
    raw = metrics.samples(metrics.parse_metric("train_throughput"), columns, config)
    assert raw
    assert len(raw[0]) == rates  # of which `compare` draws


def test_a_training_of_many_windows_joins_as_many_epochs_as_one_has(
    trained: Callable[..., dict[str, Any]],
) -> None:
    assert trained(7 * 17, 0.1)["train_throughput_coverage"] == 1 - 2.0 ** (1 - 7)


@pytest.mark.parametrize(("epochs", "windows"), [(1, 3), (2, 6)])
def test_windows_within_an_epoch_stay_as_long_as_they_are_to_be(
    trained: Callable[..., dict[str, Any]], epochs: int, windows: int
) -> None:
    """Planned as 2.5 ms each, they take 2 ms: two are joined."""
    columns = trained(epochs, 0.0025, step=0.0025)
    assert len(columns["windows"]) == windows
    assert columns["train_throughput_coverage"] == 1 - 2.0 ** (1 - windows // 2)
