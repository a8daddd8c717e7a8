"""Evaluation: what a model predicts correctly, and how fast."""

import math
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np

from harness.backends.base import Session
from harness.config.schema import Config
from harness.measure.clock import timed
from harness.measure.statistics import estimate
from harness.runner.context import Context
from harness.runner.protocol import Update

WINDOWS = 6  # fewer do not give an interval of 95 %
CALLS = 200  # with one sequence each, for the latency


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
    """0 … count, split into batches of `size`, the last one smaller where it does not divide."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def full_ranges(count: int, size: int) -> list[tuple[int, int]]:
    """The batches of `ranges` that have the whole size."""
    return [(start, stop) for start, stop in ranges(count, size) if stop - start == size]


def predict(session: Session, config: Config, split: str, labels: np.ndarray) -> np.ndarray:
    """Logits (N, C) of a whole split."""
    return session.predict(split, ranges(len(labels), config.evaluate.batch_size))


def test_logits(context: Context) -> np.ndarray:
    """Logits (N, C) of the test split, predicted once."""
    labels = context.dataset.test.labels
    context.begin("evaluation", "evaluating")
    logits, first = timed(context.session, lambda: predict(context.session, context.config, "test", labels))
    context.emit(Update(timing={"evaluation_first_seconds": first}))
    return logits


def test(context: Context, logits: np.ndarray) -> np.ndarray:
    """Scores the test split's logits (N, C); then times inference and the latency of single sequences, the
    first ones, and returns their logits."""
    labels = context.dataset.test.labels
    scores = Scores.of(logits, labels)
    context.emit(
        Update(
            columns={"test_accuracy": scores.accuracy, "test_loss": scores.loss},
            details={"confusion": scores.confusion.tolist()},
        )
    )
    context.begin("inference", "timing inference")
    _time_inference(context, len(labels))
    return _time_latency(context, len(labels))


def _time_inference(context: Context, count: int) -> None:
    """Windows of full batches of the test split, over and over, of about `measure.window_seconds`."""
    session, config = context.session, context.config
    size = min(config.evaluate.batch_size, count)
    batches = full_ranges(count, size)
    _, once = timed(session, lambda: session.predict("test", batches))
    per_window = math.ceil(len(batches) * config.measure.window_seconds / once)
    upcoming = cycle(batches)
    windows = [list(islice(upcoming, per_window)) for _ in range(WINDOWS)]
    seconds = [timed(session, partial(session.predict, "test", window))[1] for window in windows]
    sequences = per_window * size
    context.emit(
        Update(
            columns=estimate([sequences / s for s in seconds]).columns("inference_throughput"),
            timing={"inference_windows": [{"sequences": sequences, "seconds": s} for s in seconds]},
        )
    )


def _time_latency(context: Context, count: int) -> np.ndarray:
    """Seconds from asking for one sequence's logits to having them on the host; returns the logits of those
    that were asked for, the first of `count`."""
    session = context.session
    rows = [n % count for n in range(CALLS)]
    for row in rows[:10]:
        session.predict("test", [(row, row + 1)])
    calls = [timed(session, partial(session.predict, "test", [(row, row + 1)])) for row in rows]
    seconds = [spent for _, spent in calls]
    p50, p99 = np.percentile(seconds, [50, 99])
    context.emit(
        Update(
            columns={"latency_p50_seconds": float(p50), "latency_p99_seconds": float(p99)},
            timing={"latency_seconds": seconds},
        )
    )
    return np.concatenate([logits for logits, _ in calls[:count]])
