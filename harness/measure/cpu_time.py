"""The CPU time of other processes."""

from collections.abc import Iterable
from contextlib import suppress

import psutil


def cpu_seconds_of(processes: Iterable[psutil.Process]) -> float:
    """The CPU seconds that all threads of these processes have used; 0 for a process that has ended."""
    seconds = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


def cpu_seconds_with_children(pid: int) -> float:
    """The CPU seconds of a process and of all its descendants that are still running."""
    try:
        process = psutil.Process(pid)
        return cpu_seconds_of((process, *process.children(recursive=True)))
    except psutil.Error:
        return 0.0
