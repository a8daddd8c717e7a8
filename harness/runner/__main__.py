"""The process that one run has to itself: `python -m harness.runner EVENTS_FD`.

The job comes as one line of JSON on standard input, which the launcher then keeps open: a byte of it answers
an event that waits for one, and when it ends, the launcher is gone, and so are this process and those that
it started. Events go out as lines of JSON on EVENTS_FD. Whatever is printed, by us or a framework, goes to
the output file.
"""

import json
import os
import signal
import sys
import threading
import traceback
from typing import Any

from harness.measure.clock import seconds


def main() -> None:
    events_fd = int(sys.argv[1])
    os.set_inheritable(events_fd, False)
    values = json.loads(_first_line())
    answers = threading.Semaphore(0)
    threading.Thread(target=_listen, args=(answers,), daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, values["cores"])

    with os.fdopen(events_fd, "w", encoding="utf-8") as events:

        def emit(event: str, **content: Any) -> None:
            if event == "phase":
                content["at"] = seconds()
            events.write(json.dumps({"event": event, **content}) + "\n")
            events.flush()
            if event == "checkpoint":
                answers.acquire()

        emit("phase", name="imports")
        emit("end", **_run(values, emit))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the frameworks' own farewells take long, and some crash


def _first_line() -> bytes:
    """Unbuffered, so that nothing holds standard input when this process ends."""
    with os.fdopen(0, "rb", buffering=0, closefd=False) as stdin:
        return stdin.readline()


def _run(values: dict[str, Any], emit: Any) -> dict[str, Any]:
    """Makes the run; how it ended, in the words of the record."""
    from harness import errors
    from harness.runner import out_of_memory, run
    from harness.runner.protocol import Job
    from harness.text import one_line

    refused = {
        errors.Unavailable: "skipped",
        errors.ConfigError: "failed",
        errors.DataError: "failed",
        errors.WeightsError: "failed",
        errors.Diverged: "diverged",
        errors.ParityFailed: "parity_failed",
        errors.StoreError: "failed",
    }
    try:
        run.run(Job.from_mapping(values), emit)
    except errors.HarnessError as error:
        started = isinstance(error, errors.Diverged | errors.ParityFailed | errors.StoreError)
        return {"status": refused.get(type(error), "failed"), "reason": str(error), "could_start": started}
    except errors.WorkerDied as error:  # a run ends as one, whichever of its processes does
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        if error.code < 0:
            os.kill(os.getpid(), -error.code)
        os._exit(error.code)
    except Exception as error:  # noqa: BLE001  the run's own failure, whatever it is, is its result
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        memory = isinstance(error, MemoryError) or out_of_memory.says_so(said)
        return {
            "status": "out_of_memory" if memory else "failed",
            "reason": one_line(said),
            "could_start": True,
        }
    return {"status": "ok", "reason": None, "could_start": True}


def _listen(answers: threading.Semaphore) -> None:
    while os.read(0, 1):
        answers.release()
    os.kill(0, signal.SIGKILL)  # the group that the launcher has put it in, which nobody else will end


if __name__ == "__main__":
    main()
