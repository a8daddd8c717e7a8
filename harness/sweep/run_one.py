"""Makes one run of a sweep and reports how it is going."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher.launch import Outcome, launch
from harness.launcher.titles import summary
from harness.measure.clock import seconds
from harness.runner.protocol import Note, Progress
from harness.sweep import objective
from harness.sweep.pruning import OptunaPruner
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus, Task

LOCAL_SECONDS = 1.0  # between two status files of a run in training, on a disk …
REMOTE_SECONDS = 20.0  # … and at a URL


class Report:
    """Tells whoever wants to know how a run is going: `told`, in this process, and the sweep's directory.

    Satisfies `follow.Display`.
    """

    def __init__(
        self, task: Task, told: Callable[[RunStatus], None] | None, *, interactive: bool = False
    ) -> None:
        self.interactive = interactive
        self.told = told
        self.documents = StatusFiles(task.directory) if task.directory else None
        self.every = REMOTE_SECONDS if self.documents and self.documents.remote else LOCAL_SECONDS
        self.written = 0.0
        self.entry = RunStatus.starting(task)
        self._tell(write=True)

    def identify(self, key: str, threads: int) -> None:
        self.entry = replace(self.entry, key=key, threads=threads)
        self._write()

    def note(self, note: Note) -> None:
        self.entry = replace(self.entry, doing=note.text, milestone=note.milestone, training=False)
        self._tell(write=note.milestone)

    def progress(self, progress: Progress) -> None:
        text = (
            f"epoch {progress.epoch}/{progress.epochs}, step {progress.step}/{progress.steps}, "
            f"loss {progress.loss:.4f}, {progress.throughput:,.0f} sequences/s, "
            f"{timedelta(seconds=round(progress.seconds_left))} left"
        )
        last = progress.step == progress.steps
        self.entry = replace(self.entry, doing=text, milestone=last, training=True)
        self._tell(write=seconds() - self.written > self.every)

    def ended(self, outcome: Outcome) -> RunStatus:
        record = outcome.record
        spent = record.timing.get("phases", {})
        total = record.total_seconds
        found = objective.evaluate(Config.from_mapping(self.entry.config), record)
        return self._end(
            status=record.status,
            reason=record.reason,
            key=record.key,
            reused=outcome.reused,
            could_start=outcome.could_start,
            seconds=None if total is None else total - spent.get("lease", 0.0),
            result=summary(record, reused=outcome.reused),
            record=_absolute(record.record_path),
            value=found.value,
            worst=found.worst,
        )

    def failed(self, status: str, reason: str, *, could_start: bool) -> RunStatus:
        """Ended without a record."""
        return self._end(status=status, reason=reason, could_start=could_start, result=f"{status}: {reason}")

    def _end(self, **values: Any) -> RunStatus:
        self.entry = replace(self.entry, doing="", milestone=True, training=False, **values)
        self._tell(write=True)
        return self.entry

    def _tell(self, *, write: bool) -> None:
        if self.told:
            self.told(self.entry)
        if write:
            self._write()

    def _write(self) -> None:
        """Not being able to tell is no reason to lose a run: whether its record can be kept is `store`'s."""
        if self.documents:
            self.written = seconds()
            try:
                self.documents.write(self.entry)
            except OSError as error:
                sys.stderr.write(f"{self.documents.location}: cannot be written to: {error}\n")


def make(
    task: Task, told: Callable[[RunStatus], None] | None = None, *, interactive: bool = False
) -> RunStatus:
    """Makes one run of a sweep, in this process, and tells what came of it, whatever it is.

    Raises KeyboardInterrupt if the run was interrupted, and nothing else.
    """
    with suppress(FileNotFoundError):  # on another machine; paths that matter there are absolute
        os.chdir(task.cwd)
    report = Report(task, told, interactive=interactive)
    try:
        config = Config.from_mapping(task.config)
        pruner = OptunaPruner(task.trial, config) if task.trial else None
        outcome = launch(config, command=task.command, display=report, pruner=pruner)
    except KeyboardInterrupt:
        report.failed("interrupted", "stopped from outside", could_start=True)
        raise
    except HarnessError as error:
        return report.failed("failed", str(error), could_start=False)
    except Exception as error:  # noqa: BLE001  a fault of ours in one run must not end the others
        traceback.print_exc()
        return report.failed("failed", f"{type(error).__name__}: {error}", could_start=True)
    entry = report.ended(outcome)
    if entry.status == "interrupted":
        raise KeyboardInterrupt
    return entry


def make_alone(
    task: Task, told: Callable[[RunStatus], None] | None = None, *, interactive: bool = False
) -> Outcome:
    """Makes a run that is no part of a sweep.

    Raises HarnessError where nothing could start, and KeyboardInterrupt, after its record is stored, where it
    was interrupted.
    """
    report = Report(task, told, interactive=interactive)
    outcome = launch(Config.from_mapping(task.config), command=task.command, display=report)
    report.ended(outcome)
    if outcome.record.status == "interrupted":
        raise KeyboardInterrupt
    return outcome


def _absolute(path: str | None) -> str | None:
    return path if path is None or "://" in path else str(Path(path).absolute())
