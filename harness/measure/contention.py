"""Was anyone else on this run's cores while it trained?"""

import os
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from harness.measure.clock import seconds
from harness.measure.cpu_time import used

OTHERS_LEVEL = 0.05  # of the cores' time
SWITCHES_LEVEL = 50.0  # a second and core: alone it was 2 to 41, beside others that compute 54 and more
OWN_LEVEL = 0.03  # of the cores' time: less is what a sweep takes that watches several runs at once
LOAD_MARGIN = 1.0  # beyond the machine's cores


@dataclass(frozen=True)
class Contended:
    """What was found, None where it cannot be told.

    `others_share_of_cores` is the share of the cores' time that went to others, 0 … 1;
    `involuntary_switches_per_second` how often, per core, the run's processes had to leave a core they still
    had work for; `load_average` how many processes of the machine wanted a core, over the minute before.
    """

    others_share_of_cores: float | None
    involuntary_switches_per_second: float | None
    load_average: float

    @property
    def verdict(self) -> bool | None:
        """Whether others were there; None of a run too short to tell.

        Their share decides where it is known and clear. Where it is small or unknown, so do interruptions and
        the load, which also count the run's own threads and what was over before it began.
        """
        others, switches = self.others_share_of_cores, self.involuntary_switches_per_second
        if switches is None:
            return None
        if others is not None and not OWN_LEVEL < others <= OTHERS_LEVEL:
            return others > OTHERS_LEVEL
        return switches > SWITCHES_LEVEL or self.load_average > (os.cpu_count() or 1) + LOAD_MARGIN


class Contention:
    """Compares the time that the cores were busy with the time that this process and its own used, and
    counts how often they were put off a core.

    The former needs Linux and a process that is pinned to its cores.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self.cores = cores
        self.known = sys.platform == "linux"
        self.load_average = os.getloadavg()[0]
        self.switches = _switches()
        self.start = (seconds(), self._busy(), self._own()) if self.known else (seconds(), 0.0, 0.0)

    def found(self) -> Contended:
        """Since the start; shares and rates only of a second and more."""
        elapsed = seconds() - self.start[0]
        if elapsed < 1.0:
            return Contended(None, None, self.load_average)
        rate = (_switches() - self.switches) / (elapsed * len(self.cores))
        others = None
        if self.known:
            others = (self._busy() - self.start[1]) - (self._own() - self.start[2])
            others = max(0.0, others / (elapsed * len(self.cores)))
        return Contended(others, max(0.0, rate), self.load_average)

    def _busy(self) -> float:
        times = psutil.cpu_times(percpu=True)
        return sum(
            t.user + t.nice + t.system + t.irq + t.softirq + t.steal
            for t in (times[core] for core in self.cores)
        )

    def _own(self) -> float:
        this = psutil.Process()
        times = this.cpu_times()
        own = times.user + times.system + times.children_user + times.children_system
        return float(own + used(this.children(recursive=True)))


def _switches() -> int:
    """Involuntary context switches so far: of all threads of this process, and of the main threads of those
    that it started."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            found += process.num_ctx_switches().involuntary
    return found
