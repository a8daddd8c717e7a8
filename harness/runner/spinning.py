"""How often a thread of PyTorch's looks whether the others are at a barrier before it sleeps.

The default of libgomp is 300,000 times. Where another process keeps one of two cores busy, a thread then
mostly waits for one that has no core, and a GRU trains a hundred times slower; with 1,000 twice. On cores of
its own it loses a sixth of its speed with 1,000, some per cent with 10,000: tests/bench/spinning.py.
"""

import os

from harness.config import catalogue
from harness.config.schema import Config
from harness.measure.clock import sleep
from harness.measure.contention import ContentionMonitor
from harness.runner.protocol import Update

NAME = "GOMP_SPINCOUNT"
ALONE, SHARED = "100000", "1000"
MAX_OTHERS = 0.3  # of a core, kept busy by others
LEAST_SECONDS = 0.2  # the system counts in hundredths


def settle(config: Config, monitor: ContentionMonitor) -> Update:
    """Sets the count by what others have done to the cores since the monitor began; to be called before
    PyTorch is imported, which reads it once. Nothing is set where nothing waits in libgomp."""
    if not catalogue.waits_in_libgomp(config.backend.name, config.backend.engine):
        return Update()
    sleep(max(0.0, LEAST_SECONDS - monitor.elapsed))
    os.environ[NAME] = SHARED if (monitor.others() or 0.0) > MAX_OTHERS else ALONE
    return Update(details={"spin_count": int(os.environ[NAME])})
