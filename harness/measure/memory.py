"""The most memory that this process has held."""

import resource
import sys
from pathlib import Path


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
