"""Relative distances from the reference, and how large each may be."""

from collections.abc import Callable, Mapping

import numpy as np

# Of tf32 and bfloat16 about twice the largest distance that was found over cells, readouts and directions:
# 0.03 (products rounded to ten bits on a CPU) and 0.08; float16, which has the ten bits of tf32, has its
# limits. Wherever a ReLU or a maximum is decided otherwise the gradient jumps; most models are ten times
# closer. A wrong gate is at 1.
LIMITS = {"float32": 1e-4, "float64": 1e-7, "tf32": 5e-2, "bfloat16": 2e-1, "float16": 5e-2}
# Of updates likewise: 0.49 for bfloat16. Adam divides by gradients of which some are all rounding. A wrong
# learning rate is at 1.
UPDATE_LIMITS = {**LIMITS, "tf32": 0.2, "bfloat16": 0.8, "float16": 0.2}
ROUNDING_RATIO = 10  # between the rounding errors of two correct float32 sessions, at most


def distance(actual: np.ndarray, expected: np.ndarray, allowance: float = 0.0) -> float:
    """(‖actual - expected‖₂ - allowance) / ‖expected‖₂, at least 0; infinite where something is not finite
    (NaN hides in max), and where something is expected to be 0 and is not."""
    norm = float(np.linalg.norm(expected))
    difference = float(np.linalg.norm(actual.astype(np.float64) - expected)) - allowance
    if difference <= 0.0:
        return 0.0
    return difference / norm if norm and np.isfinite(difference) else float("inf")


def limit_here(
    limits: Mapping[str, float], precision: str, distance: float, in_float32: Callable[[], float]
) -> float:
    """The limit for a distance that was found: that of the precision, or what rounding makes of it here.

    `in_float32()` is the distance of the reference itself, computed in float32. It is asked for where a
    float32 session is above the limit: Adam divides by gradients that may be all rounding, and a chaotic
    recurrence multiplies what it is given, so that no float32 session could be within the limit. Nor could
    any session where the reference itself diverges: then its distance is infinite, and so is the limit.
    """
    limit = limits[precision]
    if distance <= limit or (precision != "float32" and np.isfinite(distance)):
        return limit
    return max(limit, ROUNDING_RATIO * in_float32())
