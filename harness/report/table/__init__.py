"""Runs as a table: grouped or pivoted, mean ± standard deviation, and nothing that did not end `ok` left out.

selection   which runs, and which of their columns      formats/   markdown, LaTeX, HTML; data
grouping    groups of runs and their figures            page       heads, rows, notes
best        which figure is better than all others      output     in a format, into a file
figures     numbers as people read them                 terminal   with lines around it
"""

from harness.config.flat import flat
from harness.report.format import MARK, figure, text
from harness.report.frame import (
    BY,
    METRICS,
    TableError,
    columns,
    framed,
    not_ok,
    split,
    usual,
    where,
    with_config,
)
from harness.report.table.formats.markdown import markdown
from harness.report.table.grid import provenance
from harness.report.table.groups import Groups, build, group
from harness.report.table.output import FORMATS, TEXTS, render
from harness.report.table.terminal import show, show_runs

__all__ = [
    "BY",
    "FORMATS",
    "MARK",
    "METRICS",
    "TEXTS",
    "Groups",
    "TableError",
    "build",
    "columns",
    "figure",
    "flat",
    "framed",
    "group",
    "markdown",
    "not_ok",
    "provenance",
    "render",
    "show",
    "show_runs",
    "split",
    "text",
    "usual",
    "where",
    "with_config",
]
