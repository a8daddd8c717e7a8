"""Accuracy against training seconds: validation accuracy after every epoch."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from statistics import fmean

from harness.report.page.figures import Axis, Curve, Figure, Lines, Panel, largest, omission_note
from harness.report.page.series import ComparableSet, Series, panels_of
from harness.store.record import RunRecord

MOST_CURVES = 12  # of a panel
X, Y = Axis("seconds of training"), Axis("validation accuracy")


def learning_curves_figure(sets: Sequence[ComparableSet]) -> Figure:
    """A panel for every cell of a set, see `ComparableSet.line_panels`."""
    panels, notes = panels_of(sets, _panels)
    return Figure(
        "curves",
        "Accuracy against training time",
        "Validation accuracy after every epoch over the seconds spent in training steps alone: mean over "
        "seeds. Further up and to the left is better.",
        "python run.py -m backend=numpy,torch,keras cell=lstm,gru",
        panels,
        notes,
    )


def _panels(one: ComparableSet) -> Iterator[tuple[Panel, tuple[str, ...]]]:
    for title, series in one.line_panels():
        curves = [curve for key, each in series if (curve := _curve(each, key))]
        if curves:
            shown = largest(curves, MOST_CURVES, lambda curve: curve.points[-1][1])
            omitted = omission_note(len(curves), MOST_CURVES, f"curves of {title}, the most accurate,")
            yield Panel(title, Lines(X, Y, shown)), omitted


def _curve(series: Series, key: str) -> Curve | None:
    """The mean over runs, as far as all of them have got."""
    paths = [_path(run) for run in series.runs if run.history]
    points = tuple(
        (fmean(x), fmean(y)) for x, y in (zip(*at, strict=True) for at in zip(*paths, strict=False))
    )
    return Curve(series.training_label, key, points) if points else None


def _path(run: RunRecord) -> list[tuple[float, float]]:
    """(training seconds so far, validation accuracy) after every epoch that has both."""
    pairs = [(epoch.get("seconds"), epoch.get("validation_accuracy")) for epoch in run.history]
    complete = [(x, y) for x, y in pairs if x is not None and y is not None]
    return list(zip(accumulate(x for x, _ in complete), (y for _, y in complete), strict=True))
