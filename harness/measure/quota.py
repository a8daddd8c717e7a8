"""CPU quotas of control groups, versions 1 and 2: how much time on the cores a container may use.

See the kernel's documentation, "CFS Bandwidth Control" and "Control Group v2".
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")
FILES = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))  # of version 2, of version 1
STAT_UNITS = {"throttled_usec": 1e-6, "throttled_time": 1e-9}  # seconds; of version 2, of version 1


@dataclass(frozen=True)
class Quota:
    """The limit of a control group: all its processes together may use the time of this many cores."""

    group: Path
    cores: float

    @property
    def whole_cores(self) -> int:
        """The number of cores that the group can keep busy all the time; 1 for a quota below one core."""
        return max(1, int(self.cores))

    @property
    def identity(self) -> int:
        """A number that no other control group of this machine has; the same in every container."""
        return self.group.stat().st_ino

    def throttled_seconds(self) -> float | None:
        """How long the quota has kept the group off the cores so far, summed over the cores; None where the
        system does not tell."""
        with suppress(OSError):
            for name, value in map(str.split, (self.group / "cpu.stat").read_text().splitlines()):
                if name in STAT_UNITS:
                    return int(value) * STAT_UNITS[name]
        return None


def quotas() -> list[Quota]:
    """The quotas of this process's control group and of the groups around it."""
    cores = {group: _cores(group) for group in _groups()}
    return [Quota(group, limit) for group, limit in cores.items() if limit is not None]


def cpu_quota_entry() -> dict[str, float]:
    """The smallest quota, as an entry of a record and of a key; {} without a quota."""
    limits = [quota.cores for quota in quotas()]
    return {"cpu_quota_cores": min(limits)} if limits else {}


def _groups() -> Iterator[Path]:
    """The directories of this process's control group and of the visible groups around it, in each hierarchy
    that can limit CPU time."""
    try:
        memberships = [line.split(":", 2)[1:] for line in (PROC / "cgroup").read_text().splitlines()]
        mounts = [line.partition(" - ") for line in (PROC / "mountinfo").read_text().splitlines()]
    except OSError:  # a system without control groups
        return
    for mount, _, file_system in mounts:
        kind, _, options = file_system.split(" ", 2)
        for controllers, path in memberships:
            version_1 = kind == "cgroup" and "cpu" in options.split(",") and "cpu" in controllers.split(",")
            if version_1 or (kind == "cgroup2" and not controllers):
                root, point = mount.split(" ")[3:5]
                own = PurePosixPath(path)
                below = own.relative_to(root) if own.is_relative_to(root) else PurePosixPath()
                yield from (Path(point) / group for group in (below, *below.parents))


def _cores(group: Path) -> float | None:
    for names in FILES:
        with suppress(OSError):  # another version, or a group without a limit of its own
            limit, period = " ".join((group / name).read_text() for name in names).split()
            return None if limit in ("max", "-1") else int(limit) / int(period)
    return None
