"""Lines of runs as tables and sentences."""

from collections.abc import Sequence

import numpy as np

from harness.report.format import text
from harness.report.frame import BY, not_ok, records_frame
from harness.report.scaling.lines import AXES, Line, ScalingCurve, describe_size, size
from harness.report.table.formats.markdown import markdown
from harness.report.table.grid import provenance
from harness.store.record import RunRecord


def render(records: Sequence[RunRecord], lines: Sequence[Line]) -> str:
    """Every line as a table with its conclusions; then the runs whose timing is disturbed, those that did not
    end `ok`, and the machine."""
    frame = records_frame(records)
    parts = []
    for line in lines:
        heads = ["backend", AXES[line.axis], "sequences/s", "µs an update", "GFLOP/s", "of the peak"]
        heads += ["arithmetic"] if line.axis != "steps" else []
        rows = [row for curve in line.curves for row in _rows(line.axis, curve)]
        parts += [f"{AXES[line.axis].capitalize()}: {line.title}", markdown(heads, rows, 1)]
        conclusions = [f"- {conclusion(line.axis, curve)}" for curve in line.curves if curve.fit]
        parts += ["\n".join(conclusions)] if conclusions else []
    contended = [
        f"{run.backend} at {', '.join(describe_size(axis, size(run, axis)) for axis in AXES)}"
        for run in records
        if run.ok and run.contended
    ]
    if contended:
        parts.append(f"Without the cores to itself, do not trust the timing: {'; '.join(contended)}.")
    rest = not_ok(frame, (*BY, "batch_size", "hidden", "sequence"))
    if len(rest):
        rows = [[text(value) for value in row] for row in rest.itertuples(index=False)]
        parts += ["Not ok:", markdown(list(rest.columns), rows, len(rest.columns))]
    return "\n\n".join([*parts, *([provenance(frame)] if lines else [])])


def conclusion(axis: str, curve: ScalingCurve) -> str:
    """What the fit of a curve shows, and how far it is from the measurements."""
    fit, points = curve.fit, curve.points
    assert fit is not None
    error = f"(fit: {_share(float(np.median(fit.errors)))} off, at most {_share(max(fit.errors))})"
    overhead = f"{curve.label}: {_figure(1e6 * fit.overhead)} µs"
    if axis == "steps":
        flops_per_step = np.polyfit([p.size for p in points], [p.flops for p in points], 1)[0]
        ideal = _figure(1e6 * flops_per_step / curve.peak)
        return (
            f"{overhead} an update and {_figure(1e6 * fit.slope)} µs a step, however long the sequence is; "
            f"a step's arithmetic would take {ideal} µs at the peak {error}"
        )
    rate = f"arithmetic at {_figure(1e-9 / fit.slope)} GFLOP/s" if fit.slope else "no arithmetic in sight"
    half = curve.half_arithmetic_size
    assert half is not None
    if half == 0:
        where = f"more than half of the time is arithmetic already at {describe_size(axis, points[0].size)}"
    elif half == float("inf"):
        where = f"more than half of the time is overhead still at {describe_size(axis, points[-1].size)}"
    else:
        where = f"half of the time is arithmetic at {describe_size(axis, half)}"
    return f"{overhead} of overhead an update, {rate}; {where} {error}"


def _rows(axis: str, curve: ScalingCurve) -> list[list[str]]:
    rows = []
    for point in curve.points:
        figures = [point.batch / point.seconds, 1e6 * point.seconds, 1e-9 * point.rate]
        row = [curve.label, f"{point.size:,}", *map(_figure, figures), _share(curve.peak_share(point))]
        if axis != "steps":
            row.append(_share(curve.fit.arithmetic_share(point.flops) if curve.fit else None))
        rows.append(row)
    return rows


def _figure(value: float) -> str:
    """Three significant digits, but never fewer than those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"
