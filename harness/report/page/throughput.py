"""Throughput, in training and in prediction, with its intervals."""

from collections.abc import Sequence

from harness.report.format import MARK
from harness.report.page.estimates import throughput_estimate
from harness.report.page.figures import Axis, Bar, Bars, Figure, Panel, largest, omission_note
from harness.report.page.series import MOST, ComparableSet

MOST_BARS = 40  # of a panel
WHAT = (("training", "train_throughput"), ("prediction", "inference_throughput"))


def throughput_figure(found: Sequence[ComparableSet]) -> Figure:
    """Two panels for every set."""
    panels: list[Panel] = []
    left: list[str] = []
    for one in found[:MOST]:
        for what, column in WHAT:
            bars = [
                Bar(f"{rate.label}{f' {MARK}' * rate.contended}", series.by, rate.value, rate.interval)
                for series in one.series
                if (rate := throughput_estimate(series, column, series.label))
            ]
            if bars:
                kept = largest(bars, MOST_BARS, lambda bar: bar.value)
                panels.append(Panel(one.of(what.capitalize()), Bars(Axis("sequences/s"), kept)))
                left += omission_note(len(bars), MOST_BARS, f"series{one.among}, the fastest in {what},")
    return Figure(
        "throughput",
        "Throughput",
        "Sequences per second: the mean over runs. The thin line spans the 95 % intervals of all of them.",
        "python run.py -m backend=numpy,torch,keras cell=lstm,gru",
        tuple(panels),
        (*left, *omission_note(len(found), MOST, "sets of comparable runs")),
        wide=True,
    )
