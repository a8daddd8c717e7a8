"""Lines of runs as a figure: FLOP/s over size, one panel for each line."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import ScalingError
from harness.report.matplotlib_style import DASHED, INK, INSTALL, STYLE, save
from harness.report.palette import COLORS, SHAPES, color_index, shape_index
from harness.report.scaling.lines import AXES, Line, ScalingCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png", ".pdf")
RING: Any = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "linestyle": "none"}


def write(path: Path, lines: Sequence[Line]) -> None:
    """Draws into a file, in the format of its suffix; raises ScalingError or OutputError."""
    if path.suffix.lower() not in SUFFIXES:
        raise ScalingError(f"--plot {path}: must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if not lines:
        raise ScalingError(f"--plot {path}: no two runs that ended ok differ in their size alone")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError as error:
        raise ScalingError(
            f"--plot {path}: matplotlib cannot be imported here ({error}); {INSTALL}"
        ) from error
    by_axis = [[line for line in lines if line.axis == axis] for axis in AXES]
    rows = list(zip_longest(*(column for column in by_axis if column)))
    labels = sorted({curve.label for line in lines for curve in line.curves})
    styles = {label: _style(k) for k, label in enumerate(labels)}
    with rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=(0.6 + 3.5 * len(rows[0]), 0.7 + 3.2 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharey=True)
        for row, panels in zip(rows, grid, strict=True):
            for line, axes in zip(row, panels, strict=True):
                if line is None:
                    axes.set_visible(False)
                else:
                    _draw_line(axes, line, styles)
            panels[0].set_ylabel("training GFLOP/s")
        figure.legend(
            handles=[Line2D([], [], label=label, **styles[label]) for label in labels]
            + [Line2D([], [], color=INK, label="half overhead, half arithmetic", **RING)],
            loc="outside upper center",
            ncols=len(rows[0]) + 1,
        )
        save(figure, path, "--plot")


def _draw_line(axes: "Axes", line: Line, styles: dict[str, dict[str, Any]]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(line.title, fontsize=8, wrap=True)
    axes.set_xlabel(AXES[line.axis])
    axes.grid(True)
    axes.set_axisbelow(True)
    sizes = sorted({point.size for curve in line.curves for point in curve.points})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    for curve in line.curves:
        _draw_curve(axes, line.axis, curve, styles[curve.label])
    for device, peak in line.peaks.items():
        axes.axhline(1e-9 * peak, color=INK, linewidth=1, linestyle=DASHED)
        axes.annotate(
            f"best matrix product, {device}",
            (0, 1e-9 * peak),
            (2, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
        )


def _draw_curve(axes: "Axes", axis: str, curve: ScalingCurve, style: dict[str, Any]) -> None:
    sizes = [point.size for point in curve.points]
    rates = [1e-9 * point.rate for point in curve.points]
    axes.plot(sizes, rates, **style)
    half = None if axis == "steps" else curve.half_arithmetic_size
    if half is not None and sizes[0] < half < sizes[-1]:
        rate = float(np.exp(np.interp(np.log(half), np.log(sizes), np.log(rates))))
        axes.plot(half, rate, color=style["color"], **RING)


def _style(k: int) -> dict[str, Any]:
    color, marker = COLORS[color_index(k)], SHAPES[shape_index(k)][1]
    return {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.4}
