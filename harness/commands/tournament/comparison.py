"""Paired comparisons of two contenders over heats, and the correction for their number.

Two processes of one configuration differ in speed for as long as they live, because their memory is laid out
differently (Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong, ASPLOS 2009). More
rounds of the same processes cannot show this difference. A tournament therefore has heats, each with new
processes, and its intervals are computed over heats (Kalibera and Jones, Rigorous Benchmarking in Reasonable
Time, ISMM 2013).
"""

import math
import sys
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from harness.measure.statistics import student_t, two_sided_p

# Level of a race's interval. A race looks at it after every heat and stops as soon as it is narrow, which
# favours intervals that are narrow by chance: at a nominal 97.5 % the true coverage is 95.7 % to 98 %
LEVEL = 0.975
LARGEST = math.log(sys.float_info.max)  # logarithm of a number


class GeometricMean(NamedTuple):
    """A geometric mean over heats with its interval, which is None for a single heat, and for two or three
    that say so little that its end is beyond all numbers."""

    mean: float
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, as a share of the mean."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2 / self.mean

    @property
    def inverse(self) -> "GeometricMean":
        low, high = self.low, self.high
        return GeometricMean(1 / self.mean, high and 1 / high, low and 1 / low)

    def interval(self, style: str) -> str:
        """`[1.250, 1.290]`, "" for none."""
        return "" if self.low is None or self.high is None else f"[{self.low:{style}}, {self.high:{style}}]"

    def with_interval(self, style: str, unit: str) -> str:
        """`1.270 times as fast [1.250, 1.290]`."""
        return f"{self.mean:{style}}{unit} {self.interval(style)}".rstrip()


def geometric_mean(values: Sequence[float], level: float = LEVEL) -> GeometricMean:
    """The mean of positive values, with Student's interval of their logarithms."""
    mean, error = _logarithms(values)
    half = error * float(student_t(len(values) - 1, level)) if len(values) > 1 else math.inf
    if abs(mean) + half > LARGEST:
        return GeometricMean(math.exp(mean), None, None)
    return GeometricMean(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def p_value(ratios: Sequence[float]) -> float:
    """Student's paired test, two-sided: how probable ratios as far from 1 are if both contenders are equally
    fast; 1 for a single heat."""
    mean, error = _logarithms(ratios)
    if len(ratios) < 2 or mean == 0:
        return 1.0
    return two_sided_p(mean / error, len(ratios) - 1) if error else 0.0


def _logarithms(values: Sequence[float]) -> tuple[float, float]:
    """The mean of the values' logarithms and its standard error, 0 for a single value."""
    logarithms, n = [math.log(value) for value in values], len(values)
    mean = fmean(logarithms)
    return mean, math.sqrt(fmean([(each - mean) ** 2 for each in logarithms]) / max(1, n - 1))


def holm_levels(p_values: Sequence[float], level: float) -> list[float]:
    """The level of each comparison's interval, for a `level` of all comparisons together. Two contenders are
    told apart if their interval does not contain 1, that is if p <= 1 - its level.

    Holm's procedure: the smallest p is judged as one of all comparisons, the next as one of those that are
    left, and once one is not told apart all others are judged like it. That any two alike contenders are told
    apart then has at most the probability 1 - `level`, however many there are (Holm, A Simple Sequentially
    Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979).
    """
    left = len(p_values)
    levels = [level] * left
    for k in sorted(range(left), key=p_values.__getitem__):
        levels[k] = 1 - (1 - level) / left
        left -= p_values[k] <= 1 - levels[k]
    return levels
