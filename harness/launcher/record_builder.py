"""Builds a run's record from what becomes known of it."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from harness.config import dataset
from harness.config.schema import Config
from harness.measure.clock import now
from harness.measure.phases import Phases
from harness.runner.protocol import Update
from harness.store import flops
from harness.store.record import RunRecord
from harness.text import one_line

MAX_REASON = 2000  # characters, on one line


class RecordBuilder:
    """What is known of a run so far."""

    def __init__(self, config: Config, *, key: str, threads: int, command: str) -> None:
        self.phases = Phases("prepare")
        self.values: dict[str, Any] = {
            "key": key,
            "command": command,
            "started": now().isoformat(),
            "threads": threads,
            "config": config.to_mapping(),
            "environment": {},
            "history": [],
            "timing": {},
            "details": {},
            **_configured_columns(config),
        }

    def update(self, update: Update) -> None:
        self.values |= update.columns
        self.values["details"] |= update.details
        self.values["timing"] |= update.timing

    def add_epoch(self, entry: Mapping[str, Any]) -> None:
        """Appends an entry to the record's history."""
        self.values["history"].append(entry)

    def build(self, status: str, reason: str | None) -> RunRecord:
        """The record of a run that ended like this, its last phase included."""
        phases = self.phases.end()
        reason = None if reason is None else one_line(reason, MAX_REASON)
        self.values["timing"]["phases"] = phases
        total = math.fsum(phases.values())
        values = {**self.values, "status": status, "reason": reason, "total_seconds": total}
        values |= flops.columns(values)
        return RunRecord(**{f.name: values[f.name] for f in fields(RunRecord) if f.name in values})


def _configured_columns(config: Config) -> dict[str, Any]:
    """The record's columns that the configuration determines."""
    model = config.model_spec(dataset.shape_of(config))
    return {
        "mode": config.mode,
        "backend": config.backend.name,
        "implementation": config.backend.implementation,
        "engine": config.backend.engine,
        "cell": config.cell.name,
        "hidden": config.cell.hidden,
        "layers": config.model.layers,
        "bidirectional": config.model.bidirectional,
        "sequence": config.reading,
        "data": config.data.name,
        "seed": config.seed,
        "batch_size": config.train.batch_size,
        "epochs": _epochs(config),
        "precision": config.precision,
        "device": config.device,
        "parameters": model.parameters,
        "flops_per_sequence": model.flops_per_sequence,
        "training_flops_per_sequence": flops.training_flops(
            model, solver=config.train.solver, truncate=config.train.truncate
        ),
    }


def _epochs(config: Config) -> int:
    """The number of passes over the training set."""
    if config.mode != "train":
        return 0
    return 1 if config.train.solver == "ridge" else config.train.epochs
