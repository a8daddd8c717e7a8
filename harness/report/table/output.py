"""A table as text or bytes in the format that is asked for, and into a file."""

from collections.abc import Sequence
from pathlib import Path

import pandas

from harness.report.frame import TableError
from harness.report.table.formats import data, html, latex, markdown
from harness.report.table.grid import page
from harness.report.table.groups import Groups, group
from harness.store import files

TEXTS = ("md", "csv", "latex", "html", "json")
FORMATS = (*TEXTS, "parquet")
SUFFIXES = {
    ".md": "md",
    ".csv": "csv",
    ".tex": "latex",
    ".html": "html",
    ".json": "json",
    ".parquet": "parquet",
}


def render(
    frame: pandas.DataFrame,
    by: Sequence[str],
    metrics: Sequence[str],
    style: str,
    *,
    columns: Sequence[str] = (),
    targets: bool = False,
) -> str:
    """The table in one of TEXTS and, below it, the runs that did not end `ok`; see `group`."""
    return table_text(group(frame, by, metrics, columns=columns, targets=targets), style)


def table_text(groups: Groups, style: str) -> str:
    """The table in one of TEXTS."""
    if style in ("csv", "json"):
        return data.csv(groups) if style == "csv" else data.json(groups)
    documents = {"md": markdown.document, "latex": latex.document, "html": html.document}
    return documents[style](page(groups))


def output_format(style: str | None, output: Path | None) -> str:
    """The format that is asked for, by its name or a file's suffix; raises TableError."""
    if style is None and output is not None:
        style = SUFFIXES.get(output.suffix.lower())
        if style is None:
            raise TableError(
                f"--output {output}: no format has that suffix; there are {', '.join(SUFFIXES)}; "
                "or give --format"
            )
    style = style or "md"
    if style not in FORMATS:
        raise TableError(f"--format {style!r}: must be one of {', '.join(FORMATS)}")
    if style == "parquet" and output is None:
        raise TableError("--format parquet: it is no text; name a file with --output FILE")
    return style


def write(groups: Groups, style: str, output: Path) -> None:
    """Writes the table to a file; raises OutputError."""
    content = data.parquet(groups) if style == "parquet" else f"{table_text(groups, style)}\n".encode()
    files.write_output(output, content, "--output")
