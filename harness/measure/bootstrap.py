"""The difference between two sides with its 95 % interval, by a bootstrap over runs and their windows.

Figures are on a scale on which sides are subtracted: logarithms of what is compared as a ratio.

**Two levels.** A replicate draws as many runs as there are, with replacement, and for each of them one of its
resampled windows' figures. Drawing twice would count the windows twice, since the spread of the runs' figures
already contains them, and drawing n of n runs finds a spread that is too small by (n - 1)/n. Deviations from
the mean of the runs are therefore scaled so that both levels together spread as the runs did, and never less
than their windows alone (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).

**Few runs.** Percentiles of a bootstrap over ten runs or fewer are too narrow (Hesterberg, The American
Statistician 69, 2015, 371-386). The interval is the estimate ± Student's t times the bootstrap's standard
error (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12), with the degrees of freedom
of Welch and Satterthwaite (Welch, Biometrika 34, 1947, 28-35). What it covers is in docs/comparing.md, and
`python -m tests.bench.coverage` measures it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from harness.measure.statistics import LEVEL, resample_blocks, student_t, two_sided_p

Statistic = Callable[[np.ndarray], np.ndarray]  # samples (…, W) -> figure (…)
REPLICATES = 4000
DRAWS = 400  # resampled figures that are made of a run's windows


@dataclass(frozen=True)
class ResampledRun:
    """A run's figure, and the deviations of its resampled windows from it (DRAWS,): zeros without windows."""

    value: float
    deviations: np.ndarray


@dataclass(frozen=True)
class Stratum:
    """The runs of both sides in one configuration, or their means over as many configurations as `weight`.
    `paired`: run k of one belongs to run k of the other."""

    a: Sequence[ResampledRun]
    b: Sequence[ResampledRun]
    paired: bool = False
    weight: int = 1

    @property
    def samples(self) -> list[Sequence[ResampledRun]]:
        """The independent samples: the paired differences, or each side by itself."""
        if self.paired:
            return [
                [
                    ResampledRun(a.value - b.value, a.deviations - b.deviations)
                    for a, b in zip(self.a, self.b, strict=True)
                ]
            ]
        return [self.a, [ResampledRun(-run.value, -run.deviations) for run in self.b]]

    @property
    def difference(self) -> ResampledRun:
        """The difference between the means of the sides."""
        return reduce(
            lambda x, y: ResampledRun(x.value + y.value, x.deviations + y.deviations),
            map(_mean, self.samples),
        )


@dataclass(frozen=True)
class DifferenceEstimate:
    """The mean difference `estimate`, its standard error and 95 % interval, and `p_value`, below 0.05 where 0
    lies outside. `over` is what was resampled: "runs", "configurations" (where one has a single run) or, with
    a single run a side, "windows", which do not show how runs differ."""

    estimate: float
    low: float
    high: float
    error: float
    p_value: float
    over: str


def resample_run(
    value: float, samples: np.ndarray | None, statistic: Statistic, rng: np.random.Generator
) -> ResampledRun:
    """Resamples a run's windows in blocks, since neighbours are alike: `statistic` computes its figure
    `value` from the raw samples (W,)."""
    if samples is None or len(samples) < 2:
        return ResampledRun(value, np.zeros(DRAWS))
    drawn = statistic(resample_blocks(samples, DRAWS, rng))
    return ResampledRun(value, drawn - drawn.mean())


def estimate_difference(strata: Sequence[Stratum], rng: np.random.Generator) -> DifferenceEstimate:
    """The mean difference over configurations, each with its weight.

    The configurations are those that were chosen, not a sample of others: only their runs are drawn. Where
    one of them has a single run, the spread of its runs is unknown, and configurations are drawn instead.
    """
    differences = [stratum.difference for stratum in strata]
    weights = [stratum.weight / sum(stratum.weight for stratum in strata) for stratum in strata]
    estimate = float(np.dot(weights, [difference.value for difference in differences]))
    samples = [sample for stratum in strata for sample in stratum.samples]
    shares = [weight for weight, stratum in zip(weights, strata, strict=True) for _ in stratum.samples]
    over = "runs"
    if min(map(len, samples)) < 2:
        over, samples, shares = "configurations", [differences], [1.0]
    if min(map(len, samples)) < 2:
        deviations = differences[0].deviations
        low, high = np.quantile(deviations, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        beyond = min(np.mean(deviations <= -estimate), np.mean(deviations >= -estimate))
        error, p_value = float(deviations.std()), min(1.0, 2 * float(beyond))
        return DifferenceEstimate(estimate, estimate + low, estimate + high, error, p_value, "windows")
    replicates = sum(share * _means(sample, rng) for share, sample in zip(shares, samples, strict=True))
    error = float(np.std(replicates))
    freedom = _degrees_of_freedom(samples, shares)
    half = float(student_t(freedom)) * error
    p_value = two_sided_p(estimate / error, freedom) if error else float(estimate == 0)
    return DifferenceEstimate(estimate, estimate - half, estimate + half, error, p_value, over)


def _means(sample: Sequence[ResampledRun], rng: np.random.Generator) -> np.ndarray:
    """Means (REPLICATES,) of drawn runs, as deviations from that of the sample."""
    values = np.array([each.value for each in sample])
    deviations = np.stack([each.deviations for each in sample])  # (n, DRAWS)
    n, variance, within = len(values), float(values.var(ddof=1)), float(deviations.var(axis=1).mean())
    between = max(0.0, variance - within)
    centred = values - values.mean()
    if variance:
        centred *= np.sqrt(between / variance * n / (n - 1))
    runs = rng.integers(0, n, (REPLICATES, n))
    return (centred[runs] + deviations[runs, rng.integers(0, DRAWS, (REPLICATES, n))]).mean(axis=1)


def _degrees_of_freedom(samples: Sequence[Sequence[ResampledRun]], shares: Sequence[float]) -> float:
    """Welch and Satterthwaite's degrees of freedom of a weighted sum of means."""
    parts = [share**2 * _squared_error(sample) for share, sample in zip(shares, samples, strict=True)]
    if not sum(parts):
        return float(sum(len(sample) - 1 for sample in samples))
    return sum(parts) ** 2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True)
    )


def _squared_error(sample: Sequence[ResampledRun]) -> float:
    variance = float(np.var([each.value for each in sample], ddof=1))
    return max(variance, float(np.mean([each.deviations.var() for each in sample]))) / len(sample)


def _mean(sample: Sequence[ResampledRun]) -> ResampledRun:
    deviations = np.sum([each.deviations for each in sample], axis=0) / len(sample)
    return ResampledRun(float(np.mean([each.value for each in sample])), deviations)
