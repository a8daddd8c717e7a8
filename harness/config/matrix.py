"""The matrix of cells, backends and implementations."""

from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from harness.backends.base import IMPLEMENTATIONS
from harness.config import catalogue
from harness.config.compose import conf_directory
from harness.config.flat import flat
from harness.errors import Unavailable

OFFERED, HOLE, UNKNOWN = "✓", "–", "?"


@dataclass(frozen=True)
class Matrix:
    """`rows`: what `cell=…` takes -> the cell that it runs; `columns`: (backend, implementation) that any
    cell has; `offered`: (cell, backend, implementation); `unavailable`: backend -> why it cannot be
    imported."""

    rows: dict[str, str]
    columns: list[tuple[str, str]]
    offered: frozenset[tuple[str, str, str]]
    unavailable: dict[str, str]

    def mark(self, row: str, backend: str, implementation: str) -> str:
        if backend in self.unavailable:
            return UNKNOWN
        return OFFERED if (self.rows[row], backend, implementation) in self.offered else HOLE


def build_matrix() -> Matrix:
    """The matrix of the cells and backends whose files are there."""
    cells, backends = catalogue.cell_names(), catalogue.backend_names()
    rows = {name: name for name in cells} | {
        path.stem: str(cell_settings(path.stem)["cell.name"])
        for path in (conf_directory() / "cell").glob("*.yaml")
    }
    offered: set[tuple[str, str, str]] = set()
    unavailable: dict[str, str] = {}
    for backend in backends:
        try:
            offered |= {
                (cell, backend, each) for cell in cells for each in catalogue.implementations(backend, cell)
            }
        except Unavailable as error:
            unavailable[backend] = str(error)
    used = {(backend, implementation) for _, backend, implementation in offered}
    columns = [
        (backend, implementation)
        for backend in backends
        for implementation in ((UNKNOWN,) if backend in unavailable else IMPLEMENTATIONS)
        if backend in unavailable or (backend, implementation) in used
    ]
    return Matrix(dict(sorted(rows.items())), columns, frozenset(offered), unavailable)


def cell_settings(name: str) -> dict[str, Any]:
    """A file of `conf/cell` by dotted keys, `cell.name` among them."""
    values = OmegaConf.to_container(OmegaConf.load(conf_directory() / "cell" / f"{name}.yaml"))
    assert isinstance(values, dict)
    return flat({"cell": values} if "cell" not in values else {str(key): v for key, v in values.items()})
