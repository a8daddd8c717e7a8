"""How often a thread of PyTorch's looks whether the others are at a barrier before it sleeps.

The default of libgomp is 300,000 times. Where another process keeps one of two cores busy, a thread then
mostly waits for one that has no core, and a GRU trains a hundred times slower; with 1,000 twice. On cores of
its own it loses a sixth of its speed with 1,000, some per cent with 10,000: tests/bench/spinning.py.
"""

import os
from collections.abc import Sequence

import psutil

from harness.config import catalogue
from harness.config.schema import Config
from harness.measure.clock import sleep
from harness.measure.contention import ContentionMonitor
from harness.runner.protocol import Update

NAME = "GOMP_SPINCOUNT"
ALONE, SHARED = "100000", "1000"
MAX_OTHERS = 0.4  # of a core, kept busy by others: a process that computes takes half of one at least
LEAST_SECONDS = 0.3  # the system counts in hundredths


def monitor(cores: Sequence[int]) -> ContentionMonitor:
    """To be made when the run begins. What the launcher does meanwhile counts as the run's own."""
    return ContentionMonitor(cores, more=list(filter(None, [psutil.Process().parent()])))


def settle(config: Config, others: ContentionMonitor) -> Update:
    """Sets the count by what others have done to the cores since the run began; to be called before
    PyTorch is imported, which reads it once. Nothing is set where nothing waits in libgomp."""
    if not catalogue.waits_in_libgomp(config.backend.name, config.backend.engine):
        return Update()
    sleep(max(0.0, LEAST_SECONDS - others.elapsed))
    os.environ[NAME] = SHARED if (others.others() or 0.0) > MAX_OTHERS else ALONE
    return Update(details={"spin_count": int(os.environ[NAME])})
