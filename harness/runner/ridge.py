"""A readout in closed form: ridge regression of one-hot labels on the features, over one pass of the data.

    minimise  (1/N) Σ_n ‖f_n W + b - y_n‖² + λ ‖W‖²          f_n (D·H), y_n (C) one-hot, b not penalised

The features come from the backend in its own precision; their products are summed, and the system solved,
in float64, so that all backends find the same weights (Hoerl and Kennard, Ridge regression, Technometrics
12(1), 1970).
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from harness.backends.base import Session, Weights
from harness.measure.clock import timed
from harness.measure.statistics import estimate, undisturbed
from harness.runner.context import Context
from harness.runner.evaluation import Scores, predict, ranges
from harness.runner.protocol import EpochEnd, Phase, Update
from harness.runner.training import split_into_windows


def solve(context: Context) -> None:
    """Puts the solution into the session, and reports its scores and the speed of the pass."""
    session, config, emit = context.session, context.config, context.emit
    labels, validation = context.train_labels, context.dataset.validation.labels
    batches = ranges(len(labels), config.train.batch_size)
    context.begin("warm_up", "warming up")
    _, first = timed(session, lambda: session.features("train", batches[:1]))
    emit(Update(columns={"first_call_seconds": first}, timing={"first_call_seconds": first}))
    context.begin("training", "solving for the readout")
    sums = Sums(session.weights()["readout.W"].shape[0], context.model.classes)
    parts = split_into_windows(len(batches), config, timed_step(session, batches))
    windows = [batches[part] for part in parts]
    seconds = []
    for window in windows:
        features, spent = timed(session, partial(session.features, "train", window))
        seconds.append(spent)
        sums.add(features, labels[window[0][0] : window[-1][1]])
    weights = session.weights()
    weights |= sums.solution(config.train.ridge)
    session.put_weights(weights)
    emit(Phase("validation"))
    scores = Scores.of(predict(session, config, "validation", validation), validation)
    sequences = [window[-1][1] - window[0][0] for window in windows]
    rates = [n / s for n, s in zip(sequences, seconds, strict=True)]
    emit(
        Update(
            columns={
                "validation_accuracy": scores.accuracy,
                "best_validation_accuracy": scores.accuracy,
                "train_seconds": math.fsum(seconds),
                **estimate(rates).columns("train_throughput"),
                **undisturbed(rates),
            },
            details={"mean_squared_error": sums.error(weights)},
            timing={
                "windows": [
                    {"epoch": 1, "steps": len(window), "sequences": n, "seconds": s}
                    for window, n, s in zip(windows, sequences, seconds, strict=True)
                ]
            },
        )
    )
    emit(
        EpochEnd(
            {
                "epoch": 1,
                "train_loss": None,
                "validation_accuracy": scores.accuracy,
                "validation_loss": scores.loss,
                "train_throughput": sum(sequences) / math.fsum(seconds),
                "seconds": math.fsum(seconds),
            }
        )
    )


class Sums:
    """Σ f fᵀ and Σ f yᵀ of all features seen so far, in float64; f with a one at its end for the bias."""

    def __init__(self, width: int, classes: int) -> None:
        self.ff = np.zeros((width + 1, width + 1))
        self.fy = np.zeros((width + 1, classes))
        self.count = 0

    def add(self, features: np.ndarray, labels: np.ndarray) -> None:
        """features (N, width), labels (N,)."""
        f = np.concatenate([features.astype(np.float64), np.ones((len(features), 1))], axis=1)
        self.ff += f.T @ f
        self.fy += f.T @ np.eye(self.fy.shape[1])[labels]
        self.count += len(labels)

    def solution(self, λ: float) -> Weights:
        """W and b of the readout by canonical name."""
        from scipy import linalg  # no other run needs it

        penalty = np.full(len(self.ff), λ * self.count)
        penalty[-1] = 0.0
        both = linalg.solve(self.ff + np.diag(penalty), self.fy, assume_a="pos")
        return {"readout.W": both[:-1], "readout.b": both[-1]}

    def error(self, weights: Weights) -> float:
        """Mean over sequences of ‖f W + b - y‖²."""
        both = np.vstack([weights["readout.W"], weights["readout.b"]]).astype(np.float64)
        total = np.sum(both * (self.ff @ both)) - 2 * np.sum(both * self.fy) + self.count
        return float(total) / self.count


def timed_step(session: Session, batches: Sequence[tuple[int, int]]) -> float:
    """Seconds that the features of one batch take."""
    few = list(batches[: min(5, len(batches))])
    return timed(session, lambda: session.features("train", few))[1] / len(few)
