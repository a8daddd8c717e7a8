"""The record of one run: everything that is known about it, in one immutable document."""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import orjson

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
    "pruned",  # by a search, which saw no sense in going on: not a failure
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
        return text.encode("utf-8", "replace").decode()  # half a character, of a path say, becomes a ?

    @staticmethod
    def read(path: Path) -> "RunRecord":
        """Reads a record; raises StoreError for a damaged one and for a schema not known here."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path}: not a readable record: {error.strerror}") from error
        return RunRecord.parse(content, str(path)).at(str(path.parent))

    @staticmethod
    def parse(content: bytes, place: str) -> "RunRecord":
        """The record that a document holds; `place` names it in a StoreError."""
        try:
            values = orjson.loads(content)
        except ValueError as error:
            raise StoreError(f"{place}: not a readable record: {error}") from error
        if not isinstance(values, dict):
            raise StoreError(f"{place}: not a readable record: it holds no JSON object")
        if type(values.get("schema")) is not int or values["schema"] != SCHEMA:
            raise UnknownSchema(
                f"{place}: schema {values.get('schema')!r} is unknown to this version, which reads "
                f"schema {SCHEMA}"
            )
        known = {name: value for name, value in values.items() if name in TYPES}
        wrong = _misfit(known)
        if wrong is not None:
            raise StoreError(f"{place}: not a whole record: {wrong} is of the wrong type")
        try:
            return RunRecord(**known)
        except TypeError as error:
            raise StoreError(f"{place}: not a whole record: {error}") from error

    def at(self, directory: str) -> "RunRecord":
        """The record with the paths of what lies in its directory, or at its URL."""
        beside = paths(directory, self.weights_path)
        return replace(self, record_path=beside["record_path"], weights_path=beside["weights_path"])


def paths(directory: str, weights: str | None) -> dict[str, str | None]:
    """The columns that say where a record and its weights lie; `weights` as the document has it."""
    return {
        "record_path": f"{directory}/record.json",
        "weights_path": f"{directory}/{weights}" if weights else None,
    }


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


def _types(hint: Any) -> frozenset[type]:
    """What JSON may hold where a field has that annotation."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    plain = {get_origin(part) or part for part in parts}
    return frozenset(plain | {int}) if float in plain else frozenset(plain)


TYPES = {name: _types(hint) for name, hint in get_type_hints(RunRecord).items()}
TARGETS = ("seconds_to_target", "epochs_to_target", "steps_to_target")
NUMBER = frozenset({int, float, NoneType})


def _misfit(values: dict[str, Any]) -> str | None:
    """The name of a field that does not hold what it should, as far as anything here relies on it."""
    for name, value in values.items():
        if type(value) not in TYPES[name]:
            return name
    for name in TARGETS:
        if not all(type(value) in NUMBER for value in (values.get(name) or {}).values()):
            return name
    if not all(type(entry) is dict for entry in values.get("history", [])):
        return "history"
    versions = values.get("environment", {}).get("versions", {})
    if type(versions) is not dict or not all(type(version) is str for version in versions.values()):
        return "environment.versions"
    return None
