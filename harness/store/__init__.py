"""Results: one directory per attempt at a run, one JSON document in it, written once; see `roots`.

`where` is a directory or a URL; any number of processes may write to the same one.
"""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from harness.errors import StoreError
from harness.store import files, scan
from harness.store.record import COLUMNS, DETAIL, RunRecord, paths
from harness.store.roots import CHECKPOINT, RECORD, Document, Root, local, root, said

if TYPE_CHECKING:
    import pandas

__all__ = [
    "NotStored",
    "checkpoints",
    "complete",
    "keep",
    "load",
    "local",
    "lock",
    "new_attempt",
    "prepare",
    "read",
    "records",
    "recover",
    "write",
]

Where = str | os.PathLike[str]
LATER = ("timing", "details")  # most of a document: parsed when they are looked at


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


def records(where: Where) -> list[RunRecord]:
    """One record per run, oldest first: its newest `ok` attempt, or else its newest.

    Attempts are in the order of their directories' names, whatever the clock said. Raises StoreError where
    there are no results; a damaged record, or one of another version, is named on stderr and passed over.
    """
    with _no_collection():
        return [
            RunRecord(**columns, **dict(zip(DETAIL, map(orjson.loads, parts), strict=True)))
            for columns, parts in _rows(where)
        ]


def load(where: Where = "results", *, attempts: bool = False) -> "pandas.DataFrame":
    """All stored runs below a directory or URL as a DataFrame, one row per run, the columns of `RunRecord`.

    The resolved configuration, environment, history, raw timing and details come last, as mappings. With
    `attempts` every attempt that ended `ok` has a row, and a run without one still its newest.
    Raises StoreError where there are no results.
    """
    import pandas

    from harness.store.lazy_json import Documents, objects

    with _no_collection():
        rows = _rows(where, attempts=attempts)
        frame = pandas.DataFrame([columns for columns, _ in rows], columns=list(COLUMNS))
        for k, name in enumerate(DETAIL):
            texts = objects([parts[k] for _, parts in rows])
            frame[name] = Documents(texts) if name in LATER else objects([orjson.loads(t) for t in texts])
    return frame


def _rows(where: Where, *, attempts: bool = False) -> list[tuple[dict[str, Any], list[memoryview]]]:
    """The columns and the parts of each run's best attempt, or of all its good ones, oldest first."""
    place = root(where)
    found = scan.entries(place)
    if not found and not place.exists():
        raise StoreError(
            f"{place.name}: no such results directory; a run makes it: python run.py data=digits"
        )
    ranked: dict[str, list[tuple[tuple[bool, str], Document, dict[str, Any], list[memoryview]]]] = {}
    for document, entry in found.items():
        first, *parts = entry.parts()
        columns = orjson.loads(first)
        rank = (columns["status"] == "ok", document.attempt)
        ranked.setdefault(columns["key"], []).append((rank, document, columns, parts))
    chosen = []
    for of_one_run in ranked.values():
        best = max(of_one_run, key=lambda each: each[0])
        chosen += [each for each in of_one_run if each[0][0]] if attempts and best[0][0] else [best]
    rows = []
    for _, document, columns, parts in chosen:
        at = paths(place.directory(document), columns["weights_path"])
        rows.append((columns | at, parts))
    return sorted(rows, key=lambda row: row[0]["started"])


@contextmanager
def _no_collection() -> Iterator[None]:
    """What is read stays: collecting garbage meanwhile would walk through all of it, over and over."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
