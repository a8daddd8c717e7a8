"""CPU quotas: found in the files of both versions of control groups, and what they keep a process from."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.measure import devices, quota
from harness.measure.contention import MAX_THROTTLED, Contention
from harness.measure.machine import cores
from harness.measure.quota import Quota, quotas
from tests.conftest import ROOT
from tests.support import cgroups

V2 = "31 23 0:28 {root} {point} rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "32 31 0:29 {root} {point} rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / {point} rw - cgroup cgroup rw,cpuset\n"
)
HOST = "4:cpuset:/set\n3:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n0::/docker/ab\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(quota, "PROC", tmp_path / "proc")
    (tmp_path / "proc").mkdir()
    return tmp_path


def grow(tree: Path, mounts: str, root: str, own: str, files: dict[str, str]) -> None:
    point = tree / "cgroup"
    (tree / "proc" / "cgroup").write_text(own)
    (tree / "proc" / "mountinfo").write_text(
        "23 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts.format(root=root, point=point)
    )
    for name, content in files.items():
        (point / name).parent.mkdir(parents=True, exist_ok=True)
        (point / name).write_text(f"{content}\n")


def v1(folder: str, limit: int, period: int = 100000) -> dict[str, str]:
    return {f"{folder}cpu.cfs_quota_us": str(limit), f"{folder}cpu.cfs_period_us": str(period)}


@pytest.mark.parametrize(
    ("mounts", "root", "own", "files", "found"),
    [
        (V2, "/", "0::/\n", {"cpu.max": "150000 100000"}, 1.5),  # a container sees its group as the root
        (V2, "/", "0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "20000 10000"}, 2.0),
        (V2, "/", "0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "50000 100000"}, 0.5),
        (V2, "/", "0::/a\n", {"a/cpu.max": "max 100000", "b/cpu.max": "50000 100000"}, None),
        (V2, "/", "0::/a\n", {"a/memory.max": "max"}, None),  # the group has no limits of CPU time
        (V2, "/", "0::/../a\n", {"cpu.max": "100000 100000"}, 1.0),  # a process from outside the container
        (V1, "/docker/ab", HOST, v1("", 100000), 1.0),  # version 1 in a container
        (V1, "/", HOST, v1("docker/ab/", -1) | v1("docker/", 75000, 50000) | v1("", -1), 1.5),
        (V1, "/", HOST, v1("docker/ab/", -1), None),
        (V1, "/", "4:cpuset:/set\n", v1("set/", 100000), None),
        (V2 + V1, "/", HOST, {"docker/ab/cgroup.procs": ""} | v1("docker/ab/", 300000), 3.0),  # both
        ("", "/", HOST, {}, None),
    ],
)
def test_the_smallest_quota_of_a_group_and_of_those_around_it(
    tree: Path, mounts: str, root: str, own: str, files: dict[str, str], found: float | None
) -> None:
    grow(tree, mounts, root, own, files)
    assert quota.cpu_quota_entry() == ({} if found is None else {"cpu_quota_cores": found})


def test_a_system_without_control_groups(tree: Path) -> None:
    assert quotas() == []
    assert quota.cpu_quota_entry() == {}


@pytest.mark.parametrize(
    ("stat", "seconds"),
    [
        ("usage_usec 9\nnr_throttled 3\nthrottled_usec 1500000\n", 1.5),
        ("nr_periods 9\nnr_throttled 3\nthrottled_time 1500000000\n", 1.5),
        ("usage_usec 9\n", None),
        (None, None),
    ],
)
def test_the_time_for_which_a_group_was_throttled(
    tmp_path: Path, stat: str | None, seconds: float | None
) -> None:
    if stat is not None:
        (tmp_path / "cpu.stat").write_text(stat)
    assert Quota(tmp_path, 1.0).throttled_seconds() == seconds


def test_threads_keep_to_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    here = len(cores())
    for limits, count in (([0.5], 1), ([1.9], 1), ([here + 0.5], here), ([here, 1.0], 1), ([], here)):
        found = [Quota(Path("/sys/fs/cgroup/mine"), limit) for limit in limits]
        monkeypatch.setattr(devices, "quotas", lambda found=found: found)
        assert devices.thread_count(None, gpu=False) == devices.core_count() == count
        assert devices.thread_count(1, gpu=False) == 1
        with pytest.raises(
            Unavailable, match=f"^threads={count + 1}: this process may use {count} of the"
        ) as said:
            devices.thread_count(count + 1, gpu=False)
        assert ("/sys/fs/cgroup/mine has a CPU quota of" in str(said.value)) is (count < here)


def test_throttling_is_contention() -> None:
    assert Contention(0.0, 3.0, 0.0, MAX_THROTTLED + 0.01).contended is True
    assert Contention(0.0, 3.0, 0.0, MAX_THROTTLED - 0.01).contended is False
    assert Contention(0.0, 3.0, 0.0, None).contended is False
    assert Contention(None, None, 0.0, 0.5).contended is None


BUSY = """
import os, sys, time
from harness.measure.contention import ContentionMonitor
from harness.measure.devices import core_count
from harness.measure.quota import cpu_quota_entry
with open(sys.argv[1] + "/cgroup.procs", "w") as processes:
    processes.write(str(os.getpid()))  # not before: imports would take twenty times as long
core = max(os.sched_getaffinity(0))
os.sched_setaffinity(0, [core])
monitor = ContentionMonitor([core])
end = time.monotonic() + 1.2
while time.monotonic() < end:
    pass
found = monitor.result()
print(core_count(), cpu_quota_entry(), found.contended, found.throttled_share_of_cores)
"""


def test_a_busy_process_in_a_group_with_a_twentieth_of_a_core() -> None:
    with cgroups.limited(0.05) as group:
        command = [sys.executable, "-c", BUSY, str(group)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    count, *described, contended, share = done.stdout.split()
    assert (count, " ".join(described), contended) == ("1", "{'cpu_quota_cores': 0.05}", "True")
    assert 0.3 < float(share) <= 1.0  # 0.95 on a core that nothing else uses
