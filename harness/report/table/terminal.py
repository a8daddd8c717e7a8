"""Tables on a terminal."""

import sys
from collections.abc import Sequence

import pandas
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.format import Best
from harness.report.frame import BY, default_metrics, records_frame
from harness.report.table.grid import Grid, page
from harness.report.table.groups import group
from harness.report.table.output import render
from harness.store.record import RunRecord


def show(frame: pandas.DataFrame, by: Sequence[str], metrics: Sequence[str], console: Console) -> None:
    """On a terminal a table that fits its width, elsewhere markdown."""
    if not console.is_terminal:
        console.file.write(render(frame, by, metrics, "md") + "\n")
        return
    drawn = page(group(frame, by, metrics))
    for grid in drawn.grids:
        console.print(_boxed(grid))
    for note in drawn.notes:
        console.print(Text(note))
    if drawn.rest:
        console.print(_boxed(drawn.rest))


def _boxed(grid: Grid) -> Table:
    table = Table()
    for k, head in enumerate(grid.heads):
        whole = k < grid.left and k < len(grid.heads) - 1  # only figures and reasons may be broken over lines
        table.add_column(head, justify="left" if k < grid.left else "right", overflow="fold", no_wrap=whole)
    for row in grid.rows:
        table.add_row(*(Text(cell, style="bold" if isinstance(cell, Best) else "") for cell in row))
    return table


def show_runs(records: Sequence[RunRecord]) -> None:
    """The table of a sweep on stdout, by backend and cell."""
    frame = records_frame(records)
    show(frame, BY, default_metrics(frame), Console())
    sys.stdout.flush()
