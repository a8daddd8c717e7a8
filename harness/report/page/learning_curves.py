"""Accuracy against training seconds: validation accuracy after every epoch."""

from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean

from harness.report.format import MARK
from harness.report.page.figures import Axis, Curve, Figure, Lines, Panel, largest, omission_note
from harness.report.page.series import MOST, ComparableSet, Series
from harness.store.record import RunRecord

MOST_CURVES = 12  # of a panel
X, Y = Axis("seconds of training"), Axis("validation accuracy")


def learning_curves_figure(found: Sequence[ComparableSet]) -> Figure:
    """A panel for every cell of a set, see `ComparableSet.line_panels`."""
    panels: list[Panel] = []
    left: list[str] = []
    for title, series in (view for one in found[:MOST] for view in one.line_panels()):
        all_of_it = [curve for key, each in series if (curve := _curve(each, key))]
        if all_of_it:
            kept = largest(all_of_it, MOST_CURVES, lambda curve: curve.points[-1][1])
            panels.append(Panel(title, Lines(X, Y, kept)))
            left += omission_note(len(all_of_it), MOST_CURVES, f"curves of {title}, the most accurate,")
    return Figure(
        "curves",
        "Accuracy against training time",
        "Validation accuracy after every epoch over the seconds spent in training steps alone: mean over "
        "seeds. Further up and to the left is better.",
        "python run.py -m backend=numpy,torch,keras cell=lstm,gru",
        tuple(panels),
        (*left, *omission_note(len(found), MOST, "sets of comparable runs")),
    )


def _curve(series: Series, key: str) -> Curve | None:
    """The mean over runs, as far as all of them have got."""
    paths = [_path(run) for run in series.runs if run.history]
    points = tuple(
        (fmean(x), fmean(y)) for x, y in (zip(*at, strict=True) for at in zip(*paths, strict=False))
    )
    label = series.label + (f" {MARK}" if series.contended else "")
    return Curve(label, key, points) if points else None


def _path(run: RunRecord) -> list[tuple[float, float]]:
    """(training seconds so far, validation accuracy) after every epoch that tells both."""
    whole = [epoch for epoch in run.history if None not in map(epoch.get, ("seconds", "validation_accuracy"))]
    seconds = accumulate(epoch["seconds"] for epoch in whole)
    return list(zip(seconds, (epoch["validation_accuracy"] for epoch in whole), strict=True))
