"""The typed configuration: frozen dataclasses that only validate.

Defaults live in `conf/`; what is allowed, and what each key means, here and in `sections`. Every error names
the key, the value found and what is allowed. Nothing here looks at the machine, the network or a file.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from harness.backends.base import Setup
from harness.config import catalogue, checks, identity, rules, sections
from harness.config.checks import Check, choice, config_error, integer, optional, text
from harness.config.sections import option
from harness.data.dataset import Shape
from harness.data.own_sequences import NPZ
from harness.data.sequence import shape as sequence_shape
from harness.errors import ConfigError
from harness.model.cell import cell_spec
from harness.model.initializers import SCHEMES
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec, Schedule
from harness.model.precision import PRECISIONS

T = TypeVar("T")

MODES = ("train", "stream", "throughput")
DIAGNOSTICS = ("none", "gradient_flow")
OBJECTIVES = ("val_accuracy", "train_throughput", "seconds_to_target")


@dataclass(frozen=True)
class Config:
    """One run, whole and valid."""

    backend: sections.Backend
    cell: sections.Cell
    model: sections.Model
    data: sections.Data
    sequence: sections.Sequence
    train: sections.Train
    evaluate: sections.Evaluate
    measure: sections.Measure
    results: sections.Results
    logger: sections.Logger
    run: sections.Run
    sweep: sections.Sweep
    init: str = option(
        choice(*SCHEMES),
        "how weights start: `keras` (Glorot, orthogonal, forget bias 1), `torch` (uniform, ±1/√H), `irnn` "
        "(the identity)",
    )
    device: str = option(
        checks.device,
        "what computes; `auto` is a GPU where the backend has one, else the CPU. With `auto` and `cuda` a "
        "run takes any GPU of the same model as the first one",
    )
    threads: int | None = option(optional(integer(1, 4096)), "cores that a run takes; null is all")
    precision: str = option(
        choice(*PRECISIONS),
        "of weights and arithmetic; with `backend=torch` also `tf32` (NVIDIA GPUs) and `bfloat16` (layers "
        "alone)",
    )
    seed: int = option(integer(0), "of the weights, the order of the batches and dropout")
    mode: str = option(
        choice(*MODES),
        "`train`; `stream`: rows one at a time, from the weights of a file; `throughput`: how fast, and "
        "nothing learnt",
    )
    diagnostics: str = option(
        choice(*DIAGNOSTICS), "`gradient_flow`: the norm of ∂L/∂h_t at every step, before and after training"
    )
    objective: str | None = option(
        optional(choice(*OBJECTIVES)),
        "of `hydra/sweeper=optuna`: what is searched for; `seconds_to_target` is to the highest of "
        "`measure.targets`",
    )
    weights: str | None = option(optional(text), "a safetensors file to start from")
    save_weights: bool = option(checks.boolean, "whether the trained weights are stored beside the record")

    @staticmethod
    def from_mapping(values: Mapping[str, Any]) -> "Config":
        """Validates a composed configuration as a whole; raises ConfigError."""
        values = dict(values)
        cell = build_cell(checks.group("cell", values.pop("cell", None)))
        parts: dict[str, Any] = {"cell": cell}
        for name, section in SECTIONS.items():
            parts[name] = build(section, checks.group(name, values.pop(name, None)), f"{name}.")
        scalars = {f.name: f.metadata["check"] for f in fields(Config) if "check" in f.metadata}
        checks.reject_unknown_keys(values, [*scalars, *SECTIONS, "cell"], "")
        config = Config(**parts, **check_values(scalars, values))
        config.check_together()
        return config

    def check_together(self) -> None:
        """What no key can say alone."""
        backend, engine = self.backend.name, self.backend.engine
        choice(*catalogue.backend_names())("backend.name", backend)
        engines, devices = catalogue.engines(backend), catalogue.device_kinds(backend)
        if engine not in (engines or (None,)):
            allowed = f"needs one of {', '.join(engines)}" if engines else "has no engines: null"
            raise config_error("backend.engine", engine, f"{backend} {allowed}")
        if self.device.split(":")[0] not in ("auto", *devices):
            raise config_error("device", self.device, f"{backend} computes on {', '.join(devices)} only")
        self._check_data()
        rules.check(self)

    def _check_data(self) -> None:
        own, path, sequence = self.data.name == NPZ, self.data.path, self.sequence
        if own and path is None:
            raise config_error(
                "data.path", path, "data=npz needs a file with the arrays x and y: data.path=mine.npz"
            )
        if not own and path is not None:
            raise config_error(
                "data.path", path, f"data={self.data.name} is no file of your own: use data=npz, or null"
            )
        for key, stored in (("name", "row"), ("rows_per_step", 1)):
            value = getattr(sequence, key)
            if own and value != stored:
                raise config_error(
                    f"sequence.{key}", value, "is for images; data=npz is read as stored: leave it out"
                )
        sequence_shape(sequence.name, sequence.rows_per_step)

    def to_mapping(self) -> dict[str, Any]:
        """The configuration as plain data, options of the cell beside its width."""
        values = asdict(self)
        values["cell"] |= values["cell"].pop("options")
        values["measure"]["targets"] = list(values["measure"]["targets"])
        return values

    @property
    def reading(self) -> str:
        """How sequences come about, as a record says it: by which view of images, or `stored` as such."""
        return "stored" if self.data.name == NPZ else self.sequence.name

    def model_spec(self, shape: Shape) -> ModelSpec:
        """The model for data of that shape; see `harness.config.dataset.shape_of`."""
        return ModelSpec(
            cell=self.cell.name,
            steps=shape.steps,
            features=shape.features,
            hidden=self.cell.hidden,
            classes=shape.classes,
            layers=self.model.layers,
            bidirectional=self.model.bidirectional,
            readout=self.model.readout,
            initial_state=self.model.initial_state,
            dropout=self.model.dropout,
            options=self.cell.options,
        )

    def optimizer(self) -> OptimizerSpec:
        t = self.train
        return OptimizerSpec(t.optimizer, t.momentum, t.beta1, t.beta2, t.rho, t.epsilon, t.clip_norm)

    def schedule(self, steps_per_epoch: int) -> Schedule:
        t = self.train
        return Schedule(
            t.schedule,
            t.learning_rate,
            total_steps=t.epochs * steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            decay_factor=t.decay_factor,
            decay_epochs=t.decay_epochs,
        )

    def setup(self, shape: Shape, *, threads: int, device: str) -> Setup:
        return Setup(
            model=self.model_spec(shape),
            optimizer=self.optimizer(),
            implementation=self.backend.implementation,
            engine=self.backend.engine,
            device=device,
            threads=threads,
            precision=self.precision,
            truncate=self.train.truncate,
            seed=self.seed,
            shards=self.backend.shards,
        )


# the groups whose keys are the same whatever the cell
SECTIONS: dict[str, Any] = {
    name: kind for name, kind in get_type_hints(Config).items() if is_dataclass(kind) and name != "cell"
}


def build(section: type[T], values: Mapping[str, Any], prefix: str) -> T:
    """One section from plain data; every key of it, no other, each checked. Keys that are younger than some
    records may be missing."""
    values = {**identity.younger_keys(prefix), **values}
    known = {f.name: f.metadata["check"] for f in fields(section)}  # type: ignore[arg-type]
    checks.reject_unknown_keys(values, list(known), prefix)
    return section(**check_values(known, values, prefix))


def check_values(known: Mapping[str, Check], values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The value of each key that has a check; raises ConfigError for one that is missing."""
    for name in known:
        if name not in values:
            raise ConfigError(f"{prefix}{name}: missing")
    return {name: check(f"{prefix}{name}", values[name]) for name, check in known.items()}


def build_cell(values: Mapping[str, Any]) -> sections.Cell:
    """The cell's section, whose keys depend on the cell."""
    name = text("cell.name", values.get("name"))
    choice(*catalogue.cell_names())("cell.name", name)
    offered = cell_spec(name).options
    checks.reject_unknown_keys(values, ["name", "hidden", *offered], "cell.")
    hidden = integer(1, 65_536)("cell.hidden", values.get("hidden"))
    options = {
        key: checks.cell_option(allowed)(f"cell.{key}", values.get(key)) for key, allowed in offered.items()
    }
    return sections.Cell(name, hidden, options)
