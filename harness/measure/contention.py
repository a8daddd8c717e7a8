"""Was anyone else on this run's cores while it trained?"""

import sys
from collections.abc import Sequence
from contextlib import suppress

import psutil

from harness.measure.clock import seconds

LIMIT = 0.05  # of the cores' time


class Contention:
    """Compares the time that the cores were busy with the time that this process and its own used.

    Needs Linux and a process that is pinned to its cores; elsewhere it cannot tell.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self.cores = cores
        self.known = sys.platform == "linux"
        self.start = (seconds(), self._busy(), self._own()) if self.known else (0.0, 0.0, 0.0)

    def others(self) -> float | None:
        """Share of the cores' time since the start that went to others, 0 … 1; None: cannot tell."""
        elapsed = seconds() - self.start[0]
        if not self.known or elapsed < 1.0:
            return None
        others = (self._busy() - self.start[1]) - (self._own() - self.start[2])
        return max(0.0, others / (elapsed * len(self.cores)))

    def _busy(self) -> float:
        times = psutil.cpu_times(percpu=True)
        return sum(
            t.user + t.nice + t.system + t.irq + t.softirq + t.steal
            for t in (times[core] for core in self.cores)
        )

    def _own(self) -> float:
        this = psutil.Process()
        times = this.cpu_times()
        used = times.user + times.system + times.children_user + times.children_system
        for process in this.children(recursive=True):
            with suppress(psutil.Error):  # it has just ended
                times = process.cpu_times()
                used += times.user + times.system
        return float(used)
