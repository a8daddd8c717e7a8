"""Charts as Vega-Lite specifications, by Altair.

Colours are the page's CSS variables, so that one drawing serves light, dark and paper. Names from records are
data alone, never a field's name, an expression or a title with markup.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from harness.report.page.figures import Axis, Bars, Cells, Chart, Lines, format_number
from harness.report.palette import REFERENCE_MARKERS, SHAPES, color_index, shape_index

INK, PAPER, HEAT = "var(--ink)", "var(--paper)", "var(--heat)"
HEIGHT = 240  # of a plot of lines
STEP = 22  # of a row
LINE, APART = 12, ", "  # of a name that has several, and what is between them
Drawn = alt.LayerChart | alt.FacetChart
FAINT = 0.06  # of the smallest value that is shaded
PALE = 0.5  # of the largest where numbers stand on it: ink can be read on no darker shade


def specification(chart: Chart, keys: Sequence[str], description: str) -> dict[str, Any]:
    """The chart as plain data; `keys` are what colours stand for."""
    if isinstance(chart, Lines):
        drawn = _lines(chart, keys)
    elif isinstance(chart, Bars):
        drawn = _bars(chart, keys)
    else:
        drawn = _cells(chart)
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")  # the width is the page's, the height its own
    whole = drawn.properties(width="container", autosize=fit, description=description)
    parts: dict[str, Any] = whole.to_dict()
    return {name: part for name, part in parts.items() if name not in ("$schema", "config")}


def _lines(chart: Lines, keys: Sequence[str]) -> Drawn:
    points = [
        {"name": curve.label, "key": curve.key, "x": x, "y": y, "order": n, "shown": format_number(y)}
        for curve in chart.curves
        for n, (x, y) in enumerate(curve.points)
    ]
    near = alt.selection_point(name="near", on="pointerover", fields=["name"], empty=True)
    base = alt.Chart(_data(points)).encode(
        x=alt.X("x:Q", title=chart.x.title, scale=_scale(chart.x), axis=_axis(chart.x)),
        y=alt.Y("y:Q", title=chart.y.title, scale=_scale(chart.y), axis=_axis(chart.y)),
        color=alt.Color("key:N", scale=_colors(keys), legend=None),
        detail="name:N",
        opacity=alt.condition(near, alt.value(1), alt.value(0.2)),
    )
    order = alt.Order("order:Q")
    marks: list[alt.Chart] = [
        base.mark_line(strokeWidth=1.6).encode(order=order),
        base.mark_point(filled=True, size=40)
        .encode(
            shape=alt.Shape("key:N", scale=_shapes(keys), legend=None),
            tooltip=[
                alt.Tooltip("name:N", title="of"),
                alt.Tooltip("x:Q", title=chart.x.title, format=",.4~g"),
                alt.Tooltip("shown:N", title=chart.y.title),
            ],
        )
        .add_params(near),
    ]
    if chart.levels:
        levels = alt.Chart(
            _data([{"name": name, "y": y, "shown": format_number(y)} for name, y in chart.levels])
        )
        tips = [alt.Tooltip("name:N", title="level"), alt.Tooltip("shown:N", title=chart.y.title)]
        marks.append(
            levels.mark_rule(stroke=INK, strokeDash=[5, 4]).encode(
                y=alt.Y("y:Q", scale=_scale(chart.y)), tooltip=tips
            )
        )
    return alt.layer(*marks).properties(height=HEIGHT)


def _bars(chart: Bars, keys: Sequence[str]) -> Drawn:
    rows = [
        {
            "name": bar.label,
            "key": bar.key,
            "value": bar.value,
            "shown": format_number(bar.value),
            "low": bar.interval[0] if bar.interval else bar.value,
            "high": bar.interval[1] if bar.interval else bar.value,
            "from": format_number(bar.interval[0]) if bar.interval else "–",
            "to": format_number(bar.interval[1]) if bar.interval else "–",
        }
        for bar in chart.bars
    ]
    names = [bar.label for bar in chart.bars]
    interval = any(bar.interval for bar in chart.bars)
    tips = [alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title=chart.x.title)]
    tips += [alt.Tooltip("from:N"), alt.Tooltip("to:N")] if interval else []
    # a name in lines: what tells bars from one another may be at its end, which a narrow page would cut
    more = LINE * max(name.count(APART) for name in names)
    axis = alt.Axis(labelExpr=f"split(datum.label, '{APART}')", labelLineHeight=LINE, labelOffset=-more / 2)
    step = max(STEP, LINE + more + 10)
    base = alt.Chart(_data(rows)).encode(y=alt.Y("name:N", sort=names, title=None, axis=axis), tooltip=tips)
    marks = [
        base.mark_bar(height={"band": 0.62}).encode(
            x=alt.X("value:Q", title=chart.x.title, axis=_axis(chart.x)),
            color=alt.Color("key:N", scale=_colors(keys), legend=None),
        )
    ]
    if interval:
        marks.append(base.mark_rule(stroke=INK, strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q"))
    if chart.against:
        seen = [
            {"name": bar.label, "what": what, "value": value, "shown": format_number(value)}
            for bar in chart.bars
            for what, value in zip(chart.against, bar.against, strict=True)
        ]
        scale = alt.Scale(
            domain=list(chart.against), range=[REFERENCE_MARKERS[k][0] for k in range(len(chart.against))]
        )
        marks.append(
            alt.Chart(_data(seen))
            .mark_point(filled=False, stroke=INK, fill=INK, size=60, strokeWidth=1.5, opacity=1)
            .encode(
                y=alt.Y("name:N", sort=names, axis=axis),
                x=alt.X("value:Q"),
                shape=alt.Shape("what:N", scale=scale, legend=None),
                angle=alt.condition("datum.what === ''", alt.value(0), alt.value(90)),
                tooltip=[
                    alt.Tooltip("name:N", title="of"),
                    alt.Tooltip("what:N", title="against"),
                    alt.Tooltip("shown:N", title=chart.x.title),
                ],
            )
        )
    return alt.layer(*marks).properties(height=step * len(chart.bars))


def _cells(chart: Cells) -> Drawn:
    shaded = [value for row in chart.values for value in row if value is not None and value > 0]
    texts = chart.texts or tuple(("",) * len(row) for row in chart.values)
    rows = [
        {
            "row": name,
            "column": column,
            "value": value,
            "shown": text or ("–" if value is None else format_number(value)),
            "text": text,
        }
        for name, values, written in zip(chart.rows, chart.values, texts, strict=True)
        for column, value, text in zip(chart.columns, values, written, strict=True)
    ]
    every = max(1, len(chart.columns) // 14)
    axis = alt.Axis(
        labelAngle=0,
        labelOverlap=True,
        orient="top",
        grid=False,
        ticks=False,
        domain=False,
        values=list(chart.columns[::every]),
    )
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("column:O", sort=list(chart.columns), title=chart.x, axis=axis),
        y=alt.Y(
            "row:O",
            sort=list(chart.rows),
            title=chart.y if chart.texts else None,
            axis=alt.Axis(ticks=False, domain=False),
        ),
        tooltip=[
            alt.Tooltip("row:N", title=chart.y),
            alt.Tooltip("column:N", title=chart.x),
            alt.Tooltip("shown:N", title=chart.value),
        ],
    )
    low, high = (min(shaded), max(shaded)) if shaded else (1.0, 1.0)
    shades = [FAINT, PALE if chart.texts else 1]
    if chart.log and low < high:
        scale = alt.Scale(type="log", domain=[low, high], range=shades)
    else:
        scale = alt.Scale(domain=[0, high], range=shades)
    marks = [
        base.mark_rect(fill=HEAT, stroke=PAPER)
        .transform_filter("isValid(datum.value)")
        .encode(fillOpacity=alt.FillOpacity("value:Q", scale=scale, legend=None)),
        # a cell that is not shaded can be hovered over all the same
        base.mark_rect(fill=HEAT, fillOpacity=0).transform_filter("!isValid(datum.value)"),
    ]
    if chart.texts:
        marks.append(base.mark_text(fontSize=11, color=INK).encode(text="text:N"))
    return alt.layer(*marks).properties(height=STEP * len(chart.rows))


def _data(rows: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=rows)


def _scale(axis: Axis) -> alt.Scale:
    return alt.Scale(type="log", nice=False) if axis.log else alt.Scale(zero=False)


def _axis(axis: Axis) -> alt.Axis:
    form = "d" if axis.whole else "~s" if axis.title == "sequences/s" else ",.4~g"
    return alt.Axis(format=form, labelOverlap=True, labelSeparation=4, tickCount=6)


def _colors(keys: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(keys), range=[f"var(--c{color_index(k)})" for k in range(len(keys))])


def _shapes(keys: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(keys), range=[SHAPES[shape_index(k)][0] for k in range(len(keys))])
