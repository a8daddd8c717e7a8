"""What the process of one side does: `python -m MODULE EVENTS_FD`, where MODULE calls `serve`.

Lines of JSON come in on standard input, first what it is to be, then one for each window; lines of JSON go
out on EVENTS_FD, first that it is ready, then each window's seconds, as soon as all of its threads sleep.
Between two windows it waits, asleep. When standard input ends, so does it.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from harness.errors import HarnessError
from harness.measure.cpu_time import used

# Threads look for work for a while after there is none, OpenMP's for up to 0.2 s. What sleeps takes less than
# this share of a core in every look; whoever is not asleep by then never will be, which the race says
LOOK_SECONDS = 0.02
ASLEEP_SHARE = 0.05
PATIENCE_SECONDS = 0.5

Work = Callable[[int], float]  # so many updates -> the seconds that they took


@dataclass(frozen=True)
class Offer:
    """A side that is built: its work, the fewest updates of a window that is fair to it, and what it
    tells."""

    work: Work
    least: int
    facts: Mapping[str, Any]


def serve(build: Callable[[dict[str, Any]], Offer]) -> None:
    """Builds the side that the first line describes (with at least `cores` and `window_seconds`), and takes
    turns.

    A HarnessError is told by its message, as `failed`; any other exception ends the process.
    """
    events_fd = int(sys.argv[1])
    os.set_inheritable(events_fd, False)
    job = json.loads(sys.stdin.readline())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    with os.fdopen(events_fd, "w", encoding="utf-8") as events:

        def emit(**event: Any) -> None:
            events.write(json.dumps(event) + "\n")
            events.flush()

        try:
            offer = build(job)
            updates, each = warmed_up(offer, job["window_seconds"])
            own = Own()
            own.asleep()
            emit(updates=updates, window_seconds=updates * each, process=os.getpid(), **offer.facts)
            for _ in sys.stdin:
                offer.work(1)  # brings its threads and caches back
                taken = offer.work(updates)
                own.asleep()
                emit(seconds=taken)
        except HarnessError as error:
            emit(failed=str(error))
    sys.stdout.flush()
    os._exit(0)  # the frameworks' own farewells take long


def warmed_up(offer: Offer, at_least: float) -> tuple[int, float]:
    """Updates of a window of at least so many seconds, and the seconds of one, by the fastest seen after
    everything is compiled."""
    offer.work(1)
    each = min(offer.work(1) for _ in range(3))
    while True:
        updates = max(offer.least, math.ceil(at_least / each))
        each = min(each, offer.work(updates) / updates)
        if updates * each >= at_least:
            return updates, each


class Own:
    """This process and those that it has started by now."""

    def __init__(self) -> None:
        self.children = psutil.Process().children(recursive=True)

    def asleep(self) -> None:
        """Waits until all their threads are."""
        end, now = time.perf_counter() + PATIENCE_SECONDS, self._cpu()
        while time.perf_counter() < end:
            time.sleep(LOOK_SECONDS)
            before, now = now, self._cpu()
            if now - before < ASLEEP_SHARE * LOOK_SECONDS:
                return

    def _cpu(self) -> float:
        return time.process_time() + used(self.children)
