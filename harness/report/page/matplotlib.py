"""The report's charts for papers, by matplotlib: one file a panel, SVG and PDF, no titles."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.report.matplotlib_style import DASHED, INK, INSTALL, STYLE, save
from harness.report.page.figures import Axis, Bars, Cells, Chart, Figure, Lines
from harness.report.page.runs import ReportError
from harness.report.palette import COLORS, HEAT, REFERENCE_MARKERS, SHAPES, color_index, shape_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

NARROW, WIDE = 3.5, 7.0  # inches: one column, two
SIZES: Any = {"font.size": 8, "legend.fontsize": 7}


def check(folder: Path) -> None:
    """Makes the directory; raises ReportError where that or importing matplotlib is not possible."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ReportError(
            f"--plots {folder}: matplotlib cannot be imported here ({error}); {INSTALL}"
        ) from error
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ReportError(f"--plots {folder}: cannot be made: {error.strerror}") from error


def write(folder: Path, figures: Sequence[Figure]) -> list[Path]:
    """Draws every panel into `<figure>-<n>.svg` and `.pdf`; returns the files. Raises ReportError."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Sheet

    written: list[Path] = []
    with rc_context({**STYLE, **SIZES}):
        for one in figures:
            for n, panel in enumerate(one.panels, 1):
                sheet = Sheet(figsize=_size(panel.chart, one.wide), layout="constrained")
                axes = sheet.subplots()
                _draw(axes, panel.chart, one.keys(panel))
                if any(axes.get_legend_handles_labels()):
                    _legend(sheet)
                for suffix in (".svg", ".pdf"):
                    path = folder / f"{one.name}-{n}{suffix}"
                    save(sheet, path, "--plots")
                    written.append(path)
    return written


def _size(chart: Chart, wide: bool) -> tuple[float, float]:
    width = WIDE if wide else NARROW
    if isinstance(chart, Bars):
        return width, 0.7 + 0.19 * len(chart.bars)
    if isinstance(chart, Cells):
        return width, 0.6 + (0.19 if wide else 0.26) * len(chart.rows)
    return width, 2.7


def _draw(axes: "Axes", chart: Chart, keys: Sequence[str]) -> None:
    if isinstance(chart, Lines):
        _lines(axes, chart, keys)
    elif isinstance(chart, Bars):
        _bars(axes, chart, keys)
    else:
        _cells(axes, chart)


def _legend(sheet: "Sheet") -> None:
    """Above the chart, in two columns where they fit; the sheet grows by what a single one needs more."""
    legend = sheet.legend(loc="outside upper left", ncols=2)
    two = legend.get_window_extent()
    if two.width > sheet.bbox.width:
        legend.remove()
        one = sheet.legend(loc="outside upper left").get_window_extent()
        sheet.set_figheight(sheet.get_figheight() + (one.height - two.height) / sheet.dpi)


def _lines(axes: "Axes", chart: Lines, keys: Sequence[str]) -> None:
    for curve in chart.curves:
        k = keys.index(curve.key)
        x, y = zip(*curve.points, strict=True)
        axes.plot(
            x,
            y,
            color=COLORS[color_index(k)],
            marker=SHAPES[shape_index(k)][1],
            markersize=3.5,
            linewidth=1.2,
            label=curve.label,
        )
    for name, y_level in chart.levels:
        axes.axhline(y_level, color=INK, linewidth=0.9, linestyle=DASHED, label=name)
    _label(axes, chart.x, chart.y)
    axes.grid(True)
    axes.set_axisbelow(True)


def _label(axes: "Axes", x: Axis, y: Axis) -> None:
    axes.set_xlabel(x.title)
    axes.set_ylabel(y.title)
    if x.log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    if y.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")


def _bars(axes: "Axes", chart: Bars, keys: Sequence[str]) -> None:
    places = range(len(chart.bars))
    values = [bar.value for bar in chart.bars]
    axes.barh(
        places, values, height=0.62, color=[COLORS[color_index(keys.index(bar.key))] for bar in chart.bars]
    )
    for place, bar in zip(places, chart.bars, strict=True):
        if bar.interval:
            axes.plot(bar.interval, (place, place), color=INK, linewidth=1.0)
    for k, name in enumerate(chart.against):
        seen = [bar.against[k] for bar in chart.bars]
        axes.plot(
            seen,
            places,
            color=INK,
            linestyle="none",
            marker=REFERENCE_MARKERS[k][1],
            markersize=5,
            label=name,
        )
    axes.set_yticks(list(places), [bar.label for bar in chart.bars])
    axes.invert_yaxis()
    axes.set_xlabel(chart.x.title)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def _cells(axes: "Axes", chart: Cells) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize

    values = np.array([[np.nan if v is None else v for v in row] for row in chart.values], float)
    known = values[np.isfinite(values) & (values > 0)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 1.0)
    darkest = 2 * high if chart.texts else high  # numbers can be read on the paler half
    norm = LogNorm(low, high) if chart.log and low < high else Normalize(0, darkest)
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(values),
        cmap=LinearSegmentedColormap.from_list("paper", ["#f4f8fb", HEAT]),
        norm=norm,
        edgecolors="white",
        linewidth=0.4,
    )
    if chart.texts:
        for y, row in enumerate(chart.texts):
            for x, written in enumerate(row):
                axes.text(x + 0.5, y + 0.5, written, ha="center", va="center", fontsize=6, color=INK)
        axes.set_ylabel(chart.y)
    else:
        axes.figure.colorbar(mesh, ax=axes, label=chart.value, pad=0.01, format="{x:g}").ax.minorticks_off()
    every = max(1, len(chart.columns) // 14)
    shown = range(0, len(chart.columns), every)
    axes.set_xticks([k + 0.5 for k in shown], [chart.columns[k] for k in shown])
    axes.set_yticks([k + 0.5 for k in range(len(chart.rows))], chart.rows)
    axes.set_xlabel(chart.x)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
