"""Runs in a control group with a CPU quota, as in a container."""

import os
from pathlib import Path

import pytest

from harness.launcher.key import run_key
from harness.measure.machine import cores
from harness.store.record import RunRecord
from tests.conftest import SMALL
from tests.support import cgroups
from tests.support.configurations import composed


def run_limited(limit: float, results: Path, *overrides: str) -> tuple[str, list[RunRecord]]:
    """What `python run.py` says in a group with that many cores, and the records that it stores."""
    with cgroups.limited(limit) as group:
        done = cgroups.python(group, "run.py", f"results.root={results}", *SMALL, "backend=numpy", *overrides)
    return done.stderr, [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]


def test_a_run_has_the_threads_of_the_quota_and_a_key_of_its_own(results: Path) -> None:
    said, (record,) = run_limited(1.0, results, "threads=null")
    assert record.status == "ok", said
    assert (record.threads, len(record.environment["cores"])) == (1, 1)
    assert record.environment["cpu_quota_cores"] == 1.0
    assert record.key != run_key(composed(*SMALL, "backend=numpy"), 1)


@pytest.mark.skipif(len(cores()) < 2, reason="one core only")
def test_more_threads_than_the_quota_has_are_refused(results: Path) -> None:
    said, (record,) = run_limited(1.5, results, "threads=2")
    assert record.status == "skipped"
    assert (record.reason or "").startswith(
        f"threads=2: this process may use 1 of the {os.cpu_count()} cores: /sys/fs/cgroup/"
    )
    assert (record.reason or "").endswith(" has a CPU quota of 1.5")
    assert "threads=2: this process may use 1 of the" in said


@pytest.mark.long
@pytest.mark.alone
def test_a_run_that_the_quota_keeps_off_its_core_is_contended(results: Path) -> None:
    _, (record,) = run_limited(0.2, results, "mode=throughput", "measure.seconds=1.2")
    assert (record.status, record.contended) == ("ok", True)
    assert record.details["throttled_share_of_cores"] > 0.2
