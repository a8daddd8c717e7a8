"""Attempts at a run: begin one, store it, recover those that could not be stored, find a complete one."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from harness.errors import StoreError
from harness.store import files, scan
from harness.store.layout import CHECKPOINT, RECORD
from harness.store.record import RunRecord
from harness.store.roots import Location, Root, local_path, open_root
from harness.text import error_line


class NotStored(StoreError):
    """A record that could not be stored at its root; says where it is kept instead."""


def check_writable(location: Location) -> None:
    """Raises StoreError where records cannot be written."""
    open_root(location).check_writable()


def lock_file(location: Location, key: str) -> Path:
    """The file that a process of this machine locks while it makes a run; raises StoreError."""
    root = open_root(location)
    with _explain_errors(root):
        path = root.lock_path(key)
        path.touch()
    return path


def checkpoint_directory(location: Location, key: str) -> Path:
    """The local directory of a run's checkpoints: beside its attempts or, for a URL, in the user's cache."""
    return open_root(location).checkpoint_directory(key)


def new_attempt(location: Location, key: str, started: datetime) -> Path:
    """A new local directory for one attempt at a run; its name sorts after those of earlier attempts.

    Raises StoreError.
    """
    root = open_root(location)
    with _explain_errors(root):
        return root.new_attempt(key, started)


def write_record(record: RunRecord, directory: Path) -> Path:
    """Writes a record into its directory, completely or not at all; raises OSError."""
    path = directory / RECORD
    files.write_atomic(path, [_encode(record)], sync=True)
    return path


def store(record: RunRecord, location: Location, directory: Path) -> RunRecord:
    """Stores an attempt that was made in `directory`, see `new_attempt`; the record with its paths.

    Raises NotStored where that is impossible (a full disk, no permission, no network). The attempt is then
    kept in the user's cache, from which `recover` stores it.
    """
    root = open_root(location)
    try:
        write_record(record, directory)
        root.publish(directory)
    except Exception as error:
        problem = f"results.root={root.name}: the record could not be stored ({error_line(error)})"
        try:
            staged = _stage(record, root, directory)
        except OSError as second:
            raise NotStored(f"{problem}, nor be kept in {root.staging} ({error_line(second)})") from error
        raise NotStored(
            f"{problem}; it is kept in {staged}; the same command given again stores it"
        ) from error
    stored = f"{root.name}/runs/{directory.parent.name}/{directory.name}"
    return RunRecord.parse(_encode(record), f"{stored}/{RECORD}").at(stored)


def recover(location: Location, key: str) -> None:
    """Stores the attempts at a run that `store` could not, and removes what killed processes left.

    Only the holder of the run's lock may call it. Raises StoreError where they still cannot be stored.
    """
    root = open_root(location)
    run = root.staging / "runs" / key
    try:
        for directory in sorted(run.iterdir() if run.is_dir() else ()):
            if (directory / RECORD).is_file():
                root.publish(directory)
            elif directory.is_dir() and directory.name != CHECKPOINT:
                shutil.rmtree(directory)
        root.remove_unfinished(key)
    except Exception as error:
        raise StoreError(
            f"results.root={root.name}: the attempts kept in {run} cannot be stored ({error_line(error)})"
        ) from error


def read_record(location: str) -> RunRecord:
    """The record at a `record_path`, a path or URL; raises StoreError."""
    path = local_path(location)
    if path is not None:
        return RunRecord.read(path)
    import fsspec

    try:
        with fsspec.open(location, "rb") as file:
            content = file.read()
    except Exception as error:
        raise StoreError(f"{location}: not a readable record: {error_line(error)}") from error
    return RunRecord.parse(content, location).at(location.rpartition("/")[0])


def find_complete(
    location: Location, key: str, *, with_weights: bool, accept: Callable[[RunRecord], bool] | None = None
) -> RunRecord | None:
    """The newest attempt at a run that ended `ok` (and has weights, if asked for), or else the newest one
    that `accept` is true for; None where there is neither."""
    candidates = [
        (record.ok, attempt.name, record)
        for attempt, record in scan.read_run(open_root(location), key)
        if (record.ok and (record.weights_path or not with_weights)) or (accept and accept(record))
    ]
    return max(candidates, key=lambda candidate: candidate[:2])[2] if candidates else None


@contextmanager
def _explain_errors(root: Root) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"results.root={root.name}: cannot be written to ({error_line(error)})") from error


def _encode(record: RunRecord) -> bytes:
    return record.to_json().encode()


def _stage(record: RunRecord, root: Root, directory: Path) -> Path:
    """Moves an attempt that could not be stored into the staging directory; returns its path there."""
    staged = root.staging / "runs" / directory.parent.name / directory.name
    if directory != staged:
        staged.mkdir(parents=True, exist_ok=True)
        for file in directory.iterdir() if directory.is_dir() else ():
            if not file.name.startswith("."):
                shutil.copy2(file, staged)
    if record.weights_path and not (staged / record.weights_path).exists():
        record = replace(record, weights_path=None)  # they are lost
    write_record(record, staged)
    if directory != staged:
        shutil.rmtree(directory, ignore_errors=True)  # its disk may still be unusable
    return staged
