"""Which runs a table is of, and which of their columns make its groups and its figures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from difflib import get_close_matches

import pandas

from harness.config import identity
from harness.config.flat import flat
from harness.errors import HarnessError
from harness.report.format import missing
from harness.store.record import COLUMNS, DETAIL, TARGETS, RunRecord
from harness.text import one_line

BY = ("backend", "cell")
METRICS = ("test_accuracy", "train_throughput", "inference_throughput", "parity_gradient")
MODE_METRICS = {  # where all runs are of that mode
    "stream": ("test_accuracy", "step_latency_p50_seconds", "step_latency_p99_seconds", "parity_gradient"),
    "throughput": ("train_throughput", "inference_throughput", "peak_fraction", "parity_gradient"),
}
METRIC = "--metric"
# a record's columns that are its configuration too; a setting of any other column's name is told from it
SAME = ("mode", "device", "threads", "precision")
TAKEN = {*COLUMNS, *DETAIL, "target", "n", "n_contended"} - set(SAME)
MOST = 12  # values that a message lists


class TableError(HarnessError):
    """A table that cannot be made: an unknown column, no runs, no match, no place to write it."""


def framed(records: Sequence[RunRecord]) -> pandas.DataFrame:
    """Records as `harness.load` gives them: their columns, then the parts of DETAIL."""
    found = [
        {name: _whole(value) if isinstance(value, str) else value for name, value in asdict(record).items()}
        for record in records
    ]
    return pandas.DataFrame(found, columns=[*COLUMNS, *DETAIL])


def columns(text: str, frame: pandas.DataFrame, *, option: str) -> list[str]:
    """Column names from `a,b`; of the option METRIC `seconds_to_target.0.97` names one entry of a mapping."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [""]:
        base, _, target = name.partition(".")
        if option == METRIC and base in TARGETS and target:
            continue
        if name not in frame.columns:
            raise _no_such(option, name, frame)
        if name in TARGETS:
            raise TableError(
                f"{option}: {name!r} holds a figure for each target; one of them is a metric: {name}.0.97"
            )
        if name in DETAIL:
            raise TableError(f"{option}: {name!r} holds a whole document, neither a figure nor a group")
    for name in names:
        if names.count(name) > 1:
            raise TableError(f"{option}: {name!r} is named twice")
    return names


def usual(frame: pandas.DataFrame) -> tuple[str, ...]:
    """The metrics that are shown unless others are asked for: those of the runs' mode."""
    modes = set(frame["mode"])
    return MODE_METRICS.get(modes.pop(), METRICS) if len(modes) == 1 else METRICS


def where(frame: pandas.DataFrame, filters: Sequence[str]) -> pandas.DataFrame:
    """The rows for which every `column=value` (or `column=a,b`) holds, compared as text; `null` is none."""
    for item in filters:
        column, equals, values = item.partition("=")
        if column not in frame.columns:
            raise _no_such("--where COLUMN=VALUE", item, frame)
        if not equals:
            raise TableError(f"--where {one_line(item)}: lacks a value: {one_line(item)}=VALUE")
        allowed = {value.strip().lower() for value in values.split(",")}
        frame = frame[frame[column].map(lambda value, a=allowed: said(value).lower() in a).astype(bool)]
    return frame


def matching(stored: pandas.DataFrame, filters: Sequence[str], results: str) -> pandas.DataFrame:
    """The rows for which every filter holds; raises TableError where none is left, saying what there is."""
    if stored.empty:
        raise TableError(f"no runs in {results}; make one with: python run.py data=digits")
    for item in filters:
        left = where(stored, [item])
        if left.empty:
            column = item.partition("=")[0]
            there = sorted({one_line(said(value), 60) for value in stored[column]})
            more = f" and {len(there) - MOST} others" if len(there) > MOST else ""
            raise TableError(
                f"--where {one_line(item)}: no such run among {len(stored)} in {results}"
                f"{' that the filters before it leave' if item != filters[0] else ''}; "
                f"{column} is {', '.join(there[:MOST])}{more} there"
            )
        stored = left
    return stored


def _no_such(option: str, name: str, frame: pandas.DataFrame) -> TableError:
    known = [one_line(column) for column in frame.columns if column not in DETAIL]
    close = get_close_matches(name.split("=")[0], known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return TableError(f"{option}: {name!r} is no column{hint}\nThere are: {', '.join(known)}")


def with_config(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The frame and, beside its columns, every configuration key by its dotted name."""
    flattened = pandas.DataFrame(
        [flat(config) for config in frame["config"]], index=frame.index, dtype=object
    )
    return frame.join(flattened[[name for name in flattened.columns if name not in frame.columns]])


def said(value: object) -> str:
    """A value as one types it."""
    return "null" if missing(value) else _whole(str(value))


def _whole(text: str) -> str:
    """A text in which half a character is a ?, as it is in a document: pandas with pyarrow takes no other."""
    return text.encode("utf-8", "replace").decode()


def split(
    frame: pandas.DataFrame, by: Sequence[str], *, among: Callable[[str], bool] = lambda name: True
) -> tuple[pandas.DataFrame, list[str]]:
    """The frame and `by`, both with a column more for whatever else differs between runs of one group, of
    the settings for whose name `among` holds.

    A mean is over seeds and nothing else: runs that differ in their configuration, their threads or
    their device never share a row. A key that only some runs have, as options of a cell are, is missing
    in the others; null is a value.
    """
    told, good = _settings(frame), frame["status"] == "ok"
    groups = [frame.loc[good, name].map(said) for name in by]
    apart: list[str] = []
    for name, column in told[good].items():
        if among(str(name)) and column.nunique() > 1 and column.groupby(groups).nunique().max() > 1:
            apart.append(str(name))
            groups.append(column.map(said))
    return frame.assign(**{name: told[name] for name in apart}), [*by, *apart]


def _settings(frame: pandas.DataFrame) -> pandas.DataFrame:
    """All that may tell runs apart, as text."""
    found = [
        {name: said(value) for name, value in identity.settings(config).items()} for config in frame["config"]
    ]
    told = pandas.DataFrame(found, index=frame.index, dtype=object)
    told = told.rename(columns={name: f"config.{name}" for name in told if name in TAKEN})
    told["data.sha256"] = [str(details.get("data_sha256", ""))[:12] for details in frame["details"]]
    return told.assign(threads=frame["threads"].map(said), device_name=frame["device_name"].map(said))


def not_ok(frame: pandas.DataFrame, by: Sequence[str]) -> pandas.DataFrame:
    """The runs that did not end `ok`, each with its status and reason."""
    columns = list(dict.fromkeys([*by, "seed", "status", "reason"]))
    return frame[frame["status"] != "ok"][columns]
