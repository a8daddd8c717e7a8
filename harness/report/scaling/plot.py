"""The lines of `harness.report.scaling.fit` as a figure: FLOP/s over size, one panel a line."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.report.scaling.fit import AXES, Line, ScalingError, Series, half, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png", ".pdf")
# Okabe and Ito's colours, which people with any kind of colour vision tell apart; and a marker each
STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
)
INK, PALE = "#333333", "#e4e4e4"
LOOK: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "harness",
    "font.size": 9,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
RING: Any = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "linestyle": "none"}


def write(path: Path, lines: Sequence[Line]) -> None:
    """Draws into a file, in the format of its suffix; raises ScalingError where that cannot be done."""
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
            f"--plot {path}: matplotlib cannot be imported here ({error}); "
            "install it: pip install -c constraints.txt matplotlib"
        ) from error
    by_axis = [[line for line in lines if line.axis == axis] for axis in AXES]
    rows = list(zip_longest(*(column for column in by_axis if column)))
    labels = sorted({series.label for line in lines for series in line.series})
    styles = {label: STYLES[k % len(STYLES)] for k, label in enumerate(labels)}
    with rc_context(LOOK):
        figure = Figure(figsize=(0.6 + 3.5 * len(rows[0]), 0.7 + 3.2 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharey=True)
        for across, panels in zip(rows, grid, strict=True):
            for line, axes in zip(across, panels, strict=True):
                if line is None:
                    axes.set_visible(False)
                else:
                    _panel(axes, line, styles)
            panels[0].set_ylabel("training GFLOP/s")
        figure.legend(
            handles=[Line2D([], [], label=label, **_style(*styles[label])) for label in labels]
            + [Line2D([], [], color=INK, label="half overhead, half arithmetic", **RING)],
            loc="outside upper center",
            ncols=len(rows[0]) + 1,
            frameon=False,
        )
        try:
            figure.savefig(path, dpi=200, metadata={} if path.suffix.lower() == ".png" else _undated(path))
        except OSError as error:
            raise ScalingError(f"--plot {path}: cannot be written: {error.strerror}") from error


def _undated(path: Path) -> dict[str, None]:
    return {"Date" if path.suffix.lower() == ".svg" else "CreationDate": None}


def _panel(axes: "Axes", line: Line, styles: dict[str, tuple[str, str]]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(title(line), fontsize=8, wrap=True)
    axes.set_xlabel(AXES[line.axis])
    axes.grid(True, color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    xs = sorted({point.x for series in line.series for point in series.points})
    axes.set_xticks(xs, [f"{x:,}" for x in xs])
    axes.minorticks_off()
    for series in line.series:
        _series(axes, line.axis, series, *styles[series.label])
    peaks: dict[str, float] = {}
    for series in line.series:
        peaks[series.device] = max(series.peak, peaks.get(series.device, 0.0))
    for device, peak in peaks.items():
        axes.axhline(1e-9 * peak, color=INK, linewidth=1, linestyle=(0, (5, 4)))
        axes.annotate(
            f"best matrix product, {device}",
            (0, 1e-9 * peak),
            (2, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
        )


def _series(axes: "Axes", axis: str, series: Series, color: str, marker: str) -> None:
    x = [point.x for point in series.points]
    rates = [1e-9 * point.rate for point in series.points]
    axes.plot(x, rates, **_style(color, marker))
    if axis == "steps" or series.fit is None:
        return
    at = half(series.fit, series.points)
    if not x[0] < at < x[-1]:
        return
    rate = float(np.exp(np.interp(np.log(at), np.log(x), np.log(rates))))
    axes.plot(at, rate, color=color, **RING)


def _style(color: str, marker: str) -> dict[str, Any]:
    return {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.4}
