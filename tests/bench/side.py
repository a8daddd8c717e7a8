"""The process of one side: `python -m tests.bench.side EVENTS_FD`.

Lines of JSON come in on standard input, first what it is to be, then for each window how many updates to
make; lines of JSON go out on EVENTS_FD, first that it is ready, then each window's seconds. Between two
windows it waits, asleep. When standard input ends, so does it.
"""

import json
import math
import os
import sys
import time
from importlib import import_module
from typing import Any

from harness.measure.clock import seconds
from tests.bench.task import Side, Task

PAUSE_SECONDS = 0.1  # by then the threads of the side before look for work no more: OpenBLAS takes 50 ms


def main() -> None:
    events_fd = int(sys.argv[1])
    os.set_inheritable(events_fd, False)
    job = json.loads(sys.stdin.readline())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    with os.fdopen(events_fd, "w", encoding="utf-8") as events:

        def emit(**event: Any) -> None:
            events.write(json.dumps(event) + "\n")
            events.flush()

        module = import_module(f"tests.bench.sides.{job['side']}")
        side = module.open_side(Task(**job["task"]), **job["parameters"])
        updates = warmed_up(side, job["window_seconds"])
        emit(updates=updates, flops_per_update=side.flops, facts=dict(side.facts), process=os.getpid())
        for _ in sys.stdin:
            time.sleep(PAUSE_SECONDS)
            side.window(1)  # brings its threads and caches back
            emit(seconds=timed(side, updates))
    sys.stdout.flush()
    os._exit(0)  # the frameworks' own farewells take long


def timed(side: Side, updates: int) -> float:
    start = seconds()
    side.window(updates)
    return seconds() - start


def warmed_up(side: Side, at_least: float) -> int:
    """Updates of a window of at least so many seconds, by the fastest seen after everything is compiled."""
    side.window(1)
    each = min(timed(side, 1) for _ in range(3))
    while True:
        updates = max(side.least, math.ceil(at_least / each))
        each = min(each, timed(side, updates) / updates)
        if updates * each >= at_least:
            return updates


if __name__ == "__main__":
    main()
