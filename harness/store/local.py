"""Results in a local directory."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from harness.errors import StoreError
from harness.store.layout import (
    LOG,
    RECORD,
    Attempt,
    RootLayout,
    Warn,
    attempt_time,
    new_attempt_directory,
    staging_directory,
)


class LocalRoot(RootLayout):
    """A local directory."""

    cached_from = 200  # fewer records are read faster without the cache

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.identity = str(path.resolve())
        self.workspace = path
        self.staging = staging_directory(self.identity)

    def check_writable(self) -> None:
        """Raises StoreError where records cannot be written."""
        try:
            (self.path / "runs").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path / "runs"):
                pass
        except OSError as error:
            raise StoreError(
                f"results.root={self.name}: cannot be written to ({error.strerror}); "
                "choose a writable directory"
            ) from error

    def exists(self) -> bool:
        return os.path.isdir(self.path)  # noqa: PTH112  pathlib's raises at a name that is too long

    def list_attempts(self, warn: Warn, key: str | None = None) -> list[Attempt]:
        """The attempts that have a record, of all runs or of one, in no order; warns of unreadable ones."""
        runs = os.path.join(self.name, "runs")  # noqa: PTH118  thousands of paths: strings are faster
        attempts = []
        for run in [key] if key is not None else _directories(runs, warn):
            for name in _directories(f"{runs}/{run}", warn):
                path = f"{runs}/{run}/{name}/{RECORD}"
                try:
                    status = os.stat(path)  # noqa: PTH116
                except FileNotFoundError:
                    continue  # the run goes on, or its launcher was killed
                except OSError as error:
                    warn(f"{path}: not a readable record: {error.strerror}")
                    continue
                if stat.S_ISREG(status.st_mode):
                    attempts.append(Attempt(run, name, f"{status.st_size} {status.st_mtime_ns}"))
                else:
                    warn(f"{path}: not a readable record: not a file")
        return attempts

    def read(self, attempts: Sequence[Attempt], warn: Warn) -> Iterator[tuple[Attempt, bytes]]:
        """The content of each attempt's record; warns of unreadable ones."""
        for attempt in attempts:
            path = self.record_location(attempt)
            try:
                with open(path, "rb") as file:  # noqa: PTH123
                    content = file.read()
            except OSError as error:
                warn(f"{path}: not a readable record: {error.strerror}")
                continue
            yield attempt, content

    def new_attempt(self, key: str, started: datetime) -> Path:
        """A new local directory for one attempt at a run."""
        return new_attempt_directory(self.path / "runs" / key, started)

    def remove_unfinished(self, key: str) -> None:
        """Removes what killed processes left of attempts at a run, except their output."""
        for attempt in (self.path / "runs" / key).iterdir():
            if attempt.name.startswith(".attempt."):
                shutil.rmtree(attempt, ignore_errors=True)
            elif attempt_time(attempt.name) and not (attempt / RECORD).exists():
                with suppress(OSError):  # it may belong to another user
                    for file in attempt.iterdir():
                        if file.name != LOG or not file.stat().st_size:
                            file.unlink()
                    if not any(attempt.iterdir()):
                        attempt.rmdir()

    def publish(self, directory: Path) -> None:
        """Moves an attempt to its place, with all its files or not at all; one that was made here stays."""
        target = self.path / "runs" / directory.parent.name / directory.name
        if directory.resolve() == target.resolve():
            return
        if not (target / RECORD).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = tempfile.mkdtemp(prefix=".attempt.", dir=target.parent)
            try:
                shutil.copytree(directory, temporary, dirs_exist_ok=True)
                Path(temporary).chmod(0o755)
                Path(temporary).rename(target)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        shutil.rmtree(directory)


def _directories(path: str, warn: Warn) -> list[str]:
    """The names of the visible directories in a directory; [] where it does not exist."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        warn(f"{path}: cannot be listed: {error.strerror}")
        return []
