"""The process that one run has to itself: `python -m harness.runner MESSAGES_FD`.

The job comes as one line of JSON on standard input, which the launcher then keeps open: a byte on it answers
a message that waits for an answer; its end means that the launcher is gone, and then this process and those
that it started end too. Messages go out on MESSAGES_FD, see `harness.runner.protocol`. Whatever is printed
goes to the output file.
"""

import json
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from harness.measure.clock import seconds

if TYPE_CHECKING:
    from harness.runner.protocol import Emit, End


def main() -> None:
    began = seconds()
    messages_fd = int(sys.argv[1])
    os.set_inheritable(messages_fd, False)
    job = json.loads(_first_line())
    answers = threading.Semaphore(0)
    threading.Thread(target=_listen, args=(answers,), daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])

    from harness.runner.protocol import CheckpointWritten, Message, Phase, encode

    with os.fdopen(messages_fd, "w", encoding="utf-8") as messages:

        def emit(message: Message) -> None:
            messages.write(encode(message) + "\n")
            messages.flush()
            if isinstance(message, CheckpointWritten):
                answers.acquire()

        emit(Phase("imports", began))
        emit(_run(job, emit))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the frameworks' own clean-up takes long, and sometimes crashes


def _first_line() -> bytes:
    """Unbuffered, so that nothing holds standard input when this process ends."""
    with os.fdopen(0, "rb", buffering=0, closefd=False) as stdin:
        return stdin.readline()


def _run(job: dict[str, Any], emit: "Emit") -> "End":
    """Makes the run; how it ended, as the record says it."""
    from harness import errors
    from harness.runner import out_of_memory, run
    from harness.runner.end_status import status_of
    from harness.runner.protocol import End, Job
    from harness.text import one_line

    try:
        run.run(Job.from_mapping(job), emit)
    except errors.HarnessError as error:
        started = isinstance(error, errors.Diverged | errors.ParityFailed | errors.StoreError)
        return End(status_of(error), str(error), could_start=started)
    except errors.WorkerDied as error:  # a run ends the way that any of its processes does
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        if error.code < 0:
            os.kill(os.getpid(), -error.code)
        os._exit(error.code)
    except Exception as error:  # noqa: BLE001  whatever goes wrong in a run is that run's result
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
        memory = isinstance(error, MemoryError) or out_of_memory.matches(text)
        return End("out_of_memory" if memory else "failed", one_line(text), could_start=True)
    return End("ok", None, could_start=True)


def _listen(answers: threading.Semaphore) -> None:
    """In a thread: releases one waiting message per byte, and ends this process group with the launcher."""
    while os.read(0, 1):
        answers.release()
    os.kill(0, signal.SIGKILL)  # the launcher put this process into a group of its own


if __name__ == "__main__":
    main()
