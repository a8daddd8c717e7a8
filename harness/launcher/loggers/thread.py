"""A logger at work: in a thread of its own, with what a run finds waiting in a queue, so that neither its
slowness nor its failure is the run's.

The logger begins before the run's process starts, and is otherwise called when an epoch has ended and when
the run is over. After its first failure it is left alone.
"""

import sys
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
from harness.launcher.loggers.base import Logger, Run
from harness.launcher.titles import title_of
from harness.store.checkpoint import Checkpoints
from harness.store.record import RunRecord
from harness.text import error_line

BEGIN_SECONDS = 10.0  # that a run waits for its logger to begin …
END_SECONDS = 60.0  # … and, when it is over, to take over its files


class LoggerThread:
    """What passes from a run to its logger; with `logger=none` to nobody."""

    def __init__(self, config: Config, *, key: str, started: str, checkpoints: Path | None = None) -> None:
        """`started` and `checkpoints` are the attempt's; see `Job`."""
        self.name = config.logger.name
        self.queue: SimpleQueue[Callable[[Logger], None]] = SimpleQueue()
        self.begun, self.over = threading.Event(), threading.Event()
        self.place: str | None = None
        self.problem: str | None = None
        if self.name != "none":
            self.run = _run(config, key, started, checkpoints)
            threading.Thread(target=self._work, args=(config,), daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether nobody listens."""
        return self.name == "none"

    def wait(self) -> None:
        """Until the logger has begun or failed to, or long enough."""
        if not self.idle:
            self.begun.wait(BEGIN_SECONDS)

    def epoch(self, entry: Mapping[str, Any]) -> None:
        """An entry of the record's history; returns at once."""
        if not self.idle:
            self.queue.put(lambda logger: logger.epoch(entry["epoch"], fields.epoch_metrics(entry)))

    def end(self, record: RunRecord, directory: Path | None) -> None:
        """The run is over; returns when the logger is done with it, or has had long enough."""
        if self.idle:
            return
        told = self.annotated(record)
        self.queue.put(lambda logger: self._end(logger, told, directory))
        if not self.over.wait(END_SECONDS):
            self._failed(f"not done {END_SECONDS:g} s after the run's end")

    def annotated(self, record: RunRecord) -> RunRecord:
        """The record with what is known of its logger: `details.logger`."""
        if self.idle:
            return record
        found = {"name": self.name, "run": self.run.id, "place": self.place, "problem": self.problem}
        return replace(record, details=record.details | {"logger": found})

    def _work(self, config: Config) -> None:
        """In the thread."""
        try:
            logger = import_module(f"harness.launcher.loggers.{self.name}").begin(config, self.run)
            self.place = logger.place
            self.begun.set()
            while not self.over.is_set():
                self.queue.get()(logger)
        except BaseException as error:  # noqa: BLE001  whatever a library of others raises, the run goes on
            self._failed(error_line(error))
        finally:
            self.begun.set()
            self.over.set()

    def _end(self, logger: Logger, record: RunRecord, directory: Path | None) -> None:
        logger.end(record, directory)
        self.over.set()

    def _failed(self, problem: str) -> None:
        if self.problem is None:
            self.problem = problem
            sys.stderr.write(f"logger={self.name}: {problem}; the run goes on without it\n")


def _run(config: Config, key: str, started: str, checkpoints: Path | None) -> Run:
    """The run as a logger knows it. One that goes on from a checkpoint is the one that the first of its
    attempts was."""
    found = Checkpoints(checkpoints, key).newest() if checkpoints is not None else None
    first = found.more["attempts"][0]["started"] if found else started
    stamp = datetime.fromisoformat(first).strftime("%Y%m%dT%H%M%S.%f")
    return Run(f"{key}-{stamp.replace('.', '-')}", key, title_of(config), resumed=found is not None)
