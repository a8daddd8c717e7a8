"""How a sweep is going, for a person, on stderr: on a terminal an overall line above the runs that are
going on, elsewhere plain lines at intervals.

What it shows it is told by runs in this process, and reads from the sweep's directory for all others.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.measure.clock import seconds
from harness.sweep.estimate import Estimate, Kind
from harness.sweep.status_files import StatusFiles
from harness.sweep.task import RunStatus

PLAIN_SECONDS = 10.0  # between plain lines of one run within an epoch, and of the whole
OVERALL_SECONDS = 60.0  # between plain overall lines while no run ends
LOOK_SECONDS = 0.5  # between two looks at a directory …
LOOK_REMOTE_SECONDS = 10.0  # … and at a URL
SHOWN = 4  # runs on a terminal at once


class ProgressDisplay:
    """The runs of one command. `total` is how many there will be, None if that is not known."""

    def __init__(self, total: int | None = None) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self.interactive = self.console.is_terminal
        self.total = total
        self.entries: dict[int, RunStatus] = {}
        self.expected: dict[int, RunStatus] = {}
        self.estimate = Estimate()
        self._waiting: dict[int, Kind] = {}  # what is to come, and …
        self._going: dict[int, Kind] = {}  # … what is going on
        self._done = self._pruned = self._bad = 0
        self._at_once = 1  # the most that have been going on at a time
        self.live: Live | None = None
        self._told: set[int] = set()  # runs of this process, whose documents are older than what it knows
        self._seen: dict[int, float] = {}  # when a run was first heard of
        self._said: dict[int, float] = {}  # when its last plain line was written
        self._said_overall = seconds()
        self._lock = threading.RLock()

    def expect(self, entries: Iterable[RunStatus]) -> None:
        """Names runs that are to come."""
        with self._lock:
            for entry in entries:
                self.expected[entry.number] = entry
                if entry.number not in self.entries:
                    self._waiting[entry.number] = Kind.of(entry.config)

    def tell(self, entry: RunStatus) -> None:
        """What this process knows of a run now."""
        with self._lock:
            self._told.add(entry.number)
            self._take(entry)

    def _take(self, entry: RunStatus) -> None:
        with self._lock:
            before = self.entries.get(entry.number)
            if before == entry:
                return
            self.entries[entry.number] = entry
            if before is None:
                self._seen[entry.number] = seconds()
                known = entry.number in self._waiting
                kind = self._waiting.pop(entry.number) if known else Kind.of(entry.config)
                self._going[entry.number] = kind
                self._at_once = max(self._at_once, len(self._going))
            if entry.status is not None:
                self._count(entry)
            if self.interactive:
                self._draw(entry)
            else:
                self._plain(entry, before)

    def _count(self, entry: RunStatus) -> None:
        """A run has ended."""
        kind = self._going.pop(entry.number)
        self._done += entry.status == "ok"
        self._pruned += entry.status == "pruned"
        self._bad += entry.status not in ("ok", "pruned")
        if entry.status == "ok" and not entry.reused and entry.seconds is not None:
            self.estimate.learn(kind, entry.seconds)

    @contextmanager
    def reading(self, place: str | None) -> Iterator[None]:
        """Follows, for as long as the context lasts, what other processes leave in a sweep's directory."""
        if place is None:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(place, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.look(StatusFiles(place))

    def look(self, documents: StatusFiles) -> None:
        """Takes over what runs have written that this process is not told about."""
        with self._lock:
            known = (self.entries.keys() - self._going.keys()) | self._told
        for entry in documents.read(but=known):
            self._take(entry)

    def stop(self) -> None:
        with self._lock:
            if self.live:
                self.live.stop()
                self.live = None

    def overall(self) -> str:
        """Done, pruned, failed, left, and for how long still, in a few words."""
        parts = [f"{self._done} done", f"{self._bad} failed"]
        if self._pruned:
            parts.insert(1, f"{self._pruned} pruned")
        if self.total is not None:
            parts.append(f"{self.total - self._ended} left")
            still = self._seconds_left(self.total)
            if still is not None:
                parts.append(f"about {timedelta(seconds=round(still))} to go")
        return ", ".join(parts)

    @property
    def _ended(self) -> int:
        return self._done + self._pruned + self._bad

    def _seconds_left(self, total: int) -> float | None:
        """From what was measured in this sweep; None before anything was, and when nothing is left."""
        mean = self.estimate.mean()
        left = total - self._ended
        if mean is None or left <= 0:
            return None
        unknown = max(0, total - len(self.entries) - len(self._waiting))
        still = mean * unknown
        for kind in self._waiting.values():
            still += self.estimate.seconds(kind) or mean
        for number, kind in self._going.items():
            still += max(0.0, (self.estimate.seconds(kind) or mean) - seconds() + self._seen[number])
        return still / min(self._at_once, left)

    def _follow(self, place: str, over: threading.Event) -> None:
        documents = StatusFiles(place)
        pause = LOOK_REMOTE_SECONDS if documents.remote else LOOK_SECONDS
        while not over.wait(pause):
            try:
                self.look(documents)
            except OSError as error:  # it may come back; at the end it is looked at once more
                self.console.print(f"{place}: cannot be read: {error}")
            with self._lock:
                if self.interactive and self.live:
                    self.live.update(self._lines(), refresh=True)
                elif not self.interactive and seconds() - self._said_overall > OVERALL_SECONDS:
                    self._say_overall()

    def _title(self, entry: RunStatus) -> str:
        several = self.total is None or self.total > 1
        of = "" if self.total is None else f"/{self.total}"
        return (f"[{entry.number + 1}{of}] " if several else "") + entry.title

    def _draw(self, entry: RunStatus) -> None:
        if entry.status is not None:
            self.stop()
            self.console.print(f"{self._title(entry)}: {entry.result}")
        if self._going:
            if self.live is None:
                self.live = Live(console=self.console, transient=True, auto_refresh=False)
                self.live.start()
            self.live.update(self._lines(), refresh=True)

    def _lines(self) -> Group:
        """What moves comes first: a narrow terminal cuts the end."""
        going = [self.entries[number] for number in sorted(self._going)]
        lines = [f"{entry.doing} | {self._title(entry)}" for entry in going[:SHOWN]]
        if self.total != 1:
            more = len(going) - SHOWN
            lines.insert(0, self.overall() + (f"; {more} more going on" if more > 0 else ""))
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))

    def _plain(self, entry: RunStatus, before: RunStatus | None) -> None:
        title = self._title(entry)
        if entry.status is not None:
            self.console.print(f"{title}: {entry.result}")
            if self.total != 1 and seconds() - self._said_overall > PLAIN_SECONDS:
                self._say_overall()
        elif before is None:
            self._said[entry.number] = seconds()
            self.console.print(f"{title}: starting")
        elif entry.doing != before.doing and (
            entry.milestone
            or (entry.doing.startswith("epoch") and seconds() - self._said[entry.number] > PLAIN_SECONDS)
        ):
            self._said[entry.number] = seconds()
            self.console.print(f"{title}: {entry.doing}")

    def _say_overall(self) -> None:
        self._said_overall = seconds()
        self.console.print(self.overall())
