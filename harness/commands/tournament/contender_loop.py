"""The main loop of a contender's process: `python -m MODULE EVENTS_FD`, where MODULE calls `serve`.

The parent writes lines of JSON to standard input: first the job, then one line to request each window. The
child writes lines of JSON to EVENTS_FD: first its properties when it is ready, then the seconds of each
window, as soon as all of its threads are asleep. Between windows it blocks on standard input, and it exits
when that is closed.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from harness.errors import HarnessError
from harness.measure.clock import cpu_seconds, seconds, sleep
from harness.measure.cpu_time import cpu_seconds_of
from harness.runner.end_status import status_of

# Threads keep looking for work for a while, OpenMP's for up to 0.2 s. A process that uses less than this
# share of a core during one poll is asleep. One that is awake after the timeout never sleeps, and is reported
POLL_SECONDS = 0.02
ASLEEP_SHARE = 0.05
ASLEEP_TIMEOUT_SECONDS = 0.5

Updates = Callable[[int], float]  # a number of updates -> the seconds that they took


@dataclass(frozen=True)
class BuiltContender:
    """A contender that is ready to be timed.

    `run_updates` runs and times updates, `minimum_updates` is the length of the shortest window that is fair
    to this contender, `properties` is what it reports about itself.
    """

    run_updates: Updates
    minimum_updates: int
    properties: Mapping[str, Any]


def serve(build: Callable[[dict[str, Any]], BuiltContender]) -> None:
    """Builds the contender that the job describes (it has at least `cores` and `window_seconds`), and times
    one window on each request.

    The message of a HarnessError is sent as `failed`, with the status of a run that it ends; any other
    exception ends the process.
    """
    events_fd = int(sys.argv[1])
    os.set_inheritable(events_fd, False)
    job = json.loads(sys.stdin.readline())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    with os.fdopen(events_fd, "w", encoding="utf-8") as events:

        def send(**event: Any) -> None:
            events.write(json.dumps(event) + "\n")
            events.flush()

        try:
            contender = build(job)
            updates, update_seconds = calibrate(contender, job["window_seconds"])
            processes = ProcessTree()
            processes.wait_until_asleep()
            send(
                updates=updates,
                window_seconds=updates * update_seconds,
                process=os.getpid(),
                **contender.properties,
            )
            for _ in sys.stdin:
                contender.run_updates(1)  # wakes the threads and fills the caches again
                window_seconds = contender.run_updates(updates)
                processes.wait_until_asleep()
                send(seconds=window_seconds)
        except HarnessError as error:
            send(failed=str(error), status=status_of(error))
    sys.stdout.flush()
    os._exit(0)  # the frameworks take long to shut down


def calibrate(contender: BuiltContender, minimum_seconds: float) -> tuple[int, float]:
    """The number of updates in a window of at least `minimum_seconds`, and the seconds of one update: the
    shortest seen once everything is compiled."""
    contender.run_updates(1)
    update_seconds = min(contender.run_updates(1) for _ in range(3))
    while True:
        updates = max(contender.minimum_updates, math.ceil(minimum_seconds / update_seconds))
        update_seconds = min(update_seconds, contender.run_updates(updates) / updates)
        if updates * update_seconds >= minimum_seconds:
            return updates, update_seconds


class ProcessTree:
    """This process and the descendants that it has when this is created."""

    def __init__(self) -> None:
        self.descendants = psutil.Process().children(recursive=True)

    def wait_until_asleep(self) -> None:
        """Waits until no thread computes, or ASLEEP_TIMEOUT_SECONDS are over."""
        end, used_now = seconds() + ASLEEP_TIMEOUT_SECONDS, self._cpu_seconds()
        while seconds() < end:
            sleep(POLL_SECONDS)
            used_before, used_now = used_now, self._cpu_seconds()
            if used_now - used_before < ASLEEP_SHARE * POLL_SECONDS:
                return

    def _cpu_seconds(self) -> float:
        return cpu_seconds() + cpu_seconds_of(self.descendants)
