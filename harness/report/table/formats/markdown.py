"""Tables in GitHub's markdown."""

import re
from collections.abc import Sequence

from harness.report.format import Best
from harness.report.table.grid import Page

# what ends a cell or is HTML, an entity, a link, a picture, code or emphasis; a _ within a word is nothing
SPECIAL = re.compile(r"[\\|<*`\[~&]|(?<![^\W_])_|_(?![^\W_])")


def escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", text.replace("\n", " "))


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table, its columns padded; the first `left` columns to the left, the rest to the right."""
    safe = [[_cell(cell) for cell in row] for row in [heads, *rows]]
    widths = [max(3, *(len(row[k]) for row in safe)) for k in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(w) if k < left else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = (
        "|" + "|".join("-" * (w + 2) if k < left else "-" * (w + 1) + ":" for k, w in enumerate(widths)) + "|"
    )
    return "\n".join([line(safe[0]), rule, *(line(row) for row in safe[1:])])


def _cell(cell: str) -> str:
    return f"**{escaped(cell)}**" if isinstance(cell, Best) else escaped(cell)


def document(page: Page) -> str:
    parts: list[str] = []
    for grid in page.grids:
        parts += [f"{escaped(grid.over)}:"] if grid.over else []
        parts.append(markdown(grid.heads, grid.rows, grid.left))
    parts += map(escaped, page.notes)
    if page.rest:
        parts += ["Not ok:", markdown(page.rest.heads, page.rest.rows, page.rest.left)]
    return "\n\n".join([*parts, *filter(None, [escaped(page.provenance)])])
