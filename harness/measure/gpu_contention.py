"""Contention on a GPU: whether other processes computed on it around a run, and while it trained.

The run cannot tell its own part of the GPU's utilisation from that of others, except while it is idle: before
it first computes, and after its last synchronisation. In between, the driver tells the utilisation of each
process, but in a container it may give the numbers that processes have outside, or none; it is believed only
where this process is among them.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import psutil

from harness.errors import Unavailable
from harness.measure.clock import now, seconds, sleep
from harness.measure.nvml import Device

MAX_OTHERS = 0.05  # of the time
FADE_SECONDS = 2.0  # two of the longest sample periods: then the run's own work is in none of them
PAUSE_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class GpuContention:
    """What a `GpuMonitor` measured; None for what the driver does not tell, with the reasons in `not_told`.

    `utilisation_before`, `utilisation_after`: the share of a sample period in which any process computed on
    the GPU while the run did not. `others_share`: the share of the multiprocessors' time that other processes
    used, as far as the driver's samples go back. `other_processes`: how many could compute on it.
    """

    utilisation_before: float | None
    utilisation_after: float | None
    others_share: float | None
    other_processes: int | None
    not_told: dict[str, str] = field(default_factory=dict)

    @property
    def contended(self) -> bool | None:
        """Whether others computed on the GPU at either end or in between; None where nothing is known. A
        process that only holds memory does not count."""
        shares = (self.utilisation_before, self.utilisation_after, self.others_share)
        known = [share for share in shares if share is not None]
        return any(share > MAX_OTHERS for share in known) if known else None


class GpuMonitor:
    """Watches a GPU, by its name in CUDA_VISIBLE_DEVICES, from its creation on: before the run computes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.not_told: dict[str, str] = {}
        self.began = now().timestamp()
        self.before = self._ask("utilisation_before", utilisation_when_idle)
        self.states = {"before": self._state()}

    def result(self, *, ended: bool) -> GpuContention:
        """The contention so far; once the run has `ended` its computing also the utilisation after it, for
        which it waits until the run's own work has left the driver's sample period."""
        if ended:
            self.states["after"] = self._state()
        share = self._ask("others_share", self._others_share)  # before the wait: then the run is in no sample
        count = self._ask("other_processes", lambda device: len(others(device.processes())))
        after = self._ask("utilisation_after", utilisation_when_idle) if ended else None
        return GpuContention(self.before, after, share, count, self.not_told)

    def _state(self) -> dict[str, object]:
        try:
            return Device(self.name).state()
        except Unavailable as error:
            return {"reason": str(error)}

    def _others_share(self, device: Device) -> float:
        used = device.utilisation_by_process(self.began)
        return sum(used[pid] for pid in others(set(used)))

    def _ask(self, name: str, question: Callable[[Device], T]) -> T | None:
        self.not_told.pop(name, None)
        try:
            return question(Device(self.name))
        except Unavailable as error:
            self.not_told[name] = str(error)
            return None


def utilisation_when_idle(device: Device) -> float:
    """The utilisation by others while this process computes nothing; what it did just before is waited for.
    Raises Unavailable."""
    end = seconds() + FADE_SECONDS
    while (share := device.utilisation()) > MAX_OTHERS and seconds() < end:
        sleep(PAUSE_SECONDS)
    return share


def others(processes: set[int]) -> set[int]:
    """Those of the processes that are neither this one nor started by it. Raises Unavailable where none is:
    the numbers are then those of another process namespace."""
    own = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    if own.isdisjoint(processes):
        raise Unavailable("the driver does not list this process")
    return processes - own
