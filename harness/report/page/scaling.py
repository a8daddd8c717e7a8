"""Training speed against batch size, hidden units and time steps: the lines of `harness.report.scaling`."""

from collections.abc import Sequence

from harness.report.page.figures import Axis, Curve, Figure, Lines, Panel, omission_note
from harness.report.scaling.command import COMMAND
from harness.report.scaling.lines import AXES, Line, group_lines
from harness.report.scaling.render import conclusion
from harness.store.record import RunRecord

MOST_PANELS = 6


def scaling_figure(runs: Sequence[RunRecord]) -> Figure:
    """A panel for every line, and the conclusions from its fits."""
    lines = group_lines(runs)
    shown = lines[:MOST_PANELS]
    conclusions = [
        f"{AXES[line.axis].capitalize()}, {line.title}: {conclusion(line.axis, curve)}."
        for line in shown
        for curve in line.curves
        if curve.fit
    ]
    return Figure(
        "scaling",
        "Training speed by size",
        "Training GFLOP/s as one size alone grows, both axes logarithmic; level lines are the best matrix "
        "product of the device.",
        COMMAND,
        tuple(Panel(line.title, _chart(line)) for line in shown),
        (*conclusions, *omission_note(len(lines), MOST_PANELS, "lines")),
    )


def _chart(line: Line) -> Lines:
    return Lines(
        Axis(AXES[line.axis], log=True, whole=True),
        Axis("training GFLOP/s", log=True),
        tuple(
            Curve(curve.label, curve.label, tuple((p.size, 1e-9 * p.rate) for p in curve.points))
            for curve in line.curves
        ),
        tuple((f"best matrix product, {device}", 1e-9 * peak) for device, peak in line.peaks.items()),
    )
