"""All stored runs, as records or as a DataFrame."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from harness.errors import StoreError
from harness.store import scan
from harness.store.layout import Document
from harness.store.record import COLUMNS, DETAIL, RunRecord, paths
from harness.store.roots import root

if TYPE_CHECKING:
    import pandas
from harness.store.attempts import Where

LATER = ("timing", "details")  # most of a document: parsed when they are looked at


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
