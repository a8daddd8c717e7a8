"""What a page of text is made of: heads, and columns that stand below each other over many tables."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

LETTERS = "cyan"  # shapes and equations
Row = list[str | Text]


def head(title: str) -> RenderableType:
    return Rule(Text(title, style="bold"), align="left", style="dim")


def columns(rows: Sequence[Row | Text], *, wrap: int) -> Iterator[RenderableType]:
    """Rows in columns as wide as their widest cell, all but one, which takes the rest and may break its
    lines; a lone text between them runs over all columns."""
    listed = [row for row in rows if isinstance(row, list)]
    widths = [max(_text(row[k]).cell_len for row in listed) for k in range(max(map(len, listed), default=0))]
    for _, some in groupby(rows, key=lambda row: isinstance(row, Text)):
        table = Table.grid(padding=(0, 2), expand=True)
        for k, width in enumerate(widths):
            if k == wrap:
                table.add_column(ratio=1, overflow="fold")
            else:
                table.add_column(width=width, overflow="fold")
        for row in some:
            if isinstance(row, Text):
                yield row
            else:
                table.add_row(*(_text(cell) for cell in row))
        if table.row_count:
            yield table


def _text(cell: str | Text) -> Text:
    return Text(cell) if isinstance(cell, str) else cell
