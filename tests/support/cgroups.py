"""A control group with a CPU quota, for tests that are run by root."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import ROOT, environment

ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
PERIOD = 100_000  # microseconds


@contextmanager
def limited(cores: float) -> Iterator[Path]:
    """A group that has the time of so many cores; skips the test where none can be made."""
    root = Path("/sys/fs/cgroup")
    group = (root / "cpu" if (root / "cpu").is_dir() else root) / f"harness-{uuid4().hex}"
    quota = round(cores * PERIOD)
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} {PERIOD}")
        elif (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            pytest.skip(f"{group.parent} gives its groups no CPU quota")
        yield group
    finally:
        group.rmdir()


def python(group: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs `python …` within a group to its end."""
    return subprocess.run(
        ["sh", "-c", ENTER, str(group), sys.executable, *arguments],
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=100,
    )
