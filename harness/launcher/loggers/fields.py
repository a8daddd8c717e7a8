"""What loggers are given of a run, as flat names and plain values."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.config.flat import flat
from harness.config.schema import Config
from harness.store.record import COLUMNS, TARGETS, RunRecord


def parameters(config: Config) -> dict[str, str | int | float | bool]:
    """The whole configuration by dotted keys such as `train.epochs`. null becomes the text null."""
    values = flat(config.to_mapping())
    return {name: "null" if value is None else value for name, value in values.items()}


def epoch_metrics(entry: Mapping[str, Any]) -> dict[str, float]:
    """One entry of a record's history as `epoch/train_loss` and the like."""
    return {f"epoch/{name}": value for name, value in entry.items() if name != "epoch" and _is_finite(value)}


def metrics(record: RunRecord) -> dict[str, float]:
    """Every column that is a number, `seconds_to_target.0.97` and its like among them."""
    columns = {name: getattr(record, name) for name in COLUMNS}
    for name in TARGETS:
        columns |= {f"{name}.{target}": value for target, value in (columns[name] or {}).items()}
    return {name: value for name, value in columns.items() if _is_finite(value)}


def tags(record: RunRecord) -> dict[str, str]:
    """Every column that is a text or a boolean: the status and its reason, the command, the kernel."""
    columns = ((name, getattr(record, name)) for name in COLUMNS if not name.endswith("_path"))
    values = {name: str(value) for name, value in columns if isinstance(value, str | bool)}
    # an empty reason replaces that of the attempt which this one resumed
    return {"reason": "", **values} if record.details.get("resumed") else values


def artifacts(record: RunRecord, directory: Path | None) -> list[Path]:
    """The files of an attempt besides its record: its output, and its weights if they were saved."""
    if directory is None:
        return []
    names = ["output.log", *([record.weights_path] if record.weights_path else [])]
    return [directory / name for name in names if (directory / name).is_file()]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
