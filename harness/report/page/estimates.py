"""A series' figure with its interval, and what may be said of two of them."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from harness.measure.bootstrap import DRAWS, DifferenceEstimate, ResampledRun, Stratum, estimate_difference
from harness.measure.statistics import LEVEL, holm
from harness.report.compare.order import apart
from harness.report.format import MARK
from harness.report.grouping import grouped
from harness.report.page.figures import format_number, value_range
from harness.report.page.series import Series

SURE = "more than noise"
UNSURE = "this may be noise"
APART = "all runs of one were made before those of the other, so this may be what the machine did in between"


@dataclass(frozen=True)
class SeriesEstimate:
    """`value` of a series, the `interval` that its runs leave open, and what `value` is made of: by seed
    where the seed decides it, by run where it has no say. `began`: when the runs of a timing did."""

    label: str
    value: float
    interval: tuple[float, float]
    values: dict[int, float]
    seeded: bool = False
    contended: bool = False
    began: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return len(self.values)


def throughput_estimate(series: Series, column: str, label: str) -> SeriesEstimate | None:
    """The mean over runs of a throughput; the interval covers the 95 % interval of every run."""
    timed = [run for run in series.runs if getattr(run, column)]
    rates = [getattr(run, column) for run in timed]
    if not rates:
        return None
    ends = [
        end for run in series.runs for which in ("low", "high") if (end := getattr(run, f"{column}_{which}"))
    ]
    values = dict(enumerate(rates))
    began = tuple(run.started for run in timed)
    return SeriesEstimate(
        label,
        fmean(rates),
        value_range([*rates, *ends]),
        values,
        contended=series.contended,
        began=began,
    )


def accuracy_estimate(label: str, series: Iterable[Series]) -> SeriesEstimate | None:
    """The mean test accuracy over the seeds of one or more series; the interval is their range. Runs of one
    seed are no two: backends begin with the same weights and see the same batches."""
    accuracies = [(run.seed, run.test_accuracy) for each in series for run in each.runs]
    by_seed = grouped(((seed, a) for seed, a in accuracies if a is not None), lambda each: each[0])
    values = {seed: fmean(a for _, a in same) for seed, same in sorted(by_seed.items())}
    return (
        SeriesEstimate(label, fmean(values.values()), value_range(list(values.values())), values, seeded=True)
        if values
        else None
    )


@dataclass(frozen=True)
class Lead:
    """By how much one figure is ahead of another, in words, with the 95 % interval where there is one; its
    p-value, or why nothing is known: a single run, others on the cores."""

    text: str
    p_value: float = 1.0
    why: str = ""


def verdicts(leads: Sequence[Lead]) -> list[str]:
    """Whether each is more than noise, by Holm's method: many of them do not make a false one likely."""
    adjusted = iter(holm([lead.p_value for lead in leads if not lead.why]))
    return [lead.why or (SURE if next(adjusted) <= 1 - LEVEL else UNSURE) for lead in leads]


def ratio_of(first: SeriesEstimate, second: SeriesEstimate) -> Lead:
    """How many times the second the first is."""
    difference = _between(first, second, math.log)
    ratio = f"{first.value / second.value:.2f} times"
    if difference:
        low, high = math.exp(difference.low), math.exp(difference.high)
        ratio = f"{math.exp(difference.estimate):.2f} times [{low:.2f}, {high:.2f}]"
    return _lead(ratio, first, second, difference)


def difference_of(first: SeriesEstimate, second: SeriesEstimate) -> Lead:
    """How many percentage points the first is above the second."""
    difference = _between(first, second, lambda value: 100 * value)
    points = f"{100 * (first.value - second.value):.2f} points"
    if difference:
        points = f"{difference.estimate:.2f} points [{difference.low:.2f}, {difference.high:.2f}]"
    return _lead(f"{points} above", first, second, difference)


def _between(
    first: SeriesEstimate, second: SeriesEstimate, scale: Callable[[float], float]
) -> DifferenceEstimate | None:
    """What lies between two figures, as `harness compare` has it; None where a side is a single run."""
    if min(first.n, second.n) < 2:
        return None
    zeros = np.zeros(DRAWS)  # the runs' own windows are not looked at
    a, b = (
        [ResampledRun(scale(one.values[k]), zeros) for k in sorted(one.values)] for one in (first, second)
    )
    paired = first.seeded and first.values.keys() == second.values.keys()
    return estimate_difference([Stratum(a, b, paired)], np.random.default_rng(0))


def _lead(
    text: str, first: SeriesEstimate, second: SeriesEstimate, difference: DifferenceEstimate | None
) -> Lead:
    if first.contended or second.contended:
        return Lead(text, why=f"measured without the cores to itself ({MARK}), so do not trust it")
    if difference is None:
        return Lead(text, why="from a single run nobody knows how much runs differ")
    if first.began and second.began and apart(first.began, second.began):
        return Lead(text, why=APART)
    return Lead(text, difference.p_value)


def with_interval(one: SeriesEstimate, unit: str, form: Callable[[float], str] = format_number) -> str:
    """A value with its unit, and its interval where it has one."""
    low, high = one.interval
    return f"{form(one.value)} {unit}" + (f" ({form(low)} to {form(high)})" if low < high else "")
