"""Contention: whether others, or a CPU quota, kept a run off its cores or its GPU while it trained."""

import os
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from harness.measure.clock import seconds
from harness.measure.cpu_time import cpu_seconds_of
from harness.measure.gpu_contention import GpuContention, GpuMonitor
from harness.measure.quota import quotas

MAX_OTHERS = 0.05  # of the cores' time
MIN_OTHERS = 0.03  # of the cores' time: a sweep that watches several runs uses less
MAX_SWITCHES = 50.0  # per second and core: 2 to 41 were measured alone, 54 and more beside busy processes
MAX_THROTTLED = 0.05  # of the cores' time
LOAD_MARGIN = 1.0  # above the number of cores of the machine


@dataclass(frozen=True)
class Contention:
    """What a `ContentionMonitor` measured; None where that is impossible.

    `others_share_of_cores` is the fraction of the cores' time that other processes used;
    `involuntary_switches_per_second` how often, per core, the run's processes were interrupted by others;
    `load_average` how many processes of the machine wanted a core, over the minute before the run;
    `throttled_share_of_cores` the fraction of the cores' time in which a CPU quota kept the run off them,
    None without a quota. `gpu` is what was measured on the GPU, None for a run on the CPU.
    """

    others_share_of_cores: float | None
    involuntary_switches_per_second: float | None
    load_average: float
    throttled_share_of_cores: float | None = None
    gpu: GpuContention | None = None

    @property
    def contended(self) -> bool | None:
        """Whether others used the cores or the GPU, or a CPU quota kept the run off its cores; None where
        nothing shows it and one of them is not known."""
        verdicts = [self.contended_cores, *([self.gpu.contended] if self.gpu else [])]
        return True if True in verdicts else None if None in verdicts else False

    @property
    def contended_cores(self) -> bool | None:
        """Whether other processes used the cores, or a CPU quota kept the run off them; None for a run that
        was too short to tell.

        A throttled share above `MAX_THROTTLED` suffices. Otherwise the share of the others decides, unless it
        is unknown or between `MIN_OTHERS` and `MAX_OTHERS`. Then the switches and the load decide, which also
        count the run's own threads and what ended before it.
        """
        others, switches = self.others_share_of_cores, self.involuntary_switches_per_second
        if switches is None:
            return None
        if self.throttled_share_of_cores is not None and self.throttled_share_of_cores > MAX_THROTTLED:
            return True
        if others is not None and not MIN_OTHERS < others <= MAX_OTHERS:
            return others > MAX_OTHERS
        return switches > MAX_SWITCHES or self.load_average > (os.cpu_count() or 1) + LOAD_MARGIN

    def to_mapping(self) -> dict[str, Any]:
        """The figures as plain data; those of a GPU only where there is one."""
        return {name: value for name, value in asdict(self).items() if name != "gpu" or self.gpu}


class ContentionMonitor:
    """Measures contention from its creation on.

    The share of others is the time that the cores were busy less the CPU time of this process and its
    children, and of `more` processes. It is known only on Linux, and only right for a process that is pinned
    to these cores. Of a run on a GPU its monitor contributes what it measures.
    """

    def __init__(
        self,
        cores: Sequence[int],
        more: Sequence[psutil.Process] = (),
        gpu: GpuMonitor | None = None,
    ) -> None:
        self.cores, self.more, self.gpu = cores, more, gpu
        self.share_known = sys.platform == "linux"
        self.load_average = os.getloadavg()[0]
        self.switches = _switches()
        self.throttled = _throttled()
        self.start = (seconds(), self._busy(), self._own()) if self.share_known else (seconds(), 0.0, 0.0)

    def result(self, *, ended: bool = False) -> Contention:
        """The contention since the start; without share and switches during the first second. `ended`: the
        run computes no more, so that the GPU is watched for a moment without it."""
        cores = self._of_cores()
        return replace(cores, gpu=self.gpu.result(ended=ended)) if self.gpu else cores

    def _of_cores(self) -> Contention:
        elapsed = self.elapsed
        if elapsed < 1.0:
            return Contention(None, None, self.load_average)
        rate = (_switches() - self.switches) / (elapsed * len(self.cores))
        others = self.others()
        share = None if others is None else others / len(self.cores)
        since = [
            now - self.throttled[group] for group, now in _throttled().items() if group in self.throttled
        ]
        throttled = min(1.0, max(since) / (elapsed * len(self.cores))) if since else None
        return Contention(share, max(0.0, rate), self.load_average, throttled)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return seconds() - self.start[0]

    def others(self) -> float | None:
        """How many of the cores others have kept busy since the start, on average; None where that is not
        known."""
        if not self.share_known:
            return None
        busy, own = self._busy() - self.start[1], self._own() - self.start[2]
        return max(0.0, busy - own) / self.elapsed

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
        return float(own + cpu_seconds_of([*this.children(recursive=True), *self.more]))


def _throttled() -> dict[Path, float]:
    """How long each CPU quota has kept its control group off the cores so far, in seconds."""
    known = ((quota.group, quota.throttled_seconds()) for quota in quotas())
    return {group: throttled for group, throttled in known if throttled is not None}


def _switches() -> int:
    """Involuntary context switches so far, of this process and of its children's main threads."""
    count = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            count += process.num_ctx_switches().involuntary
    return count
