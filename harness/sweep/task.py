"""One run of a sweep, and what is known of it, as plain data."""

import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil

from harness.config.schema import Config
from harness.launcher.titles import title_of
from harness.measure.clock import now
from harness.sweep.pruning import SearchTrial


@dataclass(frozen=True)
class Task:
    """One run of a sweep, as it is handed to another process: plain data.

    `directory` is the sweep's, None for a run that is no part of one; `cwd` is what relative paths of the
    configuration are relative to; `trial` is its place in a search that prunes.
    """

    number: int
    config: dict[str, Any]
    command: str
    directory: str | None
    cwd: str
    trial: SearchTrial | None = None


@dataclass(frozen=True)
class RunStatus:
    """What is known of one run of a sweep; `status` is None as long as it goes on."""

    number: int
    title: str
    command: str
    config: dict[str, Any]
    host: str = ""
    pid: int = 0
    process_started: float = 0.0
    started: str = ""
    key: str | None = None
    threads: int = 0
    doing: str = "starting"
    milestone: bool = True  # worth a line where nothing moves
    status: str | None = None
    reason: str | None = None
    reused: bool = False
    could_start: bool = True
    seconds: float | None = None  # without waiting for cores
    result: str = ""  # in one line
    record: str | None = None  # the path or URL of its record
    value: float | None = None  # of the sweep's objective
    worst: bool = False  # no value, and none is worse

    @staticmethod
    def fresh(task: Task) -> "RunStatus":
        """Of a run that this process begins now."""
        process = psutil.Process()
        return replace(
            RunStatus.expected(task),
            host=socket.gethostname(),
            pid=process.pid,
            process_started=process.create_time(),
            started=now().isoformat(),
        )

    @staticmethod
    def expected(task: Task) -> "RunStatus":
        """Of a run that nobody has begun yet."""
        return RunStatus(task.number, title_of(Config.from_mapping(task.config)), task.command, task.config)

    @property
    def alive(self) -> bool:
        """Whether its process may still be there; only of this machine's is anything known."""
        if self.host != socket.gethostname():
            return False
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_started) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False
