"""The record of one run: everything that is known about it, in one immutable document."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import orjson

from harness.errors import StoreError
from harness.store import derived
from harness.store.columns import (
    BY_TARGET,
    FLOP,
    FLOPS,
    RATE,
    SECONDS,
    SHARE,
    UNBOUNDED_SHARE,
    Column,
    accuracy,
    by_target,
    duration,
    energy,
    loss,
    memory,
    optional,
    parity,
    part,
    required,
    speed,
)
from harness.store.validate import finite, invalid_part, json_types

SCHEMA = 1


@dataclass(frozen=True)
class RunRecord:
    """One run. Fields that it did not get to are None; throughput is in sequences/s."""

    # what it was
    key: str = required("hash of what determines the result: configuration, machine, versions")
    status: str = required("how it ended, see above")
    reason: str | None = required("why it is not `ok`, in one line")
    started: str = required("when, in UTC", "ISO 8601")
    command: str = required("what makes this one run again")
    backend: str = required("who computed")
    implementation: str = required("`fused`, `loop`, `compiled` or `scan`: what `auto` became")
    engine: str | None = required("what Keras computed with")
    cell: str = required("the recurrent cell")
    hidden: int = required("H of a layer and direction", "units")
    layers: int = required("one on top of the other")
    bidirectional: bool = required("whether every layer also reads from the end")
    sequence: str = required("how images were read; `stored` for sequences of one's own")
    data: str = required("the dataset")
    seed: int = required("of weights, batches and dropout")
    batch_size: int = required("of one update", "sequences")
    epochs: int = required("how often the training set was to be gone through")
    precision: str = required("of weights and arithmetic")
    device: str = required("what computed: `cpu`, `cuda:0`, `mps`")
    threads: int = required("cores that it had")
    parameters: int = required("numbers in all weights, those that are not trained included", counted=True)
    flops_per_sequence: int = required(
        "two for each multiply-add of the forward matrix products",
        FLOP,
        counted=True,
    )
    mode: str = optional("`train`, `stream` or `throughput`", default="train")
    kernel: str | None = optional(
        "the path that really ran: oneDNN, cuDNN, XLA, Inductor, how many shards; `CUDA graph` where a "
        "training step is captured as one"
    )
    device_name: str | None = optional("the processor or GPU, as the system calls it")
    contended: bool | None = optional(
        "whether others were on its cores or its GPU, or a CPU quota kept it off its cores, while it trained"
    )
    # what it learnt
    test_accuracy: float | None = accuracy("on the test set, evaluated once, after the last epoch")
    test_loss: float | None = loss("mean cross-entropy there")
    validation_accuracy: float | None = accuracy("after the last epoch")
    best_validation_accuracy: float | None = accuracy("after any epoch")
    train_loss: float | None = loss("mean over the batches of the last epoch, each before its update")
    # how fast it was
    train_throughput: float | None = speed(
        "training: the median over windows of steps, each at least `measure.window_seconds` long",
        of_windows=True,
    )
    train_throughput_low: float | None = optional(
        "where the 95 % interval of this run's median begins, by a block bootstrap over its windows; another "
        "run's median may lie outside",
        RATE,
        timed=True,
    )
    train_throughput_high: float | None = optional("where it ends", RATE, timed=True)
    train_throughput_coverage: float | None = optional(
        "what the interval covers: 0.95; for fewer than forty windows, whose whole range it is, "
        "1 - 2^(1-n), were they independent",
        SHARE,
    )
    train_throughput_best: float | None = speed(
        "undisturbed training: the mean of the five fastest of these windows; null for fewer than twenty",
        of_windows=True,
        of_fastest=True,
    )
    unsteady: bool | None = optional(
        "whether `train_throughput_best` is more than 10 % above `train_throughput`: for half of the run or "
        "more the speed was lower than it can be"
    )
    inference_throughput: float | None = speed(
        "predicting the test set in batches of `evaluate.batch_size`: the median"
    )
    inference_throughput_low: float | None = optional(
        "where the interval of this run's median begins", RATE, timed=True
    )
    inference_throughput_high: float | None = optional("where it ends", RATE, timed=True)
    inference_throughput_coverage: float | None = optional("what the interval covers", SHARE)
    latency_p50_seconds: float | None = duration(
        "of one sequence, from asking to having its logits on the host: the median"
    )
    latency_p99_seconds: float | None = duration("the same: 99 of 100 are faster")
    step_latency_p50_seconds: float | None = duration(
        "of one time step, streamed one sequence at a time: median"
    )
    step_latency_p99_seconds: float | None = duration("the same: 99 of 100 are faster")
    train_seconds: float | None = duration(
        "sum of the training windows; evaluation, compilation and warm-up are not in it"
    )
    first_call_seconds: float | None = duration("the first training step, which compiles what is compiled")
    compile_seconds: float | None = duration(
        "of `implementation=compiled`: what that first step took beyond a steady one"
    )
    total_seconds: float | None = duration(
        "from the launcher's beginning to the run's end; `timing.phases` adds up to it"
    )
    seconds_to_target: dict[str, float | None] | None = by_target(
        "training seconds until the validation accuracy first reached each of `measure.targets`",
        SECONDS,
        timed=True,
    )
    epochs_to_target: dict[str, int | None] | None = by_target("the same", "epochs")
    steps_to_target: dict[str, int | None] | None = by_target("the same", "updates")
    training_flops_per_sequence: int | None = optional(
        "the same for training: the backward pass adds the gradients by what is trained and by what depends "
        "on it, so none by the data; null with `train.solver=ridge`",
        FLOP,
        counted=True,
    )
    train_flops_per_second: float | None = speed(
        "`train_throughput` times `training_flops_per_sequence`", FLOPS, of_windows=True
    )
    peak_flops_per_second: float | None = optional(
        "the best matrix product in the same process, on the same threads: the run's own and squares, on a "
        "CPU before and after training",
        FLOPS,
        timed=True,
    )
    own_shape_flops_per_second: float | None = optional(
        "the product that the run repeats most, (B, H) by (H, G·H)", FLOPS, timed=True
    )
    peak_fraction: float | None = speed(
        "`train_flops_per_second` as a share of `peak_flops_per_second`; null where it is more, so that "
        "the products measured are no peak",
        SHARE,
        of_windows=True,
    )
    own_shape_fraction: float | None = speed(
        "as a share of `own_shape_flops_per_second`; above 1 is possible; null where `peak_fraction` is",
        UNBOUNDED_SHARE,
        of_windows=True,
    )
    peak_memory_bytes: int | None = memory("the most that the process held, frameworks included")
    device_peak_memory_bytes: int | None = memory("the most on a GPU")
    energy_joules: float | None = energy(
        "of training: what the GPU's card consumed or, on a CPU, the processor's packages with the run's "
        "cores, from the beginning of each epoch's first window to the end of its last; `details.energy` "
        "says how it was measured and whose it is, or why it is null"
    )
    joules_per_1000_sequences: float | None = energy("the same, for each 1,000 sequences of training")
    # how far from the reference
    parity_loss: float | None = parity(
        "distance from the float64 reference on the first batch: |Δloss| / loss"
    )
    parity_gradient: float | None = parity("the largest ‖Δg‖ / ‖g‖ of any parameter there")
    parity_update: float | None = parity(
        "the largest distance after three batches of real training: of the losses, of what any parameter "
        "changed by, and of the optimiser's slots"
    )
    parity_logits: float | None = parity(
        "‖Δlogits‖ / ‖logits‖ of 256 test sequences, at the weights that were trained"
    )
    weights_path: str | None = optional("the trained weights, where `save_weights=true`")
    record_path: str | None = optional("this document; filled in when it is read")
    # the whole of it
    schema: int = optional("version of this list; a reader refuses one that it does not know", default=SCHEMA)
    config: dict[str, Any] = part(dict, "the whole resolved configuration")
    environment: dict[str, Any] = part(
        dict,
        "processor, the cores and the GPU held, versions, git revision, load before the run; `card`: the "
        "GPU's name, driver, power limit and highest clocks; `variables`: environment variables that change "
        "speed or arithmetic, where any is set; `variables_set`: what the launcher set",
    )
    history: list[dict[str, Any]] = part(
        list,
        "one entry per epoch: `epoch`, `train_loss`, `validation_accuracy`, `validation_loss`, "
        "`train_throughput` (sequences/s over the epoch) and `seconds`",
    )
    timing: dict[str, Any] = part(
        dict, "raw `windows`, `warm_up`, first call, and `phases`: seconds by what the run was doing", SECONDS
    )
    details: dict[str, Any] = part(
        dict,
        "parity by parameter, SHA-256 of the splits as loaded and of each epoch's order, the first ten "
        "losses, confusion matrix, FLOP/s by shape, what others took of the cores and the GPU, `gpu_state`: "
        "its clocks, temperature and power at both ends, `energy`, memory on the way, what was resumed, "
        "`logger`, `sweep`: the run's place in the order of a sweep",
    )

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def to_json(self) -> str:
        """The document: plain JSON, in which a number that is not finite is null."""
        text = json.dumps(finite(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
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
        wrong = next((name for name, value in known.items() if type(value) not in TYPES[name]), None)
        wrong = wrong or invalid_part(known, TARGETS)
        if wrong is not None:
            raise StoreError(f"{place}: not a whole record: {wrong} is of the wrong type")
        try:
            return RunRecord(**known | derived.columns(known))
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


class UnknownSchema(StoreError):
    """A record written by another version; never read as if it were this one's."""


DETAIL = ("config", "environment", "history", "timing", "details")
COLUMNS = tuple(f.name for f in fields(RunRecord) if f.name not in ("schema", *DETAIL))
DESCRIPTIONS: dict[str, Column] = {f.name: f.metadata["column"] for f in fields(RunRecord)}
TARGETS = tuple(name for name, column in DESCRIPTIONS.items() if column.unit.endswith(BY_TARGET))


def column(name: str) -> Column:
    """What a column holds, or one entry of it (`seconds_to_target.0.97`); nothing is known of other names."""
    base, _, target = name.partition(".")
    return DESCRIPTIONS.get(base if base in TARGETS and target else name, Column(""))


TYPES = {name: json_types(hint) for name, hint in get_type_hints(RunRecord).items()}
