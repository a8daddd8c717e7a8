"""What there is: cell × backend × implementation, as the files say it, with the holes visible."""

from rich.cells import cell_len

from harness.config.compose import conf_directory
from harness.config.matrix import Matrix, build_matrix, cell_settings
from harness.errors import HarnessError
from harness.report.table.formats.markdown import markdown

FORMATS = ("md", "text")


class MatrixError(HarnessError):
    """A matrix that cannot be shown."""


def render(style: str) -> str:
    """The matrix and, below it, what the rows without a cell of their own are."""
    if style not in FORMATS:
        raise MatrixError(f"--format {style!r}: must be one of {', '.join(FORMATS)}")
    matrix = build_matrix()
    rows = [[name, *(matrix.mark(name, *column) for column in matrix.columns)] for name in matrix.rows]
    if style == "md":
        parts = [markdown(["cell", *(" ".join(column) for column in matrix.columns)], rows, len(rows[0]))]
    else:
        parts = [_plain(matrix, rows)]
    parts += [
        f"{name} is {cell} with {_difference(name, cell)}."
        for name, cell in matrix.rows.items()
        if name != cell
    ]
    parts += [f"{reason}." for reason in matrix.unavailable.values()]
    return "\n\n".join(parts)


def _plain(matrix: Matrix, rows: list[list[str]]) -> str:
    """Columns below the names of their backends, those of different backends further apart."""
    backends = [backend for backend, _ in matrix.columns]
    starts = [n == 0 or backends[n] != backends[n - 1] for n in range(len(backends))]
    above = ["", *(backend if first else "" for backend, first in zip(backends, starts, strict=True))]
    heads = ["cell", *(implementation for _, implementation in matrix.columns)]
    widths = [max(cell_len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    gaps = ["", *("  " if first and n else " " for n, first in enumerate(starts))]

    def line(row: list[str]) -> str:
        padded = (gap + cell.ljust(width) for gap, cell, width in zip(gaps, row, widths, strict=True))
        return "".join(padded).rstrip()

    top = ""
    for name, column in zip(above, range(len(heads)), strict=True):
        if name:
            top = top.ljust(sum(widths[:column]) + sum(map(len, gaps[: column + 1]))) + name
    return "\n".join([top, line(heads), *(line(row) for row in rows)])


def _difference(name: str, cell: str) -> str:
    """What a row's file sets that the file of its cell does not, or not so."""
    plain = cell_settings(cell) if (conf_directory() / "cell" / f"{cell}.yaml").exists() else {}
    own = {key: value for key, value in cell_settings(name).items() if plain.get(key) != value}
    return " and ".join(f"{key}={value}" for key, value in own.items()) or "the same settings"
