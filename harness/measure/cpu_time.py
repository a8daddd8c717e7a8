"""What processes have used of the processors."""

from collections.abc import Iterable
from contextlib import suppress

import psutil


def used(processes: Iterable[psutil.Process]) -> float:
    """Seconds so far, of all their threads; of a process that has just ended none."""
    found = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            found += times.user + times.system
    return found


def used_with_children(pid: int) -> float:
    """Those of a process and all that it started and that are there."""
    try:
        process = psutil.Process(pid)
        return used((process, *process.children(recursive=True)))
    except psutil.Error:
        return 0.0
