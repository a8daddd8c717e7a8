"""The interval of a median of independent samples, such as ratios of rounds in random order."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr, bdtrik  # of the binomial distribution

from harness.measure.statistics import LEVEL, Estimate


def estimate(samples: Sequence[float]) -> Estimate:
    """Median of the samples with the interval of order statistics, which assumes no distribution.

    With fewer than six samples no interval of 95 % exists: the whole range stands in, and `coverage`
    says how little that is, 1 - 2^(1-n) (David and Nagaraja, Order Statistics, 3rd ed., 7.1).
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    if n == 0:
        raise ValueError("no samples")
    low = max(0, math.ceil(bdtrik((1 - LEVEL) / 2, n, 0.5)) - 1)
    coverage = 1 - 2 * float(bdtr(low, n, 0.5))
    return Estimate(float(np.median(ordered)), float(ordered[low]), float(ordered[n - 1 - low]), coverage)
