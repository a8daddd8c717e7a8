"""`python -m harness table`: from what is asked for to what is said."""

from collections.abc import Sequence
from pathlib import Path

import pandas

from harness.report.frame import BY, METRIC, TableError, columns, default_metrics, matching_runs, with_config
from harness.report.table import output as outputs
from harness.report.table.groups import group
from harness.store import files, frames


def table(
    results: str,
    *,
    by: str | None,
    rows: str | None,
    across: str | None,
    metric: str | None,
    targets: bool,
    filters: Sequence[str],
    style: str | None,
    output: Path | None,
) -> str:
    """The table as text, or, where it goes to a file, that it is written. Raises HarnessError."""
    _fit(by, rows, across, metric, targets)
    style = outputs.output_format(style, output)
    if output is not None:
        files.check_output(output, "--output")
    stored = with_config(frames.load(results))
    down, side = _sides(stored, by, rows, across)
    figures = [] if targets or metric is None else columns(metric, stored, option=METRIC)
    frame = matching_runs(stored, filters, results)
    if not (targets or figures):
        figures = list(default_metrics(frame))
    if both := [name for name in (*down, *side) if name in figures]:
        raise TableError(f"{both[0]!r} makes groups and is a figure; name other figures with {METRIC}")
    groups = group(frame, down, figures, columns=side, targets=targets)
    if output is None:
        return outputs.table_text(groups, style)
    outputs.write(groups, style, output)
    return f"Written: {output}"


def _fit(by: str | None, rows: str | None, across: str | None, metric: str | None, targets: bool) -> None:
    """Raises TableError for options that do not go together."""
    if (rows is None) != (across is None):
        raise TableError("--rows and --columns make a pivoted table together: --rows cell --columns backend")
    if by is not None and rows is not None:
        raise TableError(
            "--by makes a grouped table, --rows and --columns a pivoted one: give one or the other"
        )
    if targets and metric is not None:
        raise TableError(f"--targets and {METRIC} both say which figures are shown: give one or the other")


def _sides(
    stored: pandas.DataFrame, by: str | None, rows: str | None, across: str | None
) -> tuple[list[str], list[str]]:
    """The columns whose values are rows, and those whose values are columns."""
    if rows is None or across is None:
        return (list(BY) if by is None else columns(by, stored, option="--by")), []
    down, side = columns(rows, stored, option="--rows"), columns(across, stored, option="--columns")
    if both := [name for name in down if name in side]:
        raise TableError(f"{both[0]!r} is in --rows and in --columns: it can be in one of them")
    return down, side
