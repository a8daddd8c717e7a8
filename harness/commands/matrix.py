"""What there is: cell × backend × implementation, as the files say it, with the holes visible."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from omegaconf import OmegaConf
from rich.cells import cell_len

from harness.backends.base import IMPLEMENTATIONS
from harness.commands.run import conf
from harness.config.schema import HOUSE
from harness.errors import HarnessError
from harness.report.table import flat, markdown

FORMATS = ("md", "text")
HERE, HOLE, UNKNOWN = "✓", "–", "?"


class MatrixError(HarnessError):
    """A matrix that cannot be shown."""


@dataclass(frozen=True)
class Matrix:
    """`rows`: what `cell=…` takes -> the cell that it runs; `columns`: (backend, implementation) that any
    cell has; `filled` (cell, backend, implementation); `silent`: backend -> why it cannot be asked."""

    rows: dict[str, str]
    columns: list[tuple[str, str]]
    filled: frozenset[tuple[str, str, str]]
    silent: dict[str, str]

    def mark(self, row: str, backend: str, implementation: str) -> str:
        if backend in self.silent:
            return UNKNOWN
        return HERE if (self.rows[row], backend, implementation) in self.filled else HOLE


def build() -> Matrix:
    """The matrix of this folder: cells and backends are its files, nothing is registered."""
    cells = [path.stem for path in sorted((HOUSE / "cells").glob("*.py")) if path.stem != "__init__"]
    backends = [path.parent.name for path in sorted((HOUSE / "backends").glob("*/backend.py"))]
    rows = {name: name for name in cells} | {
        path.stem: str(_settings(path.stem)["cell.name"]) for path in sorted((conf() / "cell").glob("*.yaml"))
    }
    filled: set[tuple[str, str, str]] = set()
    silent: dict[str, str] = {}
    for backend in backends:
        try:
            offered = import_module(f"harness.backends.{backend}.backend").implementations
        except ImportError as error:
            silent[backend] = str(error)
            continue
        filled |= {(cell, backend, implementation) for cell in cells for implementation in offered(cell)}
    there = {(backend, implementation) for _, backend, implementation in filled}
    columns = [
        (backend, implementation)
        for backend in backends
        for implementation in ((UNKNOWN,) if backend in silent else IMPLEMENTATIONS)
        if backend in silent or (backend, implementation) in there
    ]
    return Matrix(dict(sorted(rows.items())), columns, frozenset(filled), silent)


def render(style: str) -> str:
    """The matrix and, below it, what the rows without a cell of their own are."""
    if style not in FORMATS:
        raise MatrixError(f"--format {style!r}: must be one of {', '.join(FORMATS)}")
    matrix = build()
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
    parts += [f"{backend} cannot be asked here: {reason}." for backend, reason in matrix.silent.items()]
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


def _settings(name: str) -> dict[str, Any]:
    """A file of `conf/cell` by dotted keys, `cell.name` among them."""
    values = OmegaConf.to_container(OmegaConf.load(conf() / "cell" / f"{name}.yaml"))
    assert isinstance(values, dict)
    return flat({"cell": values} if "cell" not in values else {str(key): v for key, v in values.items()})


def _difference(name: str, cell: str) -> str:
    """What a row's file sets that the file of its cell does not, or not so."""
    plain = _settings(cell) if (conf() / "cell" / f"{cell}.yaml").exists() else {}
    own = {key: value for key, value in _settings(name).items() if plain.get(key) != value}
    return " and ".join(f"{key}={value}" for key, value in own.items()) or "the same settings"
