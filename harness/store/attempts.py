"""Attempts at a run: begun, stored whole, recovered, found again."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StoreError
from harness.store import files, scan
from harness.store.layout import CHECKPOINT, RECORD, said
from harness.store.record import RunRecord
from harness.store.roots import Root, local, root

if TYPE_CHECKING:
    pass


Where = str | os.PathLike[str]


class NotStored(StoreError):
    """A record that could not be stored where it belongs; says where it is kept instead."""


def prepare(where: Where) -> None:
    """Makes sure, before anything runs, that records can be written; raises StoreError."""
    root(where).prepare()


def lock(where: Where, key: str) -> Path:
    """The file that a process of this machine locks while it makes a run; raises StoreError."""
    place = root(where)
    try:
        path = place.lock(key)
        path.touch()
    except OSError as error:
        raise StoreError(f"results.root={place.name}: cannot be written to ({said(error)})") from error
    return path


def checkpoints(where: Where, key: str) -> Path:
    """The local directory of a run's checkpoints: beside its attempts, or in this user's cache for a URL."""
    return root(where).checkpoint(key)


def new_attempt(where: Where, key: str, started: datetime) -> Path:
    """A fresh local directory for one attempt at a run; it sorts after the earlier ones there.

    Raises StoreError.
    """
    place = root(where)
    try:
        return place.begin(key, started)
    except OSError as error:
        raise StoreError(f"results.root={place.name}: cannot be written to ({said(error)})") from error


def write(record: RunRecord, directory: Path) -> Path:
    """Writes a record into its directory, whole or not at all."""
    path = directory / RECORD
    files.write(path, [_document(record)], sync=True)
    return path


def keep(record: RunRecord, where: Where, directory: Path) -> RunRecord:
    """Stores an attempt that was made in `directory`, see `new_attempt`; the record with its paths.

    Raises NotStored where that cannot be done (a full disk, no permission, no network): the attempt is
    then kept in this user's cache, from which `recover` stores it.
    """
    place = root(where)
    try:
        write(record, directory)
        place.publish(directory)
    except Exception as error:
        what = f"results.root={place.name}: the record could not be stored ({said(error)})"
        try:
            aside = _set_aside(record, place, directory)
        except OSError as second:
            raise NotStored(f"{what}, nor be kept in {place.staging} ({said(second)})") from error
        raise NotStored(f"{what}; it is kept in {aside}; the same command given again stores it") from error
    at = f"{place.name}/runs/{directory.parent.name}/{directory.name}"
    return RunRecord.parse(_document(record), f"{at}/{RECORD}").at(at)


def recover(where: Where, key: str) -> None:
    """Stores the attempts at a run that were kept aside, and removes what killed processes left.

    For the holder of the run's lock. Raises StoreError where they still cannot be stored.
    """
    place = root(where)
    runs = place.staging / "runs" / key
    try:
        for directory in sorted(runs.iterdir() if runs.is_dir() else ()):
            if (directory / RECORD).is_file():
                place.publish(directory)
            elif directory.is_dir() and directory.name != CHECKPOINT:
                shutil.rmtree(directory)
        place.tidy(key)
    except Exception as error:
        raise StoreError(
            f"results.root={place.name}: what is kept in {runs} cannot be stored ({said(error)})"
        ) from error


def read(place: str) -> RunRecord:
    """The record at a path or URL, as its `record_path` says it; raises StoreError."""
    path = local(place)
    if path is not None:
        return RunRecord.read(path)
    import fsspec

    try:
        with fsspec.open(place, "rb") as file:
            content = file.read()
    except Exception as error:
        raise StoreError(f"{place}: not a readable record: {said(error)}") from error
    return RunRecord.parse(content, place).at(place.rpartition("/")[0])


def complete(
    where: Where, key: str, *, with_weights: bool, decided: Callable[[RunRecord], bool] | None = None
) -> RunRecord | None:
    """The newest attempt at a run that ended `ok`, with its weights if they are asked for; or else the newest
    that is `decided` all the same."""
    found = [
        (record.ok, document.attempt, record)
        for document, record in scan.whole(root(where), key)
        if (record.ok and (record.weights_path or not with_weights)) or (decided and decided(record))
    ]
    return max(found, key=lambda each: each[:2])[2] if found else None


def _document(record: RunRecord) -> bytes:
    return record.to_json().encode()


def _set_aside(record: RunRecord, place: Root, directory: Path) -> Path:
    """Brings an attempt that could not be stored into the staging directory, whole."""
    aside = place.staging / "runs" / directory.parent.name / directory.name
    if directory != aside:
        aside.mkdir(parents=True, exist_ok=True)
        for file in directory.iterdir() if directory.is_dir() else ():
            if not file.name.startswith("."):
                shutil.copy2(file, aside)
    if record.weights_path and not (aside / record.weights_path).exists():
        record = replace(record, weights_path=None)  # they are lost
    write(record, aside)
    if directory != aside:
        shutil.rmtree(directory, ignore_errors=True)  # its disk may be as unwilling as it was
    return aside
