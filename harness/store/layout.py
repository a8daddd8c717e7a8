"""The layout of a root of results, the same in a directory and at a URL.

<root>/runs/<key>/<attempt>/record.json    the record of one attempt at a run, written last
                            output.log     everything that the run printed
                            weights.safetensors
<root>/runs/<key>/checkpoint/    see `harness.store.checkpoint`

An attempt is named by the time at which it began. A directory can be copied from one root into another.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from harness.measure.directories import cache_directory

RECORD = "record.json"
LOG = "output.log"
CHECKPOINT = "checkpoint"
TIME_FORMAT = "%Y%m%dT%H%M%S.%f"
TIME_CHARACTERS = 22

Warn = Callable[[str], None]  # takes the message about a record that cannot be used


class Attempt(NamedTuple):
    """A stored attempt at the run `key`; `version` changes whenever the content of its record does."""

    key: str
    name: str
    version: str


class RootLayout:
    """What all roots have in common.

    `name` is the path or URL as the user wrote it, `~` replaced, `identity` the same however it was written.
    Attempts are made, runs are locked and checkpoints are written in `workspace`, a local directory. Attempts
    that could not be stored wait in `staging`.
    """

    name: str
    identity: str
    workspace: Path
    staging: Path

    def attempt_location(self, attempt: Attempt) -> str:
        """The path or URL of an attempt."""
        return f"{self.name}/runs/{attempt.key}/{attempt.name}"

    def record_location(self, attempt: Attempt) -> str:
        """The path or URL of an attempt's record."""
        return f"{self.attempt_location(attempt)}/{RECORD}"

    def lock_path(self, key: str) -> Path:
        """The file to lock while a run is made: the same for all processes of this machine."""
        run = self.workspace / "runs" / key
        run.mkdir(parents=True, exist_ok=True)
        return run / ".lock"

    def checkpoint_directory(self, key: str) -> Path:
        """The local directory of a run's checkpoints."""
        return (self.workspace / "runs" / key / CHECKPOINT).resolve()


def staging_directory(identity: str) -> Path:
    """The directory in the user's cache for the attempts of a root that are not stored yet."""
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return cache_directory() / "staging" / digest


def new_attempt_directory(
    run: Path, started: datetime, stored: Iterable[str] = (), *, suffix: str = ""
) -> Path:
    """A new directory in `run`, named by its time.

    Its name sorts after those of all attempts in `run` and in `stored`, even when the clock was set back.
    """
    run.mkdir(parents=True, exist_ok=True)
    names = [*stored, *(path.name for path in run.iterdir())]
    latest = max((moment for name in names if (moment := attempt_time(name))), default=None)
    moment = started.replace(tzinfo=None)
    if latest is not None and latest >= moment:
        moment = latest + timedelta(microseconds=1)
    while True:
        path = run / f"{moment.strftime(TIME_FORMAT)}{suffix}"
        try:
            path.mkdir()
        except FileExistsError:
            moment += timedelta(microseconds=1)
        else:
            return path


def attempt_time(name: str) -> datetime | None:
    """The time in the name of an attempt; None for other names and for the year 9999."""
    if not re.match(r"\d{8}T\d{6}\.\d{6}", name):
        return None
    try:
        moment = datetime.strptime(name[:TIME_CHARACTERS], TIME_FORMAT)
    except ValueError:
        return None
    return moment if moment.year < datetime.max.year else None
