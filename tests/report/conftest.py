"""Fixtures of comparisons."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.commands import cli
from harness.report.compare.sides import select_sides
from harness.report.compare.verdict import Comparison, compare
from harness.report.metrics import parse_metric
from harness.store.record import RunRecord
from tests.support.comparisons import NUMPY, TORCH, Compared, Typed
from tests.support.made import stored


@pytest.fixture
def compared(results: Path) -> Compared:
    """Stores records and compares two sides of them."""

    def call(
        records: Sequence[RunRecord],
        a: str = TORCH,
        b: str = NUMPY,
        metric: str = "train_throughput",
        *,
        where: Sequence[str] = (),
        force: bool = False,
    ) -> Comparison:
        stored(results, *records)
        return compare(*select_sides(a, b, str(results), where), parse_metric(metric), force=force)

    return call


@pytest.fixture
def typed(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """The command, in this process: its exit status, what it says and its errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["harness", "compare", *arguments, "--results", str(results)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call
