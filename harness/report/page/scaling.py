"""Speed over size: the lines of `harness.report.scaling.fit`."""

from collections.abc import Sequence

from harness.report.page.figures import Axis, Curve, Figure, Lines, Panel, left_out
from harness.report.scaling import fit
from harness.store.record import RunRecord

MOST_PANELS = 6


def growth(runs: Sequence[RunRecord]) -> Figure:
    """A panel for every line, and what follows from its fits."""
    found = fit.lines(runs)
    shown = found[:MOST_PANELS]
    said = [
        f"{fit.AXES[line.axis].capitalize()}, {fit.title(line)}: "
        f"{fit.conclusion(line.axis, series, series.fit)}."
        for line in shown
        for series in line.series
        if series.fit
    ]
    return Figure(
        "scaling",
        "What size does",
        "Training GFLOP/s as one size alone grows, both axes logarithmic; level lines are the best matrix "
        "product of the device.",
        "python run.py -m +experiment=scaling",
        tuple(Panel(fit.title(line), _chart(line)) for line in shown),
        (*said, *left_out(len(found), MOST_PANELS, "lines")),
    )


def _chart(line: fit.Line) -> Lines:
    peaks: dict[str, float] = {}
    for series in line.series:
        peaks[series.device] = max(series.peak, peaks.get(series.device, 0.0))
    return Lines(
        Axis(fit.AXES[line.axis], log=True, whole=True),
        Axis("training GFLOP/s", log=True),
        tuple(
            Curve(series.label, series.label, tuple((p.x, 1e-9 * p.rate) for p in series.points))
            for series in line.series
        ),
        tuple((f"best matrix product, {device}", 1e-9 * peak) for device, peak in peaks.items()),
    )
