"""The matrix of cells, backends and implementations: what lies in the folders, and the holes."""

from importlib import import_module
from pathlib import Path

import pytest

import harness
from harness.commands import matrix
from harness.config import catalogue
from harness.config.compose import CONF
from harness.config.matrix import HOLE, OFFERED, UNKNOWN, build_matrix
from tests.conftest import Shell

ROOMS = Path(harness.__file__).parent
CELLS = [path.stem for path in (ROOMS / "cells").glob("*.py") if path.stem != "__init__"]
BACKENDS = [path.parent.name for path in (ROOMS / "backends").glob("*/backend.py")]


def test_every_square_is_what_the_backend_offers() -> None:
    built = build_matrix()
    assert set(built.rows) == set(CELLS) | {path.stem for path in (CONF / "cell").glob("*.yaml")}
    assert built.unavailable == {}
    for backend in BACKENDS:
        offered = import_module(f"harness.backends.{backend}.backend").implementations
        for row, cell in built.rows.items():
            marked = {i for b, i in built.columns if b == backend and built.mark(row, b, i) == OFFERED}
            assert marked == set(offered(cell)), (row, backend)


def test_what_is_only_configuration_has_a_row_and_says_what_it_is(harness_command: Shell) -> None:
    done = harness_command("matrix")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert lines["irnn"].split()[1:] != []
    assert "irnn is rnn with cell.activation=relu and init=irnn." in done.stdout
    assert lines["rnn"].split()[1:] == done.stdout.split("\nirnn ")[1].splitlines()[0].split()


def test_text_fits_eighty_columns_and_shows_the_holes(harness_command: Shell) -> None:
    text = harness_command("matrix").stdout
    assert all(len(line) <= 80 for line in text.splitlines()), text
    heads, implementations, *rows = text.split("\n\n")[0].splitlines()
    assert heads.split() == sorted(BACKENDS)
    lstm = next(row for row in rows if row.startswith("lstm "))
    for word in ("fused", "loop", "compiled"):
        assert lstm[implementations.index(word)] == OFFERED
    assert HOLE in text


def test_markdown(harness_command: Shell) -> None:
    done = harness_command("matrix", "--format", "md")
    table = done.stdout.split("\n\n")[0].splitlines()
    assert len({len(line) for line in table}) == 1
    assert len(table) == 2 + len(build_matrix().rows)
    assert "torch fused" in table[0]
    assert "numpy loop" in table[0]


def test_another_format_is_refused(harness_command: Shell) -> None:
    done = harness_command("matrix", "--format", "csv")
    assert done.returncode == 2
    assert done.stderr.strip() == "--format 'csv': must be one of md, text"


def test_a_backend_that_cannot_be_asked_is_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> object:
        if name == "harness.backends.torch.backend":
            raise ModuleNotFoundError("No module named 'torch'")
        return import_module(name)

    monkeypatch.setattr(catalogue, "import_module", gone)
    built = build_matrix()
    reason = "torch cannot be imported here (No module named 'torch')"
    assert built.unavailable == {"torch": f"{reason}; install it: pip install -c constraints.txt torch"}
    assert built.mark("lstm", "torch", "fused") == UNKNOWN
    assert f"{reason}; install it: pip install -c constraints.txt torch." in matrix.render("text")
