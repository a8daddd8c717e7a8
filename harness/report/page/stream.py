"""Accuracy after each step of a sequence that arrives one step at a time."""

from collections.abc import Sequence
from statistics import fmean

from harness.report.page.figures import Axis, Curve, Figure, Lines, Panel, omission_note
from harness.report.page.series import MOST, ComparableSet, Series

MOST_CURVES = 12


def stream_figure(streamed: Sequence[ComparableSet]) -> Figure:
    """A panel for every cell of a set of runs in mode=stream, see `ComparableSet.line_panels`."""
    panels: list[Panel] = []
    left: list[str] = []
    x, y = Axis("steps seen", whole=True), Axis("test accuracy")
    for title, series in (view for one in streamed[:MOST] for view in one.line_panels()):
        curves = [curve for key, each in series if (curve := _curve(each, key))]
        if curves:
            panels.append(Panel(title, Lines(x, y, tuple(curves[:MOST_CURVES]))))
            left += omission_note(len(curves), MOST_CURVES, f"curves of {title}")
    return Figure(
        "rows",
        "Accuracy by time step",
        "Accuracy on the test set after every step of a sequence (a row of the image) has been read.",
        "python run.py mode=stream weights=results/runs/KEY/WHEN/weights.safetensors",
        tuple(panels),
        (*left, *omission_note(len(streamed), MOST, "sets of comparable runs")),
    )


def _curve(series: Series, key: str) -> Curve | None:
    known = [
        run.details["accuracy_after_step"] for run in series.runs if run.details.get("accuracy_after_step")
    ]
    means = [fmean(at) for at in zip(*known, strict=False)]
    points = tuple((float(t + 1), value) for t, value in enumerate(means))
    return Curve(series.label, key, points) if points else None
