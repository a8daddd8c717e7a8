"""What a model gets right, and how fast it says so."""

import math
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np

from harness.backends.base import Session
from harness.config.schema import Config
from harness.measure.clock import timed
from harness.measure.statistics import estimate
from harness.runner.protocol import Emit

WINDOWS = 6  # the fewest whose interval covers 95 %
CALLS = 200  # of one sequence, for the latency


@dataclass(frozen=True)
class Scores:
    """Accuracy, mean cross-entropy and confusion matrix (C, C), rows true, columns predicted."""

    accuracy: float
    loss: float
    confusion: np.ndarray

    @staticmethod
    def of(logits: np.ndarray, labels: np.ndarray) -> "Scores":
        """Scores of logits (N, C) against labels (N,), computed in float64."""
        logits = logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(logits).sum(axis=1))
        rows = np.arange(len(labels))
        predicted = logits.argmax(axis=1)
        confusion = np.zeros((logits.shape[1], logits.shape[1]), np.int64)
        np.add.at(confusion, (labels, predicted), 1)
        return Scores(
            accuracy=float((predicted == labels).mean()),
            loss=float((log_total - logits[rows, labels]).mean()),
            confusion=confusion,
        )


def ranges(count: int, size: int) -> list[tuple[int, int]]:
    """0 … count cut into batches of `size`, the last one smaller where it does not divide."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def predict(session: Session, config: Config, split: str, labels: np.ndarray) -> np.ndarray:
    """Logits (N, C) of a whole split."""
    return session.predict(split, ranges(len(labels), config.evaluate.batch_size))


def test(session: Session, config: Config, labels: np.ndarray, emit: Emit) -> None:
    """Evaluates the test split, once; then times inference and the latency of single sequences."""
    emit("phase", name="evaluation")
    emit("note", text="evaluating")
    logits, first = timed(session, lambda: predict(session, config, "test", labels))
    scores = Scores.of(logits, labels)
    emit(
        "update",
        fields={"test_accuracy": scores.accuracy, "test_loss": scores.loss},
        details={"confusion": scores.confusion.tolist()},
        timing={"evaluation_first_seconds": first},
    )
    emit("phase", name="inference")
    emit("note", text="timing inference")
    _inference(session, config, len(labels), emit)
    _latency(session, len(labels), emit)


def _inference(session: Session, config: Config, count: int, emit: Emit) -> None:
    """Windows of full batches of the test split, over and over, of about `measure.window_seconds`."""
    whole = min(config.evaluate.batch_size, count)
    batches = [(start, stop) for start, stop in ranges(count, whole) if stop - start == whole]
    _, once = timed(session, lambda: session.predict("test", batches))
    size = math.ceil(len(batches) * config.measure.window_seconds / once)
    upcoming = cycle(batches)
    windows = [list(islice(upcoming, size)) for _ in range(WINDOWS)]
    seconds = [timed(session, partial(session.predict, "test", window))[1] for window in windows]
    figure = estimate([size * whole / s for s in seconds])
    emit(
        "update",
        fields=figure.columns("inference_throughput"),
        timing={"inference_windows": [{"sequences": size * whole, "seconds": s} for s in seconds]},
    )


def _latency(session: Session, count: int, emit: Emit) -> None:
    """Seconds from asking for one sequence's logits to having them on the host."""
    rows = [n % count for n in range(CALLS)]
    for row in rows[:10]:
        session.predict("test", [(row, row + 1)])
    seconds = [timed(session, partial(session.predict, "test", [(row, row + 1)]))[1] for row in rows]
    p50, p99 = np.percentile(seconds, [50, 99])
    emit(
        "update",
        fields={"latency_p50_seconds": float(p50), "latency_p99_seconds": float(p99)},
        timing={"latency_seconds": seconds},
    )
