"""Ends the runs of a command: every run gets a status and a record, even if its process is gone."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher.launch import store_lost_run
from harness.launcher.record_builder import RecordBuilder
from harness.measure.clock import seconds, sleep
from harness.store import attempts
from harness.store.record import RunRecord
from harness.sweep.display import ProgressDisplay
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus

WAIT_SECONDS = 15.0  # for processes that are still ending
POLL_SECONDS = 0.1

PROCESS_GONE = "its process ended without reporting a result"
NEVER_STARTED = "the job that should have made it ended before it started"


@dataclass(frozen=True)
class SweepResult:
    """The runs of a command in their order: their status, and the records of those that have one."""

    runs: list[RunStatus]
    records: list[RunRecord]

    @property
    def exit_status(self) -> int:
        """0 if every run is ok, was complete or was pruned by its search, 2 if none could start, else 1."""
        if self.runs and not any(run.could_start for run in self.runs):
            return 2
        return 0 if all(run.status in ("ok", "pruned") for run in self.runs) else 1


def finish_runs(
    display: ProgressDisplay, status_directory: str | None, *, interrupted: bool, failed: bool
) -> SweepResult:
    """Waits for the processes that are still ending, and ends the runs whose process is gone.

    Such a run is `crashed`, or `interrupted` if the command was. A run that had not started when the command
    was `interrupted`, or `failed` as a whole, is left out.
    """
    if status_directory is None and failed:
        return SweepResult([], [])  # a single run that could not start
    if status_directory is not None:
        _wait(display, StatusFiles(status_directory))
    status, reason = ("interrupted", "stopped from outside") if interrupted else ("crashed", PROCESS_GONE)
    for run in list(display.runs.values()):
        if run.status is None:
            _end(display, run, status, reason)
    if not (interrupted or failed):
        for number, run in display.expected.items():
            if number not in display.runs:
                _end(display, run, "crashed", NEVER_STARTED)
    runs = [run for _, run in sorted(display.runs.items())]
    return SweepResult(runs, [record for run in runs for record in _records(run)])


def _wait(display: ProgressDisplay, files: StatusFiles) -> None:
    """Waits until every run has ended, or its process has."""
    deadline = seconds() + WAIT_SECONDS
    while any(run.status is None and run.alive for run in display.runs.values()) and seconds() < deadline:
        sleep(POLL_SECONDS)
        display.read(files)
    display.read(files)


def _end(display: ProgressDisplay, run: RunStatus, status: str, reason: str) -> None:
    """Ends a run whose process cannot, and stores its record if that is possible."""
    ended = replace(run, status=status, reason=reason, doing="", result=f"{status}: {reason}")
    try:
        outcome = store_lost_run(
            Config.from_mapping(run.config),
            key=run.key,
            threads=run.threads,
            command=run.command,
            place=run.place,
            status=status,
            reason=reason,
        )
    except HarnessError as error:
        display.update(replace(ended, result=f"{ended.result}; its record could not be stored: {error}"))
        return
    display.update(replace(ended, key=outcome.record.key, record=outcome.record.record_path))


def _records(run: RunStatus) -> Iterator[RunRecord]:
    """The stored record, or else one built from the status; none where not even the data of the run can be
    read, which was reported when the run ended."""
    assert run.status is not None
    with suppress(HarnessError):
        if run.record is not None:
            yield attempts.read_record(run.record)
            return
    with suppress(HarnessError):
        config = Config.from_mapping(run.config)
        builder = RecordBuilder(
            config, key=run.key or "", threads=run.threads, command=run.command, place=run.place
        )
        yield builder.build(run.status, run.reason)
