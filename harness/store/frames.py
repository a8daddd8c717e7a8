"""All stored runs of a root, as records or as a DataFrame."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from harness.errors import StoreError
from harness.store import scan
from harness.store.layout import Attempt
from harness.store.record import COLUMNS, DETAIL, RunRecord, paths
from harness.store.roots import Location, open_root

if TYPE_CHECKING:
    import pandas

LAZY = ("timing", "details")  # most of a record: parsed on access


def records(location: Location) -> list[RunRecord]:
    """One record per run, oldest first: that of its newest `ok` attempt, or else of its newest attempt.

    The newest attempt is the one whose directory's name sorts last. Raises StoreError where there are no
    results. Records that are damaged or have an unknown schema are named on stderr and passed over.
    """
    with _garbage_collection_paused():
        return [
            RunRecord(**columns, **dict(zip(DETAIL, map(orjson.loads, parts), strict=True)))
            for columns, parts in _rows(location)
        ]


def load(location: Location = "results", *, attempts: bool = False) -> "pandas.DataFrame":
    """All stored runs below a directory or URL as a DataFrame, one row per run, the columns of `RunRecord`.

    The resolved configuration, environment, history, raw timing and details come last, as mappings. With
    `attempts` there is a row for every attempt that ended `ok`, and for the newest attempt at a run without
    one. Raises StoreError where there are no results.
    """
    import pandas

    from harness.store.lazy_json import JsonArray, object_array

    with _garbage_collection_paused():
        rows = _rows(location, attempts=attempts)
        frame = pandas.DataFrame([columns for columns, _ in rows], columns=list(COLUMNS))
        for k, name in enumerate(DETAIL):
            texts = object_array([parts[k] for _, parts in rows])
            frame[name] = JsonArray(texts) if name in LAZY else object_array([orjson.loads(t) for t in texts])
    return frame


def _rows(location: Location, *, attempts: bool = False) -> list[tuple[dict[str, Any], list[memoryview]]]:
    """The columns and the JSON of each of DETAIL, oldest first: see `load`."""
    root = open_root(location)
    entries = scan.read_entries(root)
    if not entries and not root.exists():
        raise StoreError(f"{root.name}: no such results directory; a run makes it: python run.py data=digits")
    runs: dict[str, list[tuple[tuple[bool, str], Attempt, dict[str, Any], list[memoryview]]]] = {}
    for attempt, entry in entries.items():
        first, *parts = entry.parts()
        columns = orjson.loads(first)
        rank = (columns["status"] == "ok", attempt.name)
        runs.setdefault(columns["key"], []).append((rank, attempt, columns, parts))
    rows = []
    for ranked in runs.values():
        best = max(ranked, key=lambda candidate: candidate[0])
        selected = [row for row in ranked if row[0][0]] if attempts and best[0][0] else [best]
        for _, attempt, columns, parts in selected:
            locations = paths(root.attempt_location(attempt), columns["weights_path"])
            rows.append((columns | locations, parts))
    return sorted(rows, key=lambda row: row[0]["started"])


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Nothing that is read becomes garbage, but each collection would go through all of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
