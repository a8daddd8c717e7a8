"""A side of the stage `speed`, which takes one task after the other: `python -m tests.gpu.side FD`.

As in `harness.commands.tournament.contender_loop`, the parent writes lines of JSON to standard input and this
process answers each by one line to FD. `build` makes the side of a task, `calibrate` chooses how many updates
a window has, `window` times one; what a side cannot do is its answer's `error`.
"""

import gc
import json
import os
import sys
from typing import Any

from harness.commands.tournament.contender_loop import BuiltContender, ProcessTree, calibrate
from harness.errors import HarnessError
from harness.text import error_line
from tests.bench import side


class Server:
    """The side of the present task."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.contender: BuiltContender | None = None
        self.updates = 0
        self.processes = ProcessTree()

    def build(self, task: dict[str, Any]) -> dict[str, Any]:
        """Lets the task before go first: its data and graphs are on the device."""
        self.contender = None
        gc.collect()
        self.contender = side.build({**self.job, "task": task})
        return dict(self.contender.properties)

    def calibrate(self, window_seconds: float) -> dict[str, Any]:
        assert self.contender is not None
        self.updates, update_seconds = calibrate(self.contender, window_seconds)
        self.processes = ProcessTree()
        self.processes.wait_until_asleep()
        return {"updates": self.updates, "window_seconds": self.updates * update_seconds}

    def window(self) -> dict[str, Any]:
        assert self.contender is not None
        self.contender.run_updates(1)  # wakes the threads and fills the caches again
        seconds = self.contender.run_updates(self.updates)
        self.processes.wait_until_asleep()
        return {"seconds": seconds}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is asked for, or an `error`; a broken task does not end the process."""
        try:
            found: dict[str, Any] = getattr(self, request.pop("do"))(**request)
        except HarnessError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001  a kernel or a compiler that fails
            return {"error": error_line(error)}
        return found


def main() -> None:
    events_fd = int(sys.argv[1])
    os.set_inheritable(events_fd, False)
    server = Server(json.loads(sys.stdin.readline()))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, server.job["cores"])
    with os.fdopen(events_fd, "w", encoding="utf-8") as events:
        for line in sys.stdin:
            events.write(json.dumps(server.answer(json.loads(line))) + "\n")
            events.flush()
    sys.stdout.flush()
    os._exit(0)  # the frameworks take long to shut down


if __name__ == "__main__":
    main()
