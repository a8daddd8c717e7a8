"""Results on disk: one directory per attempt, one JSON document in it, written once.

<root>/runs/<key>/<when>/record.json    what is known about the run
                         output.log     everything it printed
                         weights.safetensors
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StoreError
from harness.record import COLUMNS, DETAIL, RunRecord, UnknownSchema

if TYPE_CHECKING:
    import pandas


def prepare(root: Path) -> None:
    """Makes sure, before anything runs, that records can be written; raises StoreError."""
    try:
        (root / "runs").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root / "runs"):
            pass
    except OSError as error:
        raise StoreError(
            f"results.root={root}: cannot be written to ({error.strerror}); choose a directory that can"
        ) from error


def new_attempt(root: Path, key: str, started: datetime) -> Path:
    """A fresh directory for one attempt at a run."""
    path = root / "runs" / key / started.strftime("%Y%m%dT%H%M%S.%f")
    path.mkdir(parents=True)
    return path


def write(record: RunRecord, directory: Path) -> Path:
    """Writes a record into its directory, whole or not at all."""
    path = directory / "record.json"
    with tempfile.NamedTemporaryFile(
        "w", dir=directory, prefix=".record.", delete=False, encoding="utf-8"
    ) as file:
        file.write(record.to_json())
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
    return path


def complete(root: Path, key: str, *, with_weights: bool) -> RunRecord | None:
    """The newest attempt at a run that ended `ok`, with its weights if they are asked for."""
    found = [
        record
        for record in _read_all((root / "runs" / key).glob("*/record.json"))
        if record.ok and (record.weights_path or not with_weights)
    ]
    return max(found, key=lambda record: record.started, default=None)


def records(root: Path) -> list[RunRecord]:
    """One record per run, oldest first: its newest `ok` attempt, or else its newest.

    Raises StoreError where there is no such directory, UnknownSchema for a record of another version; a
    damaged one is named on stderr.
    """
    if not root.is_dir():
        raise StoreError(f"{root}: no such results directory; a run makes it: python run.py data=digits")
    best: dict[str, RunRecord] = {}
    for record in _read_all(sorted((root / "runs").glob("*/*/record.json"))):
        other = best.get(record.key)
        if other is None or (record.ok, record.started) > (other.ok, other.started):
            best[record.key] = record
    return sorted(best.values(), key=lambda record: record.started)


def load(root: str | os.PathLike[str] = "results") -> "pandas.DataFrame":
    """All stored runs below `root` as a DataFrame, one row per run, the columns of `RunRecord`.

    The resolved configuration, environment, history, raw timing and details come last, as mappings.
    Raises StoreError where there is no such directory or a record has an unknown schema.
    """
    import pandas

    rows = [asdict(record) for record in records(Path(root))]
    return pandas.DataFrame(rows, columns=[*COLUMNS, *DETAIL])


def _read_all(paths: Iterable[Path]) -> Iterator[RunRecord]:
    for path in paths:
        try:
            yield RunRecord.read(path)
        except UnknownSchema:
            raise
        except StoreError as error:
            sys.stderr.write(f"passed over: {error}\n")
