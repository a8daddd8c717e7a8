"""The memory that this process holds, and the most that it has held; its own processes included."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil


def memory_bytes() -> int:
    """Resident memory now, in bytes."""
    return int(psutil.Process().memory_info().rss) + _alone()


def peak_memory_bytes() -> int:
    """Peak resident memory of this process, and what its processes hold now, in bytes."""
    return _peak() + _alone()


def _alone() -> int:
    """What the processes that this one started hold for themselves: what they share is counted here."""
    found = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            found += int(process.memory_full_info().uss)
    return found


def _peak() -> int:
    """On Linux from `VmHWM`, which belongs to this program alone: `ru_maxrss` also remembers the parent
    that it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
