"""Columns that older records lack, from the raw windows that they have."""

from collections.abc import Mapping
from typing import Any

from harness.store.validate import invalid_timing


def columns_of_windows(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns on a record's fastest training windows; {} where it has no windows, or damaged ones."""
    timing, measure = record.get("timing", {}), record.get("config", {}).get("measure")
    at_least = measure.get("window_seconds") if type(measure) is dict else None
    windows = timing.get("windows")
    if not windows or not isinstance(at_least, int | float) or invalid_timing(timing):
        return {}
    from harness.measure.statistics import pooled, undisturbed  # scipy would delay the start of a run

    work, seconds = ([window[name] for window in windows] for name in ("sequences", "seconds"))
    return undisturbed(pooled(work, seconds, at_least))
