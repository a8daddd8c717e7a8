"""The memory that this process holds, and the most that it has held."""

import resource
import sys
from pathlib import Path

import psutil


def memory_bytes() -> int:
    """Resident memory of this process now, in bytes."""
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int:
    """Peak resident memory of this process in bytes.

    On Linux from `VmHWM`, which belongs to this program alone: `ru_maxrss` also remembers the parent
    that it was forked from.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
