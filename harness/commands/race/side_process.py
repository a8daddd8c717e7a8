"""A side's process, from the outside."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.text import exit_description, one_line

PATIENCE_SECONDS = 60.0  # for a window, beyond twenty times what it takes undisturbed


class SideFailed(HarnessError):
    """A side's process ended, said that it cannot, or does not answer; says with what last words."""


class Contender:
    """Builds its side and warms it up as soon as it is made, in a process group of its own. Use as a context:
    the group is gone at its end."""

    def __init__(
        self, module: str, job: Mapping[str, Any], env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        """`module` calls `turns.serve`; the job is what that takes."""
        read, write = os.pipe()
        self.patience: float | None = None
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  closed at the end of the context
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(write)],
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
        self._say(json.dumps(job))

    def ready(self) -> dict[str, Any]:
        """Waits for it: the updates and seconds of a window, its process, and what the side tells of itself.

        Raises SideFailed.
        """
        found = self._heard()
        self.patience = PATIENCE_SECONDS + 20 * found["window_seconds"]
        return found

    def window(self) -> float:
        """The seconds of one window; raises SideFailed."""
        self._say("go")
        return float(self._heard()["seconds"])

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.events.close()
        self.log.close()
        with suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone: the end of its events says so
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def _heard(self) -> dict[str, Any]:
        """Its next event. One is never written before it was asked for, so the pipe alone says that it is
        there."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.events, selectors.EVENT_READ)
            if not selector.select(self.patience):
                raise SideFailed(f"no answer for {self.patience:.0f} s")
        line = self.events.readline()
        if line:
            event: dict[str, Any] = json.loads(line)
            if "failed" in event:
                raise SideFailed(event["failed"])
            return event
        code = self.process.wait()
        how = exit_description(code).removeprefix("ended with ").removeprefix("ended by ")
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip().splitlines()
        raise SideFailed(f"{how}: {one_line(said[-1]) if said else 'no output'}")
