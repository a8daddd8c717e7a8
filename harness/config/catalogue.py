"""What exists: cells, backends and their implementations, as the files say it."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from omegaconf import OmegaConf

from harness.backends.base import IMPLEMENTATIONS
from harness.config.compose import conf
from harness.config.schema import HOUSE
from harness.report.table import flat

HERE, HOLE, UNKNOWN = "✓", "–", "?"


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


def _settings(name: str) -> dict[str, Any]:
    """A file of `conf/cell` by dotted keys, `cell.name` among them."""
    values = OmegaConf.to_container(OmegaConf.load(conf() / "cell" / f"{name}.yaml"))
    assert isinstance(values, dict)
    return flat({"cell": values} if "cell" not in values else {str(key): v for key, v in values.items()})
