"""A series' figure with its interval, and what may be said of two of them."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from harness.measure.bootstrap import DRAWS, DifferenceEstimate, ResampledRun, Stratum, estimate_difference
from harness.report.format import MARK
from harness.report.page.figures import format_number, value_range
from harness.report.page.series import Series

SURE = "more than noise"
UNSURE = "this may be noise"


@dataclass(frozen=True)
class SeriesEstimate:
    """`value` of a series, the `interval` that its runs leave open, and what `value` is made of: by seed
    where the seed decides it, by run where it has no say."""

    label: str
    value: float
    interval: tuple[float, float]
    values: dict[int, float]
    seeded: bool = False
    contended: bool = False

    @property
    def n(self) -> int:
        return len(self.values)


def throughput_estimate(series: Series, column: str, label: str) -> SeriesEstimate | None:
    """The mean over runs of a throughput; the interval covers the 95 % interval of every run."""
    rates = [rate for run in series.runs if (rate := getattr(run, column))]
    if not rates:
        return None
    ends = [
        end for run in series.runs for which in ("low", "high") if (end := getattr(run, f"{column}_{which}"))
    ]
    values = dict(enumerate(rates))
    return SeriesEstimate(
        label, fmean(rates), value_range([*rates, *ends]), values, contended=series.contended
    )


def accuracy_estimate(label: str, all_of_it: Iterable[Series]) -> SeriesEstimate | None:
    """The mean test accuracy over the seeds of one or more series; the interval is their range. Runs of one
    seed are no two: backends begin with the same weights and see the same batches."""
    found: dict[int, list[float]] = {}
    for series in all_of_it:
        for run in series.runs:
            if run.test_accuracy is not None:
                found.setdefault(run.seed, []).append(run.test_accuracy)
    values = {seed: fmean(own) for seed, own in sorted(found.items())}
    return (
        SeriesEstimate(label, fmean(values.values()), value_range(list(values.values())), values, seeded=True)
        if values
        else None
    )


def ratio_text(first: SeriesEstimate, second: SeriesEstimate) -> tuple[str, str]:
    """How many times the second the first is, with the 95 % interval where there is one, and whether that is
    more than noise."""
    found = _between(first, second, math.log)
    if found is None:
        return f"{first.value / second.value:.2f} times", _verdict(first, second, found)
    low, high = math.exp(found.low), math.exp(found.high)
    return f"{math.exp(found.estimate):.2f} times [{low:.2f}, {high:.2f}]", _verdict(first, second, found)


def difference_text(first: SeriesEstimate, second: SeriesEstimate) -> tuple[str, str]:
    """How many percentage points the first is above the second, and so on."""
    found = _between(first, second, lambda value: 100 * value)
    if found is None:
        return f"{100 * (first.value - second.value):.2f} points above", _verdict(first, second, found)
    return (
        f"{found.estimate:.2f} points [{found.low:.2f}, {found.high:.2f}] above",
        _verdict(first, second, found),
    )


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


def _verdict(first: SeriesEstimate, second: SeriesEstimate, found: DifferenceEstimate | None) -> str:
    if first.contended or second.contended:
        return f"others used the cores meanwhile ({MARK}), so do not trust it"
    if found is None:
        return "from a single run nobody knows how much runs differ"
    return SURE if found.low > 0 or found.high < 0 else UNSURE


def with_interval(one: SeriesEstimate, unit: str, form: Callable[[float], str] = format_number) -> str:
    """A value with its unit, and its interval where it has one."""
    low, high = one.interval
    return f"{form(one.value)} {unit}" + (f" ({form(low)} to {form(high)})" if low < high else "")
