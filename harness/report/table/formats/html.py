"""Tables in HTML: a piece of a page, in ASCII, that needs nothing from around it."""

from collections.abc import Iterator, Sequence
from html import escape

from harness.report.format import Best
from harness.report.table.grid import Grid, Page

RIGHT = ' style="text-align: right"'


def html(grid: Grid, caption: str) -> str:
    """A table; heads and what names a row say so to those who hear it read."""

    def line(row: Sequence[str]) -> Iterator[str]:
        for k, cell in enumerate(row):
            aside = "" if k < grid.left else RIGHT
            if k < grid.keys:
                yield f'<th scope="row" style="text-align: left">{escape(cell)}</th>'
            elif isinstance(cell, Best):
                yield f"<td{aside}><strong>{escape(cell)}</strong></td>"
            else:
                yield f"<td{aside}>{escape(cell)}</td>"

    heads = "".join(
        f'<th scope="col"{RIGHT if k >= grid.left else ""}>{escape(head)}</th>'
        for k, head in enumerate(grid.heads)
    )
    rows = [f"<tr>{''.join(line(row))}</tr>" for row in grid.rows]
    return "\n".join(
        [
            "<table>",
            f"<caption>{escape(caption)}</caption>",
            f"<thead>\n<tr>{heads}</tr>\n</thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table>",
        ]
    )


def document(page: Page) -> str:
    parts = [html(grid, grid.over or f"Runs by {', '.join(grid.heads[: grid.left])}") for grid in page.grids]
    parts += [f"<p>{escape(note)}</p>" for note in page.notes]
    if page.rest:
        parts.append(html(page.rest, "Not ok"))
    parts += [f"<p>{escape(page.provenance)}</p>"] if page.provenance else []
    return "\n".join(parts).encode("ascii", "xmlcharrefreplace").decode()
