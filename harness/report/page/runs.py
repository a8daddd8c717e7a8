"""The runs that a report is about."""

from collections.abc import Sequence

import pandas

from harness.errors import HarnessError
from harness.report.frame import filter_runs, with_config
from harness.store import frames
from harness.store.record import COLUMNS, RunRecord

PARTS = ("config", "environment", "history", "details")  # the raw windows are not shown


class ReportError(HarnessError):
    """A report that cannot be made or written."""


def read(results: str, filters: Sequence[str]) -> list[RunRecord]:
    """The runs below a directory or URL for which every filter holds, oldest first, without raw timing.

    Raises StoreError where there are no results, TableError for an unknown column, ReportError where no run
    is left.
    """
    stored = frames.load(results)
    if stored.empty:
        raise ReportError(f"no runs in {results}; make one with: python run.py data=digits")
    frame = filter_runs(with_config(stored), filters)
    if frame.empty:
        raise ReportError(
            f"no runs in {results} where {' and '.join(filters)}; there are {len(stored):,} others"
        )
    return _records(frame)


def _records(frame: pandas.DataFrame) -> list[RunRecord]:
    columns = frame[list(COLUMNS)]
    plain = columns.astype(object).where(columns.notna(), None).to_dict("records")
    parts = zip(*(list(frame[name]) for name in PARTS), strict=True)
    return [
        RunRecord(**{str(name): value for name, value in row.items()}, **dict(zip(PARTS, own, strict=True)))
        for row, own in zip(plain, parts, strict=True)
    ]
