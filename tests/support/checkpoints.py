"""Runs with checkpoints, and what must be equal after one was resumed."""

from pathlib import Path

import numpy as np
import pytest

from harness.store.checkpoint import Checkpoint
from harness.store.record import RunRecord
from tests.conftest import SMALL, environment, python

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


def call(results: Path, overrides: tuple[str, ...], env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and stderr of `python run.py …`."""
    done = python("run.py", f"results.root={results}", *BASE, *overrides, env=environment(**(env or {})))
    return done.returncode, done.stderr


def records(results: Path) -> list[RunRecord]:
    """All attempts, the newest last."""
    return [RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json"))]


def kept(results: Path) -> list[str]:
    """The names of all files of checkpoints."""
    return sorted(path.name for path in results.glob("runs/*/checkpoint/*"))


def same(found: RunRecord, expected: RunRecord) -> None:
    """The same run to the last bit, timing aside."""
    assert found.status == "ok", found.reason
    assert found.key == expected.key
    assert curves(found) == curves(expected)
    weights, others = (Path(str(record.weights_path)).read_bytes() for record in (found, expected))
    assert weights == others
    for name in ("test_accuracy", "test_loss", "train_loss", "best_validation_accuracy", "steps_to_target"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("confusion", "order_sha256", "first_losses"):
        assert found.details[name] == expected.details[name], name


def whole(record: RunRecord, epochs: list[int], attempts: list[RunRecord]) -> None:
    """What a record says about the parts it was made in: the first ended after `epochs[0]`, …"""
    resumed = record.details["resumed"]
    assert [attempt["epoch"] for attempt in resumed] == epochs
    assert [attempt["started"] for attempt in resumed] == [attempt.started for attempt in attempts]
    windows = record.timing["windows"]
    edges = [0, *epochs, EPOCHS]
    for window in windows:
        part = window["part"]
        assert edges[part - 1] < window["epoch"] <= edges[part], window
    assert {window["epoch"] for window in windows} == set(range(1, EPOCHS + 1))
    assert sum(window["steps"] for window in windows) == EPOCHS * (1318 // record.batch_size)
    assert sum(window["seconds"] for window in windows) == pytest.approx(record.train_seconds)
    for epoch in record.history:
        spent = sum(window["seconds"] for window in windows if window["epoch"] == epoch["epoch"])
        assert epoch["seconds"] == pytest.approx(spent)
