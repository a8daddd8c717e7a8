"""The process of a contender, as its parent controls it."""

import json
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from harness.errors import HarnessError
from harness.launcher.process import python_command
from harness.runner import out_of_memory
from harness.text import exit_description, one_line

WINDOW_TIMEOUT_SECONDS = 60.0  # added to twenty times the undisturbed duration of a window


class ContenderFailed(HarnessError):
    """The process of a contender ended, reported an error or does not answer.

    The message is its error, or how it ended and its last line of output; `status` is the one that a run
    would have ended with.
    """

    def __init__(self, reason: str, status: str) -> None:
        super().__init__(reason)
        self.status = status


class ContenderProcess:
    """A child process that builds its contender and warms it up as soon as it starts. Use as a context
    manager: at the end its whole process group is killed."""

    def __init__(
        self, module: str, job: Mapping[str, Any], env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        """`module` calls `contender_loop.serve`, which reads the job."""
        read, write = os.pipe()
        self.timeout_seconds: float | None = None
        self.tree: list[psutil.Process] = []  # this process and its descendants, once it is ready
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  closed at the end of the context
        try:
            self.process = subprocess.Popen(
                python_command(module, str(write)),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                start_new_session=True,
                env=dict(env),
            )
        finally:
            os.close(write)
        self.events = os.fdopen(read, encoding="utf-8")
        self._send(json.dumps(job))

    def wait_until_ready(self) -> dict[str, Any]:
        """Returns the updates and seconds of a window, the process id, and the properties of the contender.

        Raises ContenderFailed.
        """
        properties = self._receive()
        leader = psutil.Process(self.process.pid)
        self.tree = [leader, *leader.children(recursive=True)]
        self.timeout_seconds = WINDOW_TIMEOUT_SECONDS + 20 * properties["window_seconds"]
        return properties

    def time_window(self) -> float:
        """Lets the contender compute one window and returns its seconds; raises ContenderFailed."""
        self._send("go")
        return float(self._receive()["seconds"])

    def __enter__(self) -> "ContenderProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills the whole process group, once."""
        if self.events.closed:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.events.close()
        self.log.close()
        with suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # the child has ended, which `_receive` reports
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        """The next event. The child writes only when asked, so no event can wait in the reader's buffer and
        polling the pipe is enough."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.events, selectors.EVENT_READ)
            if not selector.select(self.timeout_seconds):
                raise ContenderFailed(f"no answer for {self.timeout_seconds:.0f} s", "timeout")
        line = self.events.readline()
        if line:
            event: dict[str, Any] = json.loads(line)
            if "failed" in event:
                raise ContenderFailed(event["failed"], event["status"])
            return event
        code = self.process.wait()
        how = exit_description(code).removeprefix("ended with ").removeprefix("ended by ")
        self.log.seek(0)
        output = self.log.read().decode(errors="replace").strip()
        last = one_line(output.splitlines()[-1]) if output else "no output"
        status = "out_of_memory" if out_of_memory.matches(output) else "crashed" if code < 0 else "failed"
        raise ContenderFailed(f"{how}: {last}", status)
