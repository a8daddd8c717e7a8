"""What came of a sweep: a record for every run, also for those whose process is gone."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher.launch import lost
from harness.launcher.record_builder import Draft
from harness.store import attempts
from harness.store.record import RunRecord
from harness.sweep.display import ProgressDisplay
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus

PATIENCE_SECONDS = 15.0  # for processes that are still ending
PAUSE_SECONDS = 0.1

VANISHED = "its process ended without a word"
NEVER_BEGAN = "the job that was to make it ended before it began"


@dataclass(frozen=True)
class SweepResult:
    """What came of a command's runs, in their order: everything that is known, and what of it is stored."""

    entries: list[RunStatus]
    records: list[RunRecord]

    @property
    def exit_status(self) -> int:
        """0 if all are ok, were complete or were pruned by their search, 1 if some are not, 2 if none could
        start."""
        if self.entries and not any(entry.could_start for entry in self.entries):
            return 2
        return 0 if all(entry.status in ("ok", "pruned") for entry in self.entries) else 1


def finish_runs(
    display: ProgressDisplay, place: str | None, *, interrupted: bool, failed: bool
) -> SweepResult:
    """Gives every run of a command that is over its end, and its record where it has none.

    A run whose process is gone is `crashed`, or `interrupted` where the command was. What had not begun
    when a command was `interrupted`, or `failed` as a whole, is left out.
    """
    if place is None and failed:
        return SweepResult([], [])  # a single run that could not start
    if place is not None:
        _wait(display, StatusFiles(place))
    for entry in list(display.entries.values()):
        if entry.status is None:
            status, reason = ("interrupted", "stopped from outside") if interrupted else ("crashed", VANISHED)
            _close(display, entry, status, reason)
    if not (interrupted or failed):
        for number, entry in display.expected.items():
            if number not in display.entries:
                _close(display, entry, "crashed", NEVER_BEGAN)
    entries = [entry for _, entry in sorted(display.entries.items())]
    return SweepResult(entries, [record for entry in entries for record in _records(entry)])


def _wait(display: ProgressDisplay, documents: StatusFiles) -> None:
    """Until every run has ended, or its process has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(e.status is None and e.alive for e in display.entries.values()) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
        display.look(documents)
    display.look(documents)


def _close(display: ProgressDisplay, entry: RunStatus, status: str, reason: str) -> None:
    """Ends a run that could not say how it ended, with a record if one can be kept."""
    config = Config.from_mapping(entry.config)
    values: dict[str, Any] = {
        "status": status,
        "reason": reason,
        "doing": "",
        "result": f"{status}: {reason}",
    }
    try:
        outcome = lost(
            config,
            key=entry.key,
            threads=entry.threads,
            command=entry.command,
            status=status,
            reason=reason,
        )
    except HarnessError as error:
        values["result"] += f"; its record could not be kept: {error}"
        display.tell(replace(entry, **values))
        return
    display.tell(replace(entry, **values, key=outcome.record.key, record=outcome.record.record_path))


def _records(entry: RunStatus) -> Iterator[RunRecord]:
    """The record that is stored, or what is known without it; none where not even its data can be looked at,
    which was said when the run ended."""
    assert entry.status is not None
    with suppress(HarnessError):
        if entry.record is not None:
            yield attempts.read(entry.record)
            return
    with suppress(HarnessError):
        config = Config.from_mapping(entry.config)
        draft = Draft(config, key=entry.key or "", threads=entry.threads, command=entry.command)
        yield draft.ended(entry.status, entry.reason)
