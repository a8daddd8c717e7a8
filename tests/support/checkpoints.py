"""Runs with checkpoints, and what must be equal after one was resumed."""

import numpy as np

from harness.store.checkpoint import Checkpoint
from harness.store.record import RunRecord
from tests.conftest import SMALL

EPOCHS = 4


BASE = (*SMALL, f"train.epochs={EPOCHS}", "save_weights=true")


KEEP = "train.checkpoint_epochs=1"


CURVES = ("epoch", "train_loss", "validation_accuracy", "validation_loss")


NUMPY = ("backend=numpy", "cell=gru", "model.layers=2", "model.dropout=0.3")  # Adam, cosine


# dies in the midst of an epoch, after its first window
KILLED_IN_EPOCH = """
import os
import harness.runner.training as training
Window = training.Window
def window(epoch, *rest):
    if epoch == {epoch}:
        os.kill(os.getpid(), 9)
    return Window(epoch, *rest)
training.Window = window
"""


def curves(record: RunRecord) -> list[list[float]]:
    return [[epoch[name] for name in CURVES] for epoch in record.history]


def checkpoint(epoch: int) -> Checkpoint:
    rng = np.random.default_rng(epoch)
    weights = {"readout.W": rng.normal(size=(3, 2)).astype(np.float32), "readout.b": rng.normal(size=2)}
    return Checkpoint(
        epoch,
        weights,
        {"step": np.array(epoch * 7), **weights},
        {"best": 0.1 * epoch, "lost": [float("nan")]},
    )


def equal(found: Checkpoint | None, expected: Checkpoint) -> bool:
    assert found is not None
    pairs = ((found.weights, expected.weights), (found.optimizer, expected.optimizer))
    return (
        found.epoch == expected.epoch
        and repr(found.progress) == repr(expected.progress)
        and all(a.keys() == b.keys() for a, b in pairs)
        and all(
            a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name])
            for a, b in pairs
            for name in a
        )
    )
