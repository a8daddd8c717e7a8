"""What loggers are given of a run, as flat names and plain values."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.config.schema import Config
from harness.store.record import COLUMNS, RunRecord
from harness.store.validate import TARGETS


def parameters(config: Config) -> dict[str, str | int | float | bool]:
    """The whole configuration: `train.epochs` and the like. What is null is the text null, lists are JSON."""
    return {
        name: value if isinstance(value, str | int | float) else json.dumps(value)
        for name, value in _flat(config.to_mapping())
    }


def epoch_metrics(entry: Mapping[str, Any]) -> dict[str, float]:
    """One entry of a record's history as `epoch/train_loss` and the like."""
    return {f"epoch/{name}": value for name, value in entry.items() if name != "epoch" and _finite(value)}


def metrics(record: RunRecord) -> dict[str, float]:
    """Every column that is a number, `seconds_to_target.0.97` and its like among them."""
    columns = {name: getattr(record, name) for name in COLUMNS}
    for name in TARGETS:
        columns |= {f"{name}.{target}": value for target, value in (columns[name] or {}).items()}
    return {name: value for name, value in columns.items() if _finite(value)}


def tags(record: RunRecord) -> dict[str, str]:
    """Every column that is a text or a yes or no: the status and its reason, the command, the kernel."""
    columns = ((name, getattr(record, name)) for name in COLUMNS if not name.endswith("_path"))
    found = {name: str(value) for name, value in columns if isinstance(value, str | bool)}
    # what an attempt before this one said has an end with it
    return {"reason": "", **found} if record.details.get("resumed") else found


def artefacts(record: RunRecord, directory: Path | None) -> list[Path]:
    """The files of an attempt beside its record: what it printed, and its weights if they were saved."""
    if directory is None:
        return []
    names = ["output.log", *([record.weights_path] if record.weights_path else [])]
    return [directory / name for name in names if (directory / name).is_file()]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
