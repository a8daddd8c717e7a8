"""What a person sees on a terminal: one line that moves, a table that fits."""

import re
from pathlib import Path

import pytest

from tests.conftest import SMALL
from tests.support.terminal import on_a_terminal


@pytest.mark.parametrize("columns", [45, 160])
def test_one_line_that_moves_and_a_table_that_fits(results: Path, columns: int) -> None:
    status, said = on_a_terminal(columns, f"results.root={results}", "backend=numpy", *SMALL)
    assert status == 0, said
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said)
    moving = [line for line in re.split(r"[\r\n]+", plain) if line.startswith("epoch 1/1, step 10/10")]
    assert moving
    assert all(len(line) <= columns for line in moving), moving
    shown = plain.split("ok: accuracy")[1].splitlines()[1:]
    assert any("numpy" in line for line in shown)
    assert all(len(line) <= columns for line in shown), shown
