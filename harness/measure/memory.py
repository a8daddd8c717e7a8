"""The memory that this process and its children use now, and the peak."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil


def memory_bytes() -> int:
    """Resident memory now, in bytes."""
    return int(psutil.Process().memory_info().rss) + _child_bytes()


def peak_memory_bytes() -> int:
    """Peak resident memory of this process plus the memory of its children now, in bytes."""
    return _peak_bytes() + _child_bytes()


def _child_bytes() -> int:
    """The memory of all children that they do not share with this process."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            total += int(process.memory_full_info().uss)
    return total


def _peak_bytes() -> int:
    """From `VmHWM` on Linux, where `ru_maxrss` includes the peak of the parent before the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
