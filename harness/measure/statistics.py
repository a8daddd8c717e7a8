"""From raw windows to a figure with its interval."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# of the binomial and Student's distribution; importing scipy.stats instead takes half a second
from scipy.special import bdtr, bdtrik, stdtrit

LEVEL = 0.95  # of every interval that says no other


class Estimate(NamedTuple):
    """A median, its interval, and the interval's coverage (0.95 where there are samples enough)."""

    median: float
    low: float
    high: float
    coverage: float

    def columns(self, name: str) -> dict[str, float]:
        """A record's columns: the median under this name, the interval beside it."""
        return {
            name: self.median,
            f"{name}_low": self.low,
            f"{name}_high": self.high,
            f"{name}_coverage": self.coverage,
        }


def pooled(work: Sequence[float], seconds: Sequence[float], at_least: float) -> list[float]:
    """Rates of consecutive windows, each window joined to the next until it lasts `at_least` seconds.

    work and seconds are per window; a rest that stays too short joins the last rate.
    """
    groups: list[list[float]] = []
    done, spent = 0.0, 0.0
    for w, s in zip(work, seconds, strict=True):
        done, spent = done + w, spent + s
        if spent >= at_least:
            groups.append([done, spent])
            done, spent = 0.0, 0.0
    if spent and groups:
        groups[-1][0] += done
        groups[-1][1] += spent
    elif spent:
        groups.append([done, spent])
    return [done / spent for done, spent in groups]


def estimate(samples: Sequence[float], level: float = LEVEL) -> Estimate:
    """Median of the samples with the interval of order statistics, which assumes no distribution.

    With fewer than six samples no interval of 95 % exists: the whole range stands in, and `coverage`
    says how little that is, 1 - 2^(1-n) (David and Nagaraja, Order Statistics, 3rd ed., 7.1).
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    if n == 0:
        raise ValueError("no samples")
    low = max(0, math.ceil(bdtrik((1 - level) / 2, n, 0.5)) - 1)
    coverage = 1 - 2 * float(bdtr(low, n, 0.5))
    return Estimate(float(np.median(ordered)), float(ordered[low]), float(ordered[n - 1 - low]), coverage)


def student_t(freedom: ArrayLike, level: float = LEVEL) -> Any:
    """Student's t: half of an interval's width in standard errors, for each number of degrees of freedom."""
    return stdtrit(freedom, (1 + level) / 2)
