"""What the runs make of the device: FLOP/s against those of matrix products alone."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from harness.report.page.figures import Axis, Bar, Bars, Figure, Panel, largest, omission_note
from harness.report.page.series import ComparableSet, Series, panels_of

MOST_BARS = 30  # of a panel
AGAINST = ("product of the run's own shape", "best product measured")


def roofline_figure(sets: Sequence[ComparableSet]) -> Figure:
    """A panel for every set; of a series the means over its runs."""
    panels, notes = panels_of(sets, _panels)
    return Figure(
        "roofline",
        "Share of peak performance",
        "Training FLOP/s (bars) against matrix products alone, measured in the same process on the same "
        "threads: of the shape that the run repeats most, and the best of several. Sums over time are larger "
        "products than those of a step, so a bar may pass the former.",
        "python run.py -m backend=numpy,torch,keras cell=lstm,gru",
        panels,
        notes,
        wide=True,
    )


def _panels(one: ComparableSet) -> Iterator[tuple[Panel, tuple[str, ...]]]:
    bars = [bar for series in one.series if (bar := _bar(series))]
    if bars:
        shown = largest(bars, MOST_BARS, lambda bar: bar.value)
        omitted = omission_note(len(bars), MOST_BARS, f"series{one.among}, the best used,")
        yield Panel(one.title or one.name, Bars(Axis("GFLOP/s"), shown, AGAINST)), omitted


def _bar(series: Series) -> Bar | None:
    names = ("train_flops_per_second", "own_shape_flops_per_second", "peak_flops_per_second")
    rates = [[getattr(run, name) for name in names] for run in series.runs if run.peak_fraction]
    known = [rate for rate in rates if None not in rate]
    if not known:
        return None
    value, own_shape, peak = (1e-9 * fmean(each) for each in zip(*known, strict=True))
    return Bar(series.training_label, series.by, value, against=(own_shape, peak))
