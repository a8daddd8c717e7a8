"""What tests of loggers share."""

from pathlib import Path

from harness.store.record import RunRecord

NUMPY = ("backend=numpy", "train.epochs=3")
EPOCH = ("train_loss", "validation_accuracy", "validation_loss", "train_throughput", "seconds")


def stored(results: Path) -> RunRecord:
    """The only record there."""
    (path,) = results.glob("runs/*/*/record.json")
    return RunRecord.read(path)
