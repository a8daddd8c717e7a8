"""Records made without a run."""

from dataclasses import replace
from typing import Any

import pandas

from harness.config.schema import Config
from harness.launcher.record_builder import RecordBuilder
from harness.report.frame import records_frame
from harness.store import derived
from harness.store.record import RunRecord
from tests.support.configurations import composed

BY, METRICS = ["backend", "cell"], ["test_accuracy", "train_throughput", "parity_gradient"]


def record(status: str = "ok", reason: str | None = None, *overrides: str, **fields: Any) -> RunRecord:
    config: Config = composed(*overrides)
    builder = RecordBuilder(config, key=f"{status}{overrides}{fields}", threads=2, command="python run.py")
    return replace(builder.build(status, reason), **fields)


def frame(*records: RunRecord) -> pandas.DataFrame:
    return records_frame(records)


PEAK = 1e11


def measured(
    backend: str, overhead: float, step: float, rate: float, *overrides: str, **fields: object
) -> RunRecord:
    """A run whose updates take `overhead` + T · `step` + FLOPs / `rate` seconds."""
    made = record("ok", None, f"backend={backend}", "mode=throughput", *overrides)
    steps = 784 if made.sequence == "pixel" else 28 // made.config["sequence"]["rows_per_step"]
    assert made.training_flops_per_sequence is not None
    work = made.batch_size * made.training_flops_per_sequence
    seconds = overhead + steps * step + work / rate
    values = {
        "train_throughput": made.batch_size / seconds,
        "peak_flops_per_second": PEAK,
        "device_name": "Some CPU",
        "details": {"shape": {"steps": steps, "features": 784 // steps, "classes": 10}},
    }
    known = {**vars(made), **values, **fields}
    return RunRecord(**{**known, **derived.columns(known), **fields})
