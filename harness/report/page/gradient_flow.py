"""Gradient flow: ‖∂L/∂h_t‖ for every step, before and after training."""

from collections.abc import Iterator, Sequence
from math import exp, log

from harness.report.page.figures import Cells, Figure, Panel, omission_note
from harness.report.page.series import ComparableSet, Series, panels_of

MOST_ROWS = 24  # of a panel
WHEN = ("before", "after")


def gradient_flow_figure(sets: Sequence[ComparableSet]) -> Figure:
    """Two panels for every set that has such runs: rows are layers of series, columns are steps."""
    panels, notes = panels_of(sets, _panels)
    return Figure(
        "flow",
        "Gradient flow",
        "The norm of the loss's gradient with respect to the state after every step, geometric mean over "
        "seeds. The loss is at the end: where the left is faint, the first steps teach the network nothing.",
        "python run.py -m cell=rnn,lstm,gru diagnostics=gradient_flow",
        panels,
        notes,
        wide=True,
    )


def _panels(one: ComparableSet) -> Iterator[tuple[Panel, tuple[str, ...]]]:
    for when in WHEN:
        rows = [row for series in one.series for row in _rows(series, f"gradient_flow_{when}")]
        if not rows:
            continue
        steps = max(len(norms) for _, norms in rows)
        values = tuple((*norms, *[None] * (steps - len(norms))) for _, norms in rows[:MOST_ROWS])
        columns = tuple(str(t + 1) for t in range(steps))
        names = tuple(name for name, _ in rows[:MOST_ROWS])
        chart = Cells("step t", "layer", "‖∂L/∂h_t‖", columns, names, values, log=True)
        omitted = omission_note(len(rows), MOST_ROWS, f"layers{one.among}")
        yield Panel(f"{one.of(f'{when.capitalize()} training')}; {_range(values)}", chart), omitted


def _range(values: Sequence[Sequence[float | None]]) -> str:
    """What the shades stand for."""
    known = [value for row in values for value in row if value]
    return f"faint is {min(known):.1e}, full {max(known):.1e}" if known else "all are zero"


def _rows(series: Series, name: str) -> list[tuple[str, tuple[float | None, ...]]]:
    """(label, norms by step) of every layer and direction; None for a norm that is zero."""
    known = [run.details[name] for run in series.runs if run.details.get(name)]
    layers = dict.fromkeys(layer for each in known for layer in each)
    rows = []
    for layer in layers:
        suffix = "" if len(layers) == 1 else f", {layer.removeprefix('layers.')}"
        norms = zip(*(each[layer] for each in known if layer in each), strict=False)
        rows.append((f"{series.label}{suffix}", tuple(_mean(at) for at in norms)))
    return rows


def _mean(norms: Sequence[float]) -> float | None:
    if not all(norms):
        return None
    return exp(sum(log(norm) for norm in norms) / len(norms))
