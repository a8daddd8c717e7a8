"""Calls a logger from a thread of its own, through a queue: a slow or broken logger does not delay the run.

The logger starts before the run's process does. It is called after each epoch and when the run has ended.
After its first failure it is not called again.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from harness.config.schema import Config
from harness.launcher.loggers import fields
from harness.launcher.loggers.base import LoggedRun, Logger
from harness.launcher.titles import title_of
from harness.store.checkpoint import Checkpoints
from harness.store.record import RunRecord
from harness.text import error_line, warn

START_SECONDS = 10.0  # how long a run waits for its logger to start …
END_SECONDS = 60.0  # … and, after it has ended, for its logger to store its files


class LoggerThread:
    """The thread that calls the logger of one run; with `logger=none` there is none and every method returns
    at once."""

    def __init__(self, config: Config, *, key: str, started: str, checkpoints: Path | None = None) -> None:
        """`started` and `checkpoints` are the attempt's; see `Job`."""
        self.name = config.logger.name
        self.enabled = self.name != "none"
        self.queue: SimpleQueue[Callable[[Logger], None]] = SimpleQueue()
        self.started, self.finished = threading.Event(), threading.Event()
        self.location: str | None = None
        self.problem: str | None = None
        if self.enabled:
            self.run = _logged_run(config, key, started, checkpoints)
            threading.Thread(target=self._call_logger, args=(config,), daemon=True).start()

    def wait(self) -> None:
        """Returns when the logger has started or failed to, or after `START_SECONDS`."""
        if self.enabled:
            self.started.wait(START_SECONDS)

    def epoch(self, entry: Mapping[str, Any]) -> None:
        """Logs an entry of the record's history; returns at once."""
        if self.enabled:
            self.queue.put(lambda logger: logger.epoch(entry["epoch"], fields.epoch_metrics(entry)))

    def end(self, record: RunRecord, directory: Path | None) -> None:
        """Logs the end of the run; returns when the logger has finished, or after `END_SECONDS`."""
        if not self.enabled:
            return
        final = self.annotated(record)
        self.queue.put(lambda logger: self._end(logger, final, directory))
        if not self.finished.wait(END_SECONDS):
            self._failed(f"not done {END_SECONDS:g} s after the run's end")

    def annotated(self, record: RunRecord) -> RunRecord:
        """The record with its logger, and the problem that the logger had, in `details.logger`."""
        if not self.enabled:
            return record
        state = {"name": self.name, "run": self.run.id, "place": self.location, "problem": self.problem}
        return replace(record, details=record.details | {"logger": state})

    def _call_logger(self, config: Config) -> None:
        try:
            logger = import_module(f"harness.launcher.loggers.{self.name}").start(config, self.run)
            self.location = logger.location
            self.started.set()
            while not self.finished.is_set():
                self.queue.get()(logger)
        except BaseException as error:  # noqa: BLE001  the run continues, whatever the logger's library raises
            self._failed(error_line(error))
        finally:
            self.started.set()
            self.finished.set()

    def _end(self, logger: Logger, record: RunRecord, directory: Path | None) -> None:
        logger.end(record, directory)
        self.finished.set()

    def _failed(self, problem: str) -> None:
        if self.problem is None:
            self.problem = problem
            warn(f"logger={self.name}: {problem}; the run continues without it")


def _logged_run(config: Config, key: str, started: str, checkpoints: Path | None) -> LoggedRun:
    """A run that resumes from a checkpoint has the id of the first attempt that the checkpoint names."""
    checkpoint = Checkpoints(checkpoints, key).newest() if checkpoints is not None else None
    first = checkpoint.progress["attempts"][0]["started"] if checkpoint else started
    stamp = datetime.fromisoformat(first).strftime("%Y%m%dT%H%M%S.%f")
    return LoggedRun(
        f"{key}-{stamp.replace('.', '-')}", key, title_of(config), resumed=checkpoint is not None
    )
