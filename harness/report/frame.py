"""Selects the runs of a table, and the columns that group them or are shown as metrics."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from difflib import get_close_matches

import pandas

from harness.config import identity
from harness.config.flat import flat
from harness.errors import HarnessError
from harness.report.format import missing, text
from harness.store.record import COLUMNS, DETAIL, TARGETS, RunRecord
from harness.text import one_line

BY = ("backend", "cell")
METRICS = ("test_accuracy", "train_throughput", "inference_throughput", "parity_gradient")
MODE_METRICS = {  # where all runs are of that mode
    "stream": ("test_accuracy", "step_latency_p50_seconds", "step_latency_p99_seconds", "parity_gradient"),
    "throughput": ("train_throughput", "inference_throughput", "peak_fraction", "parity_gradient"),
}
METRIC = "--metric"
# columns that equal the configuration key of the same name; a key named as any other column gets a prefix
CONFIGURED = ("mode", "device", "threads", "precision")
RESERVED = {*COLUMNS, *DETAIL, "target", "n", "n_contended", "n_unsteady"} - set(CONFIGURED)
MAX_LISTED = 12  # values that a message lists


class TableError(HarnessError):
    """A table that cannot be made: an unknown column, no runs, no match, no place to write it."""


def records_frame(records: Sequence[RunRecord]) -> pandas.DataFrame:
    """Records as `harness.load` gives them: their columns, then the parts of DETAIL."""
    rows = [
        {
            name: _replace_surrogates(value) if isinstance(value, str) else value
            for name, value in asdict(record).items()
        }
        for record in records
    ]
    return pandas.DataFrame(rows, columns=[*COLUMNS, *DETAIL])


def columns(text: str, frame: pandas.DataFrame, *, option: str) -> list[str]:
    """Column names from `a,b`; of the option METRIC `seconds_to_target.0.97` names one entry of a mapping."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [""]:
        base, _, target = name.partition(".")
        if option == METRIC and base in TARGETS and target:
            continue
        if name not in frame.columns:
            raise _unknown_column(option, name, frame)
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


def default_metrics(frame: pandas.DataFrame) -> tuple[str, ...]:
    """The default metrics: those of the mode, where all runs have the same one."""
    modes = set(frame["mode"])
    return MODE_METRICS.get(modes.pop(), METRICS) if len(modes) == 1 else METRICS


def filter_runs(frame: pandas.DataFrame, filters: Sequence[str]) -> pandas.DataFrame:
    """The rows that match every `column=value` (or `column=a,b`), as text; `null` is a missing value."""
    for item in filters:
        column, equals, values = item.partition("=")
        if column not in frame.columns:
            raise _unknown_column("--where COLUMN=VALUE", item, frame)
        if not equals:
            raise TableError(f"--where {one_line(item)}: lacks a value: {one_line(item)}=VALUE")
        allowed = {value.strip().lower() for value in values.split(",")}
        frame = frame[frame[column].map(lambda value, a=allowed: value_text(value).lower() in a).astype(bool)]
    return frame


def matching_runs(stored: pandas.DataFrame, filters: Sequence[str], results: str) -> pandas.DataFrame:
    """The rows that match every filter; raises TableError, with the values that exist, where none does."""
    if stored.empty:
        raise TableError(f"no runs in {results}; make one with: python run.py data=digits")
    for item in filters:
        left = filter_runs(stored, [item])
        if left.empty:
            column = item.partition("=")[0]
            values_found = sorted({one_line(value_text(value), 60) for value in stored[column]})
            more = f" and {len(values_found) - MAX_LISTED} others" if len(values_found) > MAX_LISTED else ""
            raise TableError(
                f"--where {one_line(item)}: no such run among {len(stored)} in {results}"
                f"{' that the filters before it leave' if item != filters[0] else ''}; "
                f"{column} is {', '.join(values_found[:MAX_LISTED])}{more} there"
            )
        stored = left
    return stored


def _unknown_column(option: str, name: str, frame: pandas.DataFrame) -> TableError:
    known = [one_line(column) for column in frame.columns if column not in DETAIL]
    close = get_close_matches(name.split("=")[0], known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return TableError(f"{option}: {name!r} is no column{hint}\nThere are: {', '.join(known)}")


def with_config(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The frame with a column more for every configuration key, by its dotted name."""
    flattened = pandas.DataFrame(
        [flat(config) for config in frame["config"]], index=frame.index, dtype=object
    )
    return frame.join(flattened[[name for name in flattened.columns if name not in frame.columns]])


def value_text(value: object) -> str:
    """A value as it is written in a filter."""
    return "null" if missing(value) else _replace_surrogates(str(value))


def _replace_surrogates(text: str) -> str:
    """A text with every lone surrogate replaced by ?, as in a record: pandas with pyarrow rejects them."""
    return text.encode("utf-8", "replace").decode()


def split_by_settings(
    frame: pandas.DataFrame, by: Sequence[str], *, setting_filter: Callable[[str], bool] = lambda name: True
) -> tuple[pandas.DataFrame, list[str]]:
    """Adds to the frame and to `by` the settings that differ between runs of one group; only those whose name
    passes `setting_filter`.

    A mean is over seeds and nothing else: runs that differ in their configuration, their threads or
    their device never share a row. A key that only some runs have, as options of a cell are, is missing
    in the others; null is a value.
    """
    settings, ok = _settings(frame), frame["status"] == "ok"
    groups = [frame.loc[ok, name].map(value_text) for name in by]
    differing: list[str] = []
    for name, column in settings[ok].items():
        if setting_filter(str(name)) and column.nunique() > 1 and column.groupby(groups).nunique().max() > 1:
            differing.append(str(name))
            groups.append(column.map(value_text))
    return frame.assign(**{name: settings[name] for name in differing}), [*by, *differing]


def _settings(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Every setting in which runs can differ, as text."""
    rows = [
        {name: value_text(value) for name, value in identity.settings(config).items()}
        for config in frame["config"]
    ]
    settings = pandas.DataFrame(rows, index=frame.index, dtype=object)
    settings = settings.rename(columns={name: f"config.{name}" for name in settings if name in RESERVED})
    settings["data.sha256"] = [str(details.get("data_sha256", ""))[:12] for details in frame["details"]]
    settings["tournament"] = [
        str(details.get("tournament", {}).get("started", "")) for details in frame["details"]
    ]
    return settings.assign(
        threads=frame["threads"].map(value_text), device_name=frame["device_name"].map(value_text)
    )


def not_ok(frame: pandas.DataFrame, by: Sequence[str]) -> pandas.DataFrame:
    """The runs that did not end `ok`, each with its status and reason."""
    columns = list(dict.fromkeys([*by, "seed", "status", "reason"]))
    return frame[frame["status"] != "ok"][columns]


def installed_versions(frame: pandas.DataFrame) -> dict[str, set[str]]:
    """The versions of each package with which runs were made and of this project, and the environment
    variables that count."""
    versions: dict[str, set[str]] = {}
    for environment in frame["environment"]:
        for name, version in (environment.get("versions", {}) | environment.get("variables", {})).items():
            versions.setdefault(text(name), set()).add(text(version))
        versions.setdefault("harness at", set()).add(text(str(environment.get("git_revision"))))
    return versions
