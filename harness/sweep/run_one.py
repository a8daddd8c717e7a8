"""Makes one run and reports its status while it goes."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.launcher.launch import Outcome, launch
from harness.launcher.titles import outcome_line
from harness.measure.clock import seconds
from harness.runner.protocol import Note, Progress
from harness.sweep import objective
from harness.sweep.pruning import OptunaPruner
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus, Task

LOCAL_SECONDS = 1.0  # between two status files of a run in training, on a disk …
REMOTE_SECONDS = 20.0  # … and at a URL


class StatusReporter:
    """Passes the status of a run to `on_update`, in this process, and writes the run's status file.

    Satisfies `supervise.Display`.
    """

    def __init__(
        self, task: Task, on_update: Callable[[RunStatus], None] | None, *, interactive: bool = False
    ) -> None:
        self.interactive = interactive
        self.on_update = on_update
        self.files = StatusFiles(task.directory) if task.directory else None
        self.interval = REMOTE_SECONDS if self.files and self.files.remote else LOCAL_SECONDS
        self.written = 0.0
        self.config = task.config
        self.run = RunStatus.starting(task)
        self._report(write=True)

    def identify(self, key: str, threads: int) -> None:
        self.run = replace(self.run, key=key, threads=threads)
        self._write()

    def note(self, note: Note) -> None:
        self.run = replace(self.run, doing=note.text, milestone=note.milestone, training=False)
        self._report(write=note.milestone)

    def progress(self, progress: Progress) -> None:
        text = (
            f"epoch {progress.epoch}/{progress.epochs}, step {progress.step}/{progress.steps}, "
            f"loss {progress.loss:.4f}, {progress.throughput:,.0f} sequences/s, "
            f"{timedelta(seconds=round(progress.seconds_left))} left"
        )
        last = progress.step == progress.steps
        self.run = replace(self.run, doing=text, milestone=last, training=True)
        self._report(write=seconds() - self.written > self.interval)

    def ended(self, outcome: Outcome) -> RunStatus:
        record = outcome.record
        phases = record.timing.get("phases", {})
        total = record.total_seconds
        objective_value = objective.evaluate(self.config, record)
        return self._end(
            status=record.status,
            reason=record.reason,
            key=record.key,
            reused=outcome.reused,
            could_start=outcome.could_start,
            seconds=None if total is None else total - phases.get("lease", 0.0),
            result=outcome_line(record, reused=outcome.reused),
            record=_absolute(record.record_path),
            value=objective_value.value,
            worst=objective_value.worst,
        )

    def failed(self, status: str, reason: str, *, could_start: bool) -> RunStatus:
        """Reports the end of a run that has no record."""
        return self._end(status=status, reason=reason, could_start=could_start, result=f"{status}: {reason}")

    def _end(self, **values: Any) -> RunStatus:
        self.run = replace(self.run, doing="", milestone=True, training=False, **values)
        self._report(write=True)
        return self.run

    def _report(self, *, write: bool) -> None:
        if self.on_update:
            self.on_update(self.run)
        if write:
            self._write()

    def _write(self) -> None:
        """A status file that cannot be written is reported and does not end the run."""
        if self.files:
            self.written = seconds()
            try:
                self.files.write(self.run)
            except OSError as error:
                sys.stderr.write(f"{self.files.location}: cannot be written to: {error}\n")


def make(
    task: Task, on_update: Callable[[RunStatus], None] | None = None, *, interactive: bool = False
) -> RunStatus:
    """Makes one run of a sweep from this process and returns its final status.

    Raises KeyboardInterrupt if the run was interrupted, and nothing else.
    """
    with suppress(FileNotFoundError):  # another machine; there the configuration's paths must be absolute
        os.chdir(task.cwd)
    reporter = StatusReporter(task, on_update, interactive=interactive)
    try:
        pruner = OptunaPruner(task.trial, task.config) if task.trial else None
        outcome = launch(task.config, command=task.command, display=reporter, pruner=pruner, place=task.place)
    except KeyboardInterrupt:
        reporter.failed("interrupted", "stopped from outside", could_start=True)
        raise
    except HarnessError as error:
        return reporter.failed("failed", str(error), could_start=False)
    except Exception as error:  # noqa: BLE001  an error of the harness in one run must not end the others
        traceback.print_exc()
        return reporter.failed("failed", f"{type(error).__name__}: {error}", could_start=True)
    run = reporter.ended(outcome)
    if run.status == "interrupted":
        raise KeyboardInterrupt
    return run


def make_alone(
    task: Task, on_update: Callable[[RunStatus], None] | None = None, *, interactive: bool = False
) -> Outcome:
    """Makes a run that is not part of a sweep.

    Raises HarnessError if the run cannot start, and KeyboardInterrupt if it was interrupted, after its record
    has been stored.
    """
    reporter = StatusReporter(task, on_update, interactive=interactive)
    outcome = launch(task.config, command=task.command, display=reporter)
    reporter.ended(outcome)
    if outcome.record.status == "interrupted":
        raise KeyboardInterrupt
    return outcome


def _absolute(path: str | None) -> str | None:
    return path if path is None or "://" in path else str(Path(path).absolute())
