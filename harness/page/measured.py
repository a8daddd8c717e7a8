"""A series' figure with its interval, and what may be said of two of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, median

from harness.page.figures import figure, spread
from harness.page.sets import Series
from harness.report.table import MARK


@dataclass(frozen=True)
class Measured:
    """`value` of a series, the `interval` that its runs leave open, and how many runs there are."""

    label: str
    value: float
    interval: tuple[float, float]
    n: int
    contended: bool


def speed(series: Series, column: str, label: str) -> Measured | None:
    """The median over runs of a throughput; the interval covers the 95 % interval of every run."""
    rates = [rate for run in series.runs if (rate := getattr(run, column)) is not None]
    if not rates:
        return None
    ends = [
        end for run in series.runs for which in ("low", "high") if (end := getattr(run, f"{column}_{which}"))
    ]
    return Measured(label, median(rates), spread([*rates, *ends]), len(rates), series.contended)


def accuracy(label: str, all_of_it: Iterable[Series]) -> Measured | None:
    """The mean test accuracy over the runs of one or more series; the interval is their range."""
    found = [
        run.test_accuracy for series in all_of_it for run in series.runs if run.test_accuracy is not None
    ]
    return Measured(label, fmean(found), spread(found), len(found), False) if found else None


def verdict(first: Measured, second: Measured) -> str:
    """Whether the larger of two values is more than noise, as far as their intervals can tell; a clause."""
    if first.contended or second.contended:
        return f"others used the cores meanwhile ({MARK}), so do not trust it"
    if first.interval[0] <= second.interval[1]:
        return "the intervals overlap, so this may be noise"
    if min(first.n, second.n) == 1:
        return "the intervals are apart, but from a single run nobody knows how much runs differ"
    return "the intervals are apart"


def shown(one: Measured, unit: str, form: Callable[[float], str] = figure) -> str:
    """A value with its unit, and its interval where it has one."""
    low, high = one.interval
    return f"{form(one.value)} {unit}" + (f" ({form(low)} to {form(high)})" if low < high else "")
