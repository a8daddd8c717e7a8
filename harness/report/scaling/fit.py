"""The time of an update as a linear function of its size.

An update of a given model takes t = overhead + FLOPs / rate. The overhead does not depend on the batch or the
width: launching operations, Python, the optimizer's small arrays. Arithmetic runs at a steady rate and
dominates above the size at which both parts are equal. A longer sequence has more operations, not larger
ones; for time steps t = overhead + steps · seconds_per_step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

MINIMUM_POINTS = 3


@dataclass(frozen=True)
class Fit:
    """t = overhead + slope · work, in seconds; `work` is FLOPs or time steps.

    `errors` are |fitted - measured| / measured of every point.
    """

    overhead: float
    slope: float
    errors: tuple[float, ...]

    def seconds(self, work: float) -> float:
        return self.overhead + self.slope * work

    def arithmetic_share(self, work: float) -> float:
        """The share of the time that is not overhead."""
        return self.slope * work / self.seconds(work)


def fit_seconds(work: Sequence[float], seconds: Sequence[float]) -> Fit | None:
    """Least squares of the relative errors with a non-negative overhead and slope; None for fewer than
    MINIMUM_POINTS points."""
    if len(work) < MINIMUM_POINTS:
        return None
    w, t = np.asarray(work, np.float64), np.asarray(seconds, np.float64)
    scale = w.max()
    (overhead, slope), _ = nnls(np.stack([1 / t, w / scale / t], axis=1), np.ones(len(t)))
    fitted = overhead + slope * w / scale
    return Fit(float(overhead), float(slope / scale), tuple(abs(fitted / t - 1).tolist()))


def half_arithmetic_size(fit: Fit, sizes: Sequence[float], flops: Sequence[float]) -> float:
    """The size at which half of the time is arithmetic, interpolated between ascending measured sizes; 0 or
    infinity if it lies outside of them."""
    if fit.arithmetic_share(flops[0]) >= 0.5:
        return 0.0
    if fit.arithmetic_share(flops[-1]) <= 0.5:
        return float("inf")
    equal_flops = fit.overhead / fit.slope
    return float(np.exp(np.interp(np.log(equal_flops), np.log(flops), np.log(sizes))))
