"""One run of a sweep, before it starts (`Task`) and afterwards (`RunStatus`), as JSON."""

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
    """One run with its validated configuration; other processes receive it pickled.

    `directory` is that of the sweep's status files, None for a run that is not part of a sweep. `cwd` is what
    paths of the configuration are relative to. `trial` is None outside a search that prunes. `place` is the
    run's in the order of the sweep, as `details.sweep` of its record; None for a run that is not part of one.
    """

    number: int
    config: Config
    command: str
    directory: str | None
    cwd: str
    trial: SearchTrial | None = None
    place: dict[str, Any] | None = None


@dataclass(frozen=True)
class RunStatus:
    """How a run is going or how it ended, the content of a status file. `status` is None until it ends."""

    number: int
    title: str
    command: str
    config: dict[str, Any]
    place: dict[str, Any] | None = None
    host: str = ""
    pid: int = 0
    process_started: float = 0.0
    started: str = ""
    key: str | None = None
    threads: int = 0
    doing: str = "starting"
    milestone: bool = True  # worth a plain line of its own
    training: bool = False  # `doing` is the progress of training
    status: str | None = None
    reason: str | None = None
    reused: bool = False
    could_start: bool = True
    seconds: float | None = None  # without the wait for cores
    result: str = ""  # in one line
    record: str | None = None  # the path or URL of its record
    value: float | None = None  # of the sweep's objective
    worst: bool = False  # it has no value and counts as the worst

    @staticmethod
    def expected(task: Task) -> "RunStatus":
        """Of a run that no process has started yet."""
        title, config = title_of(task.config), task.config.to_mapping()
        return RunStatus(task.number, title, task.command, config, task.place)

    @staticmethod
    def starting(task: Task) -> "RunStatus":
        """Of a run that this process starts now."""
        process = psutil.Process()
        return replace(
            RunStatus.expected(task),
            host=socket.gethostname(),
            pid=process.pid,
            process_started=process.create_time(),
            started=now().isoformat(),
        )

    @property
    def alive(self) -> bool:
        """Whether the process that makes the run is alive; False for a process of another machine, which
        cannot be looked up."""
        if self.host != socket.gethostname():
            return False
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_started) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False
