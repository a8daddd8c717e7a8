"""How a results directory is laid out, wherever it lies."""

import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import platformdirs

RECORD = "record.json"


LOG = "output.log"


CHECKPOINT = "checkpoint"


STAMP = "%Y%m%dT%H%M%S.%f"


STAMPED = 22  # characters of a stamp


# what is told of a document that cannot be used
Report = Callable[[str], None]


class Document(NamedTuple):
    """A record: of which attempt at which run, and a stamp that changes when its content does."""

    key: str
    attempt: str
    stamp: str


class Layout:
    """What all roots have in common: `name` is how a person calls it, `identity` the same for everyone."""

    name: str
    identity: str
    staging: Path
    locks: Path

    def directory(self, document: Document) -> str:
        """Where an attempt lies, as a person would call it."""
        return f"{self.name}/runs/{document.key}/{document.attempt}"

    def place(self, document: Document) -> str:
        return f"{self.directory(document)}/{RECORD}"

    def lock(self, key: str) -> Path:
        """A file to lock while a run is made, the same for all processes of a machine."""
        run = self.locks / "runs" / key
        run.mkdir(parents=True, exist_ok=True)
        return run / ".lock"

    def checkpoint(self, key: str) -> Path:
        """The local directory of a run's checkpoints."""
        return (self.locks / "runs" / key / CHECKPOINT).resolve()


def staging(name: str) -> Path:
    """Where attempts lie that are not, or not yet, at a root: itself laid out as one."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("harness")) / "staging" / digest


def said(error: object) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _fresh(runs: Path, started: datetime, there: Iterable[str], suffix: str = "") -> Path:
    """A new directory that is named by its time, and sorts after those there: clocks are moved back."""
    latest = max((stamp for name in there if (stamp := _stamp(name))), default=None)
    moment = started.replace(tzinfo=None)
    if latest is not None and latest >= moment:
        moment = latest + timedelta(microseconds=1)
    while True:
        path = runs / f"{moment.strftime(STAMP)}{suffix}"
        try:
            path.mkdir()
        except FileExistsError:
            moment += timedelta(microseconds=1)
        else:
            return path


def _stamp(name: str) -> datetime | None:
    """The time that an attempt is named by; None for another name, and for the end of all time."""
    if not re.match(r"\d{8}T\d{6}\.\d{6}", name):
        return None
    try:
        found = datetime.strptime(name[:STAMPED], STAMP)
    except ValueError:
        return None
    return found if found.year < datetime.max.year else None
