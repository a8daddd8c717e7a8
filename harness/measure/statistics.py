"""From raw windows to a figure with its interval."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

# of the normal and Student's distribution; importing scipy.stats instead takes half a second
from scipy.special import ndtr, stdtr, stdtrit

LEVEL = 0.95  # of every interval that says no other
FEWEST = 20  # windows of which a few are the fastest
FEWEST_IN_BLOCKS = 40  # windows that make blocks enough: of twenty the interval would cover 83 %
FEWEST_JOINED = 6  # of short epochs: the whole range of six covers 97 %, of five 94 %
FASTEST = 5  # windows that show the undisturbed speed
UNSTEADY = 1.1  # the undisturbed speed over the median from which on a run is unsteady
AUTOCORRELATION = 0.63  # of a run's neighbouring windows, as measured
MIN_BLOCKS = 4
DRAWS = 1000  # resampled series of windows
CHUNK = 1 << 17  # resampled windows in memory at once: a megabyte, which no peak of a run's memory shows
SEED = 0  # of the resampling: the same windows give the same interval


class Estimate(NamedTuple):
    """The median of one run's windows, its interval, and the interval's coverage (0.95 where there are
    windows enough). It says where this run's median lies, not where that of another run would."""

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


def window_rates(windows: Sequence[Mapping[str, Any]], at_least: float) -> list[float]:
    """Rates of a run's raw windows as a record has them, in sequences/s, each joined to the next until it
    lasts `at_least` seconds.

    Where epochs are shorter than that, so few would be left of a short training that they had no interval.
    Then FEWEST_JOINED parts of about as many epochs are rates, or every epoch is one.
    """
    work, seconds = ([window[name] for window in windows] for name in ("sequences", "seconds"))
    rates = pooled(work, seconds, at_least)
    fewest = min(FEWEST_JOINED, len(windows))
    if len(rates) >= fewest or len({str(window.get("epoch")) for window in windows}) < len(windows):
        return rates
    parts = zip(np.array_split(work, fewest), np.array_split(seconds, fewest), strict=True)
    return [float(done.sum() / spent.sum()) for done, spent in parts]


def estimate(samples: Sequence[float]) -> Estimate:
    """Median of one run's windows, in the order in which they were measured, with its 95 % interval.

    Neighbouring windows are alike, so blocks of them are resampled. Percentiles of a bootstrap over k blocks
    are too narrow where k is small; they are taken as far out as Student's t is beyond the normal
    distribution (Hesterberg, The American Statistician 69, 2015, 371-386). Fewer than FEWEST_IN_BLOCKS make
    too few blocks: their whole range stands in, and `coverage` is that of independent windows, 1 - 2^(1-n)
    (David and Nagaraja, Order Statistics, 3rd ed., 7.1).
    """
    series = np.asarray(samples, dtype=np.float64)
    n = len(series)
    if n == 0:
        raise ValueError("no samples")
    median = float(np.median(series))
    if n < FEWEST_IN_BLOCKS:
        return Estimate(median, float(series.min()), float(series.max()), 1 - 2.0 ** (1 - n))
    rng, chunk = np.random.default_rng(SEED), max(1, CHUNK // n)
    medians = np.concatenate(
        [
            np.median(resample_blocks(series, min(chunk, DRAWS - done), rng), axis=1)
            for done in range(0, DRAWS, chunk)
        ]
    )
    blocks = n / block_length(n)
    tail = float(ndtr(-math.sqrt(blocks / (blocks - 1)) * student_t(blocks - 1)))
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Estimate(median, float(low), float(high), LEVEL)


def resample_blocks(series: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Resampled series (draws, n) of a series (n,): blocks of neighbours, drawn from every place of it with
    replacement (the moving-block bootstrap; Künsch, The Annals of Statistics 17, 1989, 1217-1241)."""
    n = len(series)
    length = block_length(n)
    starts = rng.integers(0, n - length + 1, (draws, math.ceil(n / length)))
    return sliding_window_view(series, length)[starts].reshape(draws, -1)[:, :n]


def block_length(n: int) -> int:
    """Windows in a block of a series of n: what fits the variance of a mean best where neighbours have
    AUTOCORRELATION (Politis and White, Econometric Reviews 23, 2004, 53-70), but at least MIN_BLOCKS."""
    memory = 2 * AUTOCORRELATION / (1 - AUTOCORRELATION**2)
    return max(1, min(round((1.5 * memory**2 * n) ** (1 / 3)), n // MIN_BLOCKS))


def fastest(rates: np.ndarray) -> np.ndarray:
    """The mean of the FASTEST highest rates (…, W), over the last axis: the speed of undisturbed windows. It
    grows with the number of windows."""
    return np.asarray(np.partition(rates, -FASTEST, axis=-1)[..., -FASTEST:].mean(axis=-1))


def undisturbed(rates: Sequence[float]) -> dict[str, Any]:
    """A record's columns on the fastest windows; None for fewer than FEWEST."""
    if len(rates) < FEWEST:
        return {"train_throughput_best": None, "unsteady": None}
    best = float(fastest(np.asarray(rates)))
    unsteady = bool(best > UNSTEADY * float(np.median(rates)))
    return {"train_throughput_best": best, "unsteady": unsteady}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: at most 5 in 100 families of true nulls have one of 0.05
    or less (Holm, Scandinavian Journal of Statistics 6, 1979, 65-70)."""
    order = np.argsort(p_values)
    remaining = len(order) - np.arange(len(order))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(remaining * np.asarray(p_values)[order]))
    return [float(value) for value in adjusted]


def two_sided_p(t: float, freedom: float) -> float:
    """The probability of Student's t that far from 0, on either side."""
    return float(2 * stdtr(freedom, -abs(t)))


def student_t(freedom: ArrayLike, level: float = LEVEL) -> Any:
    """Student's t: half of an interval's width in standard errors, for each number of degrees of freedom."""
    return stdtrit(freedom, (1 + level) / 2)
