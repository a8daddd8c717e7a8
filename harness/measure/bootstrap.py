"""The 95 % interval of what lies between two sides: a bootstrap over runs, and over the windows within them.

Figures are on a scale on which sides are subtracted: logarithms of what is compared as a ratio.

**Two levels.** A replicate draws as many runs as there are, with replacement, and for each of them one of its
resampled windows' figures. Drawing twice would count the windows twice, since the spread of the runs' figures
has them in it already, and drawing n of n runs finds a spread that is too small by (n - 1)/n. Deviations from
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

from harness.measure.statistics import LEVEL, student_t

Statistic = Callable[[np.ndarray], np.ndarray]  # samples (…, W) -> figure (…)
REPLICATES = 4000
DRAWS = 400  # resampled figures that are made of a run's windows


@dataclass(frozen=True)
class Run:
    """A run's figure, and how far resampling its windows moves it (DRAWS,): zeros where it has none."""

    value: float
    moves: np.ndarray


@dataclass(frozen=True)
class Stratum:
    """The runs of both sides in one configuration. `paired`: run k of one belongs to run k of the other."""

    a: Sequence[Run]
    b: Sequence[Run]
    paired: bool = False

    @property
    def samples(self) -> list[Sequence[Run]]:
        """What is drawn from independently of one another: differences, or each side by itself."""
        if self.paired:
            return [[Run(a.value - b.value, a.moves - b.moves) for a, b in zip(self.a, self.b, strict=True)]]
        return [self.a, [Run(-run.value, -run.moves) for run in self.b]]

    @property
    def difference(self) -> Run:
        """Of the means of both sides."""
        return reduce(lambda x, y: Run(x.value + y.value, x.moves + y.moves), map(_mean, self.samples))


@dataclass(frozen=True)
class Interval:
    """`over` says what was drawn: "runs", "configurations" (where one has a single run) or, of a single run a
    side, "windows", which know nothing of how runs differ. `error` is the standard error."""

    estimate: float
    low: float
    high: float
    error: float
    over: str


def run(value: float, samples: np.ndarray | None, statistic: Statistic, rng: np.random.Generator) -> Run:
    """A run, from its figure and the raw samples (W,) that `statistic` computes it from."""
    if samples is None or len(samples) < 2:
        return Run(value, np.zeros(DRAWS))
    drawn = statistic(samples[rng.integers(0, len(samples), (DRAWS, len(samples)))])
    return Run(value, drawn - drawn.mean())


def interval(strata: Sequence[Stratum], rng: np.random.Generator) -> Interval:
    """Of the mean difference over configurations, each of which counts the same.

    The configurations are those that were chosen, not a sample of others: only their runs are drawn. Where
    one of them has a single run nothing tells how its runs differ, and configurations are drawn instead.
    """
    differences = [stratum.difference for stratum in strata]
    estimate = float(np.mean([difference.value for difference in differences]))
    samples = [sample for stratum in strata for sample in stratum.samples]
    over, share = "runs", 1 / len(strata)
    if min(map(len, samples)) < 2:
        over, samples, share = "configurations", [differences], 1.0
    if min(map(len, samples)) < 2:
        moves = differences[0].moves
        low, high = np.quantile(moves, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(estimate, estimate + low, estimate + high, float(moves.std()), "windows")
    replicates = share * sum(_means(sample, rng) for sample in samples)
    error = float(np.std(replicates))
    t = float(student_t(_freedom(samples)))
    return Interval(estimate, estimate - t * error, estimate + t * error, error, over)


def _means(sample: Sequence[Run], rng: np.random.Generator) -> np.ndarray:
    """Means (REPLICATES,) of drawn runs, as deviations from that of the sample."""
    values = np.array([each.value for each in sample])
    moves = np.stack([each.moves for each in sample])  # (n, DRAWS)
    n, seen, within = len(values), float(values.var(ddof=1)), float(moves.var(axis=1).mean())
    between = max(0.0, seen - within)
    deviations = values - values.mean()
    if seen:
        deviations *= np.sqrt(between / seen * n / (n - 1))
    runs = rng.integers(0, n, (REPLICATES, n))
    return (deviations[runs] + moves[runs, rng.integers(0, DRAWS, (REPLICATES, n))]).mean(axis=1)


def _freedom(samples: Sequence[Sequence[Run]]) -> float:
    """Welch and Satterthwaite's degrees of freedom of a sum of means."""
    parts = [_squared_error(sample) for sample in samples]
    if not sum(parts):
        return float(sum(len(sample) - 1 for sample in samples))
    return sum(parts) ** 2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True)
    )


def _squared_error(sample: Sequence[Run]) -> float:
    seen = float(np.var([each.value for each in sample], ddof=1))
    return max(seen, float(np.mean([each.moves.var() for each in sample]))) / len(sample)


def _mean(sample: Sequence[Run]) -> Run:
    moves = np.sum([each.moves for each in sample], axis=0) / len(sample)
    return Run(float(np.mean([each.value for each in sample])), moves)
