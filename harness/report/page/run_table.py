"""Every run as a row of a table, with its command and its environment."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.format import MARK, UNSTEADY, text
from harness.report.grouping import grouped
from harness.store.record import RunRecord, column

# (column, heading, how its values are shown)
COLUMNS = (
    ("status", "status", "text"),
    ("cell", "cell", "text"),
    ("backend", "backend", "text"),
    ("implementation", "implementation", "text"),
    ("engine", "engine", "text"),
    ("hidden", "hidden", "count"),
    ("data", "data", "text"),
    ("sequence", "sequence", "text"),
    ("seed", "seed", "count"),
    ("test_accuracy", "test accuracy", "share"),
    ("train_throughput", "train, seq/s", "rate"),
    ("train_throughput_best", "undisturbed, seq/s", "rate"),
    ("inference_throughput", "predict, seq/s", "rate"),
    ("latency_p50_seconds", "latency p50, ms", "milli"),
    ("train_seconds", "training, s", "seconds"),
    ("peak_fraction", "of the peak", "share"),
    ("parity_gradient", "parity", "small"),
    ("batch_size", "batch", "count"),
    ("epochs", "epochs", "count"),
    ("layers", "layers", "count"),
    ("mode", "mode", "text"),
    ("precision", "precision", "text"),
    ("device", "device", "text"),
    ("threads", "threads", "count"),
    ("started", "started", "text"),
    ("joules_per_1000_sequences", "J per 1,000 seq", "seconds"),
)
WHERE_MEASURED = ("joules_per_1000_sequences",)  # shown where a run has it
FILTERS = ("status", "cell", "backend", "implementation", "data", "mode")
VARIES = ("load_average_before", "cores")  # from run to run on one machine


@dataclass(frozen=True)
class Environment:
    """Where runs were made, in pairs of a name and what it was."""

    pairs: tuple[tuple[str, str], ...]
    runs: int


def run_table(runs: Sequence[RunRecord]) -> dict[str, Any]:
    """What the page's script makes the table from: columns, rows of plain values, and of each run its
    command, its reason, which environment, which device, whether its timing was contended, and whether it was
    unsteady."""
    known: dict[str, int] = {}
    columns = [
        each
        for each in COLUMNS
        if each[0] not in WHERE_MEASURED or any(getattr(run, each[0]) is not None for run in runs)
    ]
    return {
        "columns": [
            {
                "name": name,
                "heading": head,
                "kind": kind,
                "timed": column(name).timed,
                "ofWindows": column(name).of_windows,
            }
            for name, head, kind in columns
        ],
        "filters": list(FILTERS),
        "mark": MARK,
        "unsteadyMark": UNSTEADY,
        "rows": [[_value(getattr(run, name), kind) for name, _, kind in columns] for run in runs],
        "more": [
            [
                text(run.command),
                None if run.reason is None else text(run.reason),
                known.setdefault(_canonical(run.environment), len(known)),
                None if run.device_name is None else text(run.device_name),
                None if run.kernel is None else text(run.kernel),
                run.key,
                bool(run.contended),
                bool(run.unsteady),
            ]
            for run in runs
        ],
    }


def environments(runs: Sequence[RunRecord]) -> list[Environment]:
    """The environments of the runs, in the order in which `run_table` numbers them."""
    alike = grouped((run.environment for run in runs), _canonical).values()
    return [Environment(tuple(_pairs(same[0])), len(same)) for same in alike]


def _canonical(environment: dict[str, Any]) -> str:
    kept = {name: value for name, value in environment.items() if name not in VARIES}
    return json.dumps(kept, sort_keys=True)


def _pairs(environment: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for name, value in environment.items():
        if name in VARIES or value is None:
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {each}" for key, each in value.items())
        pairs.append((text(name).replace("_", " "), text(value)))
    return pairs or [("environment", "the runs ended before it was known")]


def _value(value: Any, kind: str) -> Any:
    """Text fit to be shown, a number, or None."""
    if value is None:
        return None
    if kind == "text":
        return text(value)
    return float(f"{value:.6g}") if isinstance(value, float) and abs(value) < 1000 else round(value)
