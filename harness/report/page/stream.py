"""Accuracy after each step of a sequence that arrives one step at a time."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from harness.report.page.figures import Axis, Curve, Figure, Lines, Panel, omission_note
from harness.report.page.series import ComparableSet, Series, panels_of

MOST_CURVES = 12  # of a panel
X, Y = Axis("steps seen", whole=True), Axis("test accuracy")


def stream_figure(sets: Sequence[ComparableSet]) -> Figure:
    """A panel for every cell of a set of runs in mode=stream, see `ComparableSet.line_panels`."""
    panels, notes = panels_of(sets, _panels)
    return Figure(
        "rows",
        "Accuracy by time step",
        "Accuracy on the test set after every step of a sequence (a row of the image) has been read.",
        "python run.py mode=stream weights=results/runs/KEY/WHEN/weights.safetensors",
        panels,
        notes,
    )


def _panels(one: ComparableSet) -> Iterator[tuple[Panel, tuple[str, ...]]]:
    for title, series in one.line_panels():
        curves = [curve for key, each in series if (curve := _curve(each, key))]
        if curves:
            omitted = omission_note(len(curves), MOST_CURVES, f"curves of {title}")
            yield Panel(title, Lines(X, Y, tuple(curves[:MOST_CURVES]))), omitted


def _curve(series: Series, key: str) -> Curve | None:
    known = [
        run.details["accuracy_after_step"] for run in series.runs if run.details.get("accuracy_after_step")
    ]
    means = [fmean(at) for at in zip(*known, strict=False)]
    points = tuple((float(t + 1), value) for t, value in enumerate(means))
    return Curve(series.label, key, points) if points else None
