"""The record of one run: everything that is known about it, in one immutable document."""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.errors import StoreError

SCHEMA = 1

STATUSES = (
    "ok",
    "diverged",  # the training loss was no longer finite
    "failed",  # an exception, a damaged file: the reason says which
    "crashed",  # the process ended by a signal, or without a word
    "out_of_memory",
    "timeout",  # longer than run.timeout_seconds
    "interrupted",  # Ctrl-C or SIGTERM
    "skipped",  # not to be had on this machine
    "parity_failed",  # loss or gradients too far from the reference; not trained
)


@dataclass(frozen=True)
class RunRecord:
    """One run. Fields that it did not get to are None; throughput is in sequences/s."""

    # what it was
    key: str
    status: str
    reason: str | None
    started: str
    command: str
    backend: str
    implementation: str
    engine: str | None
    cell: str
    hidden: int
    layers: int
    bidirectional: bool
    sequence: str
    data: str
    seed: int
    batch_size: int
    epochs: int
    precision: str
    device: str
    threads: int
    parameters: int
    flops_per_sequence: int
    mode: str = "train"
    kernel: str | None = None
    device_name: str | None = None
    contended: bool | None = None
    # what it learnt
    test_accuracy: float | None = None
    test_loss: float | None = None
    validation_accuracy: float | None = None
    best_validation_accuracy: float | None = None
    train_loss: float | None = None
    # how fast it was
    train_throughput: float | None = None
    train_throughput_low: float | None = None
    train_throughput_high: float | None = None
    train_throughput_coverage: float | None = None
    inference_throughput: float | None = None
    inference_throughput_low: float | None = None
    inference_throughput_high: float | None = None
    inference_throughput_coverage: float | None = None
    latency_p50_seconds: float | None = None
    latency_p99_seconds: float | None = None
    step_latency_p50_seconds: float | None = None  # of one time step, streamed one sequence at a time
    step_latency_p99_seconds: float | None = None
    train_seconds: float | None = None
    first_call_seconds: float | None = None
    compile_seconds: float | None = None  # of compiled training: the first call less one steady step
    total_seconds: float | None = None
    seconds_to_target: dict[str, float | None] | None = None
    epochs_to_target: dict[str, int | None] | None = None
    steps_to_target: dict[str, int | None] | None = None
    train_flops_per_second: float | None = None
    peak_flops_per_second: float | None = None  # of matrix products alone, at the best shape …
    own_shape_flops_per_second: float | None = None  # … and at the shape of the run's own, see `roofline`
    peak_fraction: float | None = None  # training's share of each
    own_shape_fraction: float | None = None
    peak_memory_bytes: int | None = None
    device_peak_memory_bytes: int | None = None
    # how far from the reference
    parity_loss: float | None = None
    parity_gradient: float | None = None
    weights_path: str | None = None
    record_path: str | None = None
    # the whole of it
    schema: int = SCHEMA
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)  # one entry per epoch
    timing: dict[str, Any] = field(default_factory=dict)  # raw windows, warm-up, first calls
    details: dict[str, Any] = field(default_factory=dict)  # parity by parameter, confusion, hashes

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def to_json(self) -> str:
        """The document: plain JSON, in which a number that is not finite is null."""
        text = json.dumps(_finite(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        return text.encode("utf-8", "backslashreplace").decode()  # half a character becomes JSON's escape

    @staticmethod
    def read(path: Path) -> "RunRecord":
        """Reads a record; raises StoreError for a damaged one and for a schema not known here."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: not a readable record: {error}") from error
        schema = values.get("schema") if isinstance(values, dict) else None
        if schema != SCHEMA:
            raise UnknownSchema(
                f"{path}: schema {schema!r} is unknown to this version, which reads schema {SCHEMA}"
            )
        names = {f.name for f in fields(RunRecord)}
        try:
            record = RunRecord(**{name: value for name, value in values.items() if name in names})
        except TypeError as error:
            raise StoreError(f"{path}: not a whole record: {error}") from error
        beside = {"record_path": str(path)}
        if record.weights_path:
            beside["weights_path"] = str(path.parent / record.weights_path)
        return RunRecord(**{**asdict(record), **beside})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class UnknownSchema(StoreError):
    """A record written by another version; never read as if it were this one's."""


DETAIL = ("config", "environment", "history", "timing", "details")
COLUMNS = tuple(f.name for f in fields(RunRecord) if f.name not in ("schema", *DETAIL))
