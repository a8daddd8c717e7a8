"""What the runs of a sweep say of themselves, wherever they are made: one small JSON document each.

<sweep>/run-00000.json    what the run is, who makes it and what it is doing; at its end, what came of it

Whoever makes a run writes its document: the command itself, another process, another machine. The command
that the sweep was started with reads them all, see `watch`. `<sweep>` is a local directory or an fsspec URL.
"""

import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from harness import store
from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher.launch import Outcome, launch
from harness.launcher.titles import summary, title_of
from harness.measure.clock import now, seconds
from harness.store import files
from harness.sweep import objective
from harness.sweep.pruning import Judge, Trial

LOCAL_SECONDS = 1.0  # between two writings of how far a run is, on a disk …
REMOTE_SECONDS = 20.0  # … and at a URL


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
    trial: Trial | None = None


@dataclass(frozen=True)
class Entry:
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
    def fresh(task: Task) -> "Entry":
        """Of a run that this process begins now."""
        process = psutil.Process()
        return replace(
            Entry.expected(task),
            host=socket.gethostname(),
            pid=process.pid,
            process_started=process.create_time(),
            started=now().isoformat(),
        )

    @staticmethod
    def expected(task: Task) -> "Entry":
        """Of a run that nobody has begun yet."""
        return Entry(task.number, title_of(Config.from_mapping(task.config)), task.command, task.config)

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


class Documents:
    """The entries of one sweep, in its directory."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.remote = "://" in place
        if self.remote:
            from fsspec.core import url_to_fs

            self.files, self.path = url_to_fs(place)

    def write(self, entry: Entry) -> None:
        """Whole or not at all. Raises OSError."""
        name, text = f"run-{entry.number:05}.json", json.dumps(asdict(entry))
        if self.remote:
            self.files.pipe_file(f"{self.path}/{name}", text.encode())
            return
        directory = Path(self.place)
        directory.mkdir(parents=True, exist_ok=True)
        files.write(directory / name, [text.encode()])

    def read(self, but: Container[int] = ()) -> Iterator[Entry]:
        """All that are there and whole, but for those of some numbers."""
        names = {f.name for f in fields(Entry)}
        for text in self._texts(but):
            try:
                values = json.loads(text)
                yield Entry(**{name: value for name, value in values.items() if name in names})
            except (ValueError, TypeError, AttributeError):
                continue  # another version's, or damaged: what is missing is told as missing

    def _texts(self, but: Container[int]) -> Iterator[bytes]:
        if self.remote:
            self.files.invalidate_cache(self.path)
            with suppress(FileNotFoundError):
                there = self.files.ls(self.path, detail=False)
                wanted = [path for path in there if _wanted(path.rpartition("/")[2], but)]
                yield from self.files.cat(wanted).values() if wanted else ()
            return
        for path in sorted(Path(self.place).glob("run-*.json")):
            if _wanted(path.name, but):
                with suppress(OSError):
                    yield path.read_bytes()


def _wanted(name: str, but: Container[int]) -> bool:
    number = name.removeprefix("run-").removesuffix(".json")
    return number.isdecimal() and int(number) not in but


class Report:
    """Tells whoever wants to know how a run is going: `told`, in this process, and the sweep's directory.

    Satisfies `follow.Display`.
    """

    def __init__(
        self, task: Task, told: Callable[[Entry], None] | None, *, interactive: bool = False
    ) -> None:
        self.interactive = interactive
        self.told = told
        self.documents = Documents(task.directory) if task.directory else None
        self.every = REMOTE_SECONDS if self.documents and self.documents.remote else LOCAL_SECONDS
        self.written = 0.0
        self.entry = Entry.fresh(task)
        self._tell(write=True)

    def identify(self, key: str, threads: int) -> None:
        self.entry = replace(self.entry, key=key, threads=threads)
        self._write()

    def note(self, text: str) -> None:
        said = text.startswith(("resuming", "waiting"))
        self.entry = replace(self.entry, doing=text, milestone=said)
        self._tell(write=said)

    def progress(self, event: Mapping[str, Any]) -> None:
        text = (
            f"epoch {event['epoch']}/{event['epochs']}, step {event['step']}/{event['steps']}, "
            f"loss {event['loss']:.4f}, {event['rate']:,.0f} sequences/s, "
            f"{timedelta(seconds=round(event['left']))} left"
        )
        self.entry = replace(self.entry, doing=text, milestone=event["step"] == event["steps"])
        self._tell(write=seconds() - self.written > self.every)

    def ended(self, outcome: Outcome) -> Entry:
        record = outcome.record
        spent = record.timing.get("phases", {})
        total = record.total_seconds
        found = objective.found(Config.from_mapping(self.entry.config), record)
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

    def failed(self, status: str, reason: str, *, could_start: bool) -> Entry:
        """Ended without a record."""
        return self._end(status=status, reason=reason, could_start=could_start, result=f"{status}: {reason}")

    def _end(self, **values: Any) -> Entry:
        self.entry = replace(self.entry, doing="", milestone=True, **values)
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
                sys.stderr.write(f"{self.documents.place}: cannot be written to: {error}\n")


def make(task: Task, told: Callable[[Entry], None] | None = None, *, interactive: bool = False) -> Entry:
    """Makes one run of a sweep, in this process, and tells what came of it, whatever it is.

    Raises KeyboardInterrupt if the run was interrupted, and nothing else.
    """
    with suppress(FileNotFoundError):  # on another machine; paths that matter there are absolute
        os.chdir(task.cwd)
    report = Report(task, told, interactive=interactive)
    try:
        config = Config.from_mapping(task.config)
        judge = Judge(task.trial, config) if task.trial else None
        outcome = launch(config, command=task.command, display=report, judge=judge)
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
    task: Task, told: Callable[[Entry], None] | None = None, *, interactive: bool = False
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


def place(root: str, directory: str) -> str:
    """Where the documents of a sweep lie: its own directory, or beside the results if those are at a URL."""
    if store.local(root) is None:
        return f"{root.rstrip('/')}/sweeps/{Path(directory).name}"
    return str(Path(directory).absolute())


def _absolute(path: str | None) -> str | None:
    return path if path is None or "://" in path else str(Path(path).absolute())
