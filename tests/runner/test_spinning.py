"""PyTorch's threads spin for less time where others use the run's cores."""

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.measure.machine import cores
from harness.runner import spinning
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.support.configurations import composed


@pytest.mark.parametrize(
    ("others", "count"), [(None, "100000"), (0.0, "100000"), (0.2, "100000"), (0.9, "1000")]
)
def test_the_count_is_lower_where_others_use_the_cores(
    others: float | None, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(spinning.NAME, "")
    monitor: Any = SimpleNamespace(elapsed=1.0, others=lambda: others)
    update = spinning.settle(composed("backend=torch"), monitor)
    assert os.environ[spinning.NAME] == count
    assert update.details == {"spin_count": int(count)}


def test_nothing_is_set_for_backends_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(spinning.NAME, raising=False)
    for overrides in (["backend=numpy"], ["backend=keras"], ["backend=keras", "backend.engine=jax"]):
        assert not spinning.settle(composed(*overrides), SimpleNamespace()).details  # type: ignore[arg-type]
    assert spinning.NAME not in os.environ


def spin(core: int) -> None:
    os.sched_setaffinity(0, [core])
    while True:
        pass


@pytest.mark.long
@pytest.mark.alone
def test_a_real_run_notices_a_busy_core(run: Shell, results: Path) -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("processes cannot be pinned here")

    def count(seed: int) -> int:
        assert run("backend=torch", f"threads={len(cores())}", f"seed={seed}").returncode == 0
        records = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
        (found,) = (record.details["spin_count"] for record in records if record.seed == seed)
        return int(found)

    assert 100000 in (count(seed) for seed in range(3))  # something else may run once
    other = multiprocessing.get_context("spawn").Process(target=spin, args=(cores()[0],), daemon=True)
    other.start()
    try:
        assert count(3) == 1000
    finally:
        other.kill()
        other.join()
