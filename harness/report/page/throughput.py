"""Throughput, in training and in prediction, with its intervals."""

from collections.abc import Iterator, Sequence
from operator import attrgetter

from harness.report.page.estimates import throughput_estimate
from harness.report.page.figures import Axis, Bar, Bars, Figure, Panel, largest, omission_note
from harness.report.page.series import ComparableSet, panels_of

MOST_BARS = 40  # of a panel
COLUMNS = (
    ("training", "train_throughput", attrgetter("training_label")),
    ("prediction", "inference_throughput", attrgetter("marked_label")),
)


def throughput_figure(sets: Sequence[ComparableSet]) -> Figure:
    """Two panels for every set."""
    panels, notes = panels_of(sets, _panels)
    return Figure(
        "throughput",
        "Throughput",
        "Sequences per second: the mean over runs. The thin line spans all of them, each with the interval "
        "of its own windows.",
        "python run.py -m backend=numpy,torch,keras cell=lstm,gru",
        panels,
        notes,
        wide=True,
    )


def _panels(one: ComparableSet) -> Iterator[tuple[Panel, tuple[str, ...]]]:
    for what, column, label in COLUMNS:
        bars = [
            Bar(label(series), series.by, rate.value, rate.interval)
            for series in one.series
            if (rate := throughput_estimate(series, column, series.label))
        ]
        if bars:
            shown = largest(bars, MOST_BARS, lambda bar: bar.value)
            omitted = omission_note(len(bars), MOST_BARS, f"series{one.among}, the fastest in {what},")
            yield Panel(one.of(what.capitalize()), Bars(Axis("sequences/s"), shown)), omitted
