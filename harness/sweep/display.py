"""The progress of a command's runs, for a person, on stderr.

A terminal shows an overall line above the runs in progress, which changes in place. Elsewhere plain lines are
printed at intervals. Runs that this process makes call `update`; all others are read from the status files of
the sweep.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.measure.clock import seconds
from harness.sweep.estimate import DurationEstimate, RunKind
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus, Task
from harness.text import tolerant

PLAIN_SECONDS = 10.0  # between two plain lines of one run within an epoch, and between two overall lines
OVERALL_SECONDS = 60.0  # between two plain overall lines while no run ends
POLL_SECONDS = 0.5  # between two readings of status files in a directory …
POLL_REMOTE_SECONDS = 10.0  # … and at a URL
MAX_SHOWN = 4  # runs in progress that a terminal shows


class ProgressDisplay:
    """The runs of one command. `total` is how many there will be, None if that is not known."""

    def __init__(self, total: int | None = None) -> None:
        self.console = Console(
            file=tolerant(Console(stderr=True).file),
            highlight=False,
            soft_wrap=True,
            markup=False,
            emoji=False,
        )
        self.interactive = self.console.is_terminal and not self.console.is_dumb_terminal
        self.total = total
        self.runs: dict[int, RunStatus] = {}  # that have started, by number
        self.expected: dict[int, RunStatus] = {}
        self.estimate = DurationEstimate()
        self._waiting: dict[int, RunKind] = {}
        self._running: dict[int, RunKind] = {}
        self._ok = self._pruned = self._failed = 0
        self._most_running = 1  # at a time, so far
        self.live: Live | None = None
        self._own: set[int] = set()  # runs of this process, which knows more than their status files
        self._started: dict[int, float] = {}
        self._printed: dict[int, float] = {}  # when a run's last plain line was
        self._overall_printed = seconds()
        self._lock = threading.RLock()

    def expect(self, tasks: Iterable[Task]) -> None:
        """Announces runs that will be made."""
        with self._lock:
            for task in tasks:
                run = RunStatus.expected(task)
                self.expected[run.number] = run
                if run.number not in self.runs:
                    self._waiting[run.number] = RunKind.of(run.config)

    def update(self, run: RunStatus) -> None:
        """Shows the new status of a run that this process makes."""
        with self._lock:
            self._own.add(run.number)
            self._update(run)

    def _update(self, run: RunStatus) -> None:
        with self._lock:
            before = self.runs.get(run.number)
            if before == run:
                return
            self.runs[run.number] = run
            if before is None:
                self._started[run.number] = seconds()
                kind = self._waiting.pop(run.number, None) or RunKind.of(run.config)
                self._running[run.number] = kind
                self._most_running = max(self._most_running, len(self._running))
            if run.status is not None:
                self._count(run)
            if self.interactive:
                self._draw(run)
            else:
                self._print(run, before)

    def _count(self, run: RunStatus) -> None:
        kind = self._running.pop(run.number)
        self._ok += run.status == "ok"
        self._pruned += run.status == "pruned"
        self._failed += run.status not in ("ok", "pruned")
        if run.status == "ok" and not run.reused and run.seconds is not None:
            self.estimate.add(kind, run.seconds)

    @contextmanager
    def following(self, status_directory: str | None) -> Iterator[None]:
        """Within this context, a thread reads the status files that other processes write."""
        if status_directory is None:
            yield
            return
        stop = threading.Event()
        thread = threading.Thread(target=self._follow, args=(status_directory, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._try_to_read(StatusFiles(status_directory))

    def read(self, files: StatusFiles) -> None:
        """Updates the runs that other processes make from their status files. Raises OSError."""
        with self._lock:
            known = (self.runs.keys() - self._running.keys()) | self._own
        for run in files.read(skip=known):
            self._update(run)

    def stop(self) -> None:
        """Removes from the terminal what changes in place."""
        with self._lock:
            if self.live:
                self.live.stop()
                self.live = None

    def overall(self) -> str:
        """How many runs are done, pruned, failed and left, and the time that these will take."""
        parts = [f"{self._ok} done", f"{self._failed} failed"]
        if self._pruned:
            parts.insert(1, f"{self._pruned} pruned")
        if self.total is not None:
            parts.append(f"{self.total - self._ended} left")
            remaining = self._seconds_left(self.total)
            if remaining is not None:
                parts.append(f"about {timedelta(seconds=round(remaining))} to go")
        return ", ".join(parts)

    @property
    def _ended(self) -> int:
        return self._ok + self._pruned + self._failed

    def _seconds_left(self, total: int) -> float | None:
        """Estimated from the runs of this sweep that have ended; None before the first and after the last."""
        mean = self.estimate.mean()
        left = total - self._ended
        if mean is None or left <= 0:
            return None
        unknown = max(0, total - len(self.runs) - len(self._waiting))
        remaining = mean * unknown
        for kind in self._waiting.values():
            remaining += self.estimate.seconds(kind) or mean
        for number, kind in self._running.items():
            elapsed = seconds() - self._started[number]
            remaining += max(0.0, (self.estimate.seconds(kind) or mean) - elapsed)
        return remaining / min(self._most_running, left)

    def _follow(self, status_directory: str, stop: threading.Event) -> None:
        files = StatusFiles(status_directory)
        pause = POLL_REMOTE_SECONDS if files.remote else POLL_SECONDS
        while not stop.wait(pause):
            self._try_to_read(files)
            with self._lock:
                if self.interactive and self.live:
                    self.live.update(self._lines(), refresh=True)
                elif not self.interactive and seconds() - self._overall_printed > OVERALL_SECONDS:
                    self._print_overall()

    def _try_to_read(self, files: StatusFiles) -> None:
        try:
            self.read(files)
        except OSError as error:  # it may be temporary, and the end of the command reads once more
            self.console.print(f"{files.location}: cannot be read: {error}")

    def _title(self, run: RunStatus) -> str:
        if self.total == 1:
            return run.title
        total = "" if self.total is None else f"/{self.total}"
        return f"[{run.number + 1}{total}] {run.title}"

    def _draw(self, run: RunStatus) -> None:
        if run.status is not None:
            self.stop()
            self.console.print(f"{self._title(run)}: {run.result}")
        if self._running:
            if self.live is None:
                self.live = Live(console=self.console, transient=True, auto_refresh=False)
                self.live.start()
            self.live.update(self._lines(), refresh=True)

    def _lines(self) -> Group:
        """What changes comes first in a line: a narrow terminal cuts the end."""
        running = [self.runs[number] for number in sorted(self._running)]
        lines = [f"{run.doing} | {self._title(run)}" for run in running[:MAX_SHOWN]]
        if self.total != 1:
            more = len(running) - MAX_SHOWN
            lines.insert(0, self.overall() + (f"; {more} more in progress" if more > 0 else ""))
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))

    def _print(self, run: RunStatus, before: RunStatus | None) -> None:
        title = self._title(run)
        if run.status is not None:
            self.console.print(f"{title}: {run.result}")
            if self.total != 1 and seconds() - self._overall_printed > PLAIN_SECONDS:
                self._print_overall()
        elif before is None:
            self._printed[run.number] = seconds()
            self.console.print(f"{title}: starting")
        elif run.doing != before.doing and (
            run.milestone or (run.training and seconds() - self._printed[run.number] > PLAIN_SECONDS)
        ):
            self._printed[run.number] = seconds()
            self.console.print(f"{title}: {run.doing}")

    def _print_overall(self) -> None:
        self._overall_printed = seconds()
        self.console.print(self.overall())
