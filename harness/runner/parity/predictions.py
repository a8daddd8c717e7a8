"""The logits that a session's `predict` gives for sequences of the test set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.backends.base import Setup, Weights
from harness.backends.numpy.reference import Reference, max_sequences
from harness.errors import ParityFailed
from harness.runner.parity.distance import LIMITS, distance, limit_here

SEQUENCES = 256


@dataclass(frozen=True)
class LogitsParity:
    """‖Δlogits‖₂ / ‖logits‖₂ over so many sequences."""

    logits: float
    limit: float
    sequences: int


def rows(count: int) -> np.ndarray:
    """Which of `count` sequences are compared: the first, the last, and others evenly between."""
    return np.linspace(0, count - 1, min(count, SEQUENCES)).round().astype(np.int64)


def measure(setup: Setup, weights: Weights, x: np.ndarray, logits: np.ndarray) -> LogitsParity:
    """How far logits (N, C) are from the reference's for x (N, T, I) at these weights."""
    found = distance(logits, _reference(setup, weights, x, "float64"))
    limit = limit_here(LIMITS, setup.precision, found, lambda: rounding(setup, weights, x, distance))
    return LogitsParity(found, limit, len(x))


def rounding(
    setup: Setup, weights: Weights, x: np.ndarray, distance: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    """How far the reference's logits of x (N, T, I) in float32 are from those in float64."""
    return distance(*(_reference(setup, weights, x, precision) for precision in ("float32", "float64")))


def check_limit(parity: LogitsParity) -> None:
    """Raises ParityFailed where the distance is above its limit."""
    if not parity.logits <= parity.limit:
        raise ParityFailed(
            f"logits of {parity.sequences} test sequences are {parity.logits:.1e} from the reference, "
            f"above {parity.limit:g}"
        )


def _reference(setup: Setup, weights: Weights, x: np.ndarray, precision: str) -> np.ndarray:
    size = min(max_sequences(setup.model), len(x))
    reference = Reference(setup, weights, batch=1, precision=precision)
    parts = [reference.outputs(x[first : first + size]).logits for first in range(0, len(x), size)]
    reference.close()
    return np.concatenate(parts)
