"""The typed configuration: frozen dataclasses that only validate.

Defaults live in `conf/`; what is allowed lives here. Every error names the key, the value found and
what is allowed. Nothing here looks at the machine, the network or a file.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from harness.backends.base import IMPLEMENTATIONS, Setup
from harness.data.sequence import SEQUENCES
from harness.data.sequence import shape as sequence_shape
from harness.errors import ConfigError
from harness.init import SCHEMES
from harness.optim import OPTIMIZERS, SCHEDULES, OptimizerSpec, Schedule
from harness.spec import ModelSpec, cell_spec

T = TypeVar("T")
Check = Callable[[str, Any], Any]
HOUSE = Path(__file__).parent

NORMALIZE = ("none", "standard")
READOUTS = ("last", "mean")
PRECISIONS = ("float32", "float64")
ENGINES = ("tensorflow", "jax", "torch")
RERUN = ("failed", "all")


def refuse(key: str, value: object, allowed: str) -> ConfigError:
    """The one form of a configuration error."""
    shown = "null" if value is None else repr(value)
    return ConfigError(f"{key}={shown}: {allowed}")


def whole(low: int, high: int = 2**31 - 1) -> Check:
    def check(key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise refuse(key, value, f"must be a whole number from {low:,} to {high:,}")
        return value

    return check


def number(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> Check:
    """A finite number between two bounds, which belong to it unless they are open."""
    left, right = "(" if open_low else "[", ")" if open_high else "]"

    def check(key: str, value: Any) -> float:
        good = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        if good:
            good = low < value if open_low else low <= value
        if good:
            good = value < high if open_high else value <= high
        if not good:
            raise refuse(key, value, f"must be a number in {left}{low:g}, {high:g}{right}")
        return float(value)

    return check


def choice(*allowed: str) -> Check:
    def check(key: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise refuse(key, value, f"must be one of {', '.join(allowed)}")
        return value

    return check


def flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise refuse(key, value, "must be true or false")
    return value


def text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise refuse(key, value, "must be a non-empty printable text")
    return value


def optional(check: Check) -> Check:
    """The same check, or null."""

    def checked(key: str, value: Any) -> Any:
        return None if value is None else check(key, value)

    return checked


def fractions(key: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        raise refuse(key, value, "must be a list of numbers in (0, 1], like [0.95,0.98]")
    inside = number(0, 1, open_low=True)
    return tuple(sorted({inside(key, item) for item in value}))


def device(key: str, value: Any) -> str:
    plain = isinstance(value, str) and value in ("auto", "cpu", "cuda", "mps")
    indexed = isinstance(value, str) and value.startswith("cuda:") and value[5:].isdecimal()
    if not (plain or indexed) or len(value) > 16:
        raise refuse(key, value, "must be auto, cpu, cuda, cuda:N or mps")
    return str(value)


def option(check: Check) -> Any:
    return field(metadata={"check": check})


@dataclass(frozen=True)
class Backend:
    name: str = option(text)
    implementation: str = option(choice(*IMPLEMENTATIONS))
    engine: str | None = option(optional(choice(*ENGINES)))


@dataclass(frozen=True)
class Cell:
    """A cell's name, its width and the options that its `SPEC` offers."""

    name: str = option(text)
    hidden: int = option(whole(1, 65_536))
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    layers: int = option(whole(1, 64))
    bidirectional: bool = option(flag)
    readout: str = option(choice(*READOUTS))


@dataclass(frozen=True)
class Data:
    name: str = option(choice("mnist", "fashion_mnist", "digits"))
    root: str | None = option(optional(text))
    limit: int | None = option(optional(whole(1)))
    download: bool = option(flag)
    normalize: str = option(choice(*NORMALIZE))


@dataclass(frozen=True)
class Sequence:
    name: str = option(choice(*SEQUENCES))
    rows_per_step: int = option(whole(1, 28))


@dataclass(frozen=True)
class Train:
    epochs: int = option(whole(0, 1_000_000))
    batch_size: int = option(whole(1, 1_000_000))
    optimizer: str = option(choice(*OPTIMIZERS))
    learning_rate: float = option(number(0, 1e3, open_low=True))
    schedule: str = option(choice(*SCHEDULES))
    decay_factor: float = option(number(0, 1, open_low=True))
    decay_epochs: int = option(whole(1, 1_000_000))
    clip_norm: float | None = option(optional(number(0, 1e6, open_low=True)))
    momentum: float = option(number(0, 1, open_high=True))
    beta1: float = option(number(0, 1, open_high=True))
    beta2: float = option(number(0, 1, open_high=True))
    rho: float = option(number(0, 1, open_high=True))
    epsilon: float = option(number(0, 1, open_low=True))


@dataclass(frozen=True)
class Evaluate:
    batch_size: int = option(whole(1, 1_000_000))


@dataclass(frozen=True)
class Measure:
    warmup_steps: int = option(whole(1, 100_000))
    window_seconds: float = option(number(0, 3600, open_low=True))
    targets: tuple[float, ...] = option(fractions)


@dataclass(frozen=True)
class Results:
    root: str = option(text)


@dataclass(frozen=True)
class Run:
    timeout_seconds: float | None = option(optional(number(0, 1e8, open_low=True)))


@dataclass(frozen=True)
class Sweep:
    rerun: str = option(choice(*RERUN))


@dataclass(frozen=True)
class Config:
    """One run, whole and valid."""

    backend: Backend
    cell: Cell
    model: Model
    data: Data
    sequence: Sequence
    train: Train
    evaluate: Evaluate
    measure: Measure
    results: Results
    run: Run
    sweep: Sweep
    init: str = option(choice(*SCHEMES))
    device: str = option(device)
    threads: int | None = option(optional(whole(1, 4096)))
    precision: str = option(choice(*PRECISIONS))
    seed: int = option(whole(0))
    weights: str | None = option(optional(text))
    save_weights: bool = option(flag)

    @staticmethod
    def from_mapping(values: Mapping[str, Any]) -> "Config":
        """Validates a composed configuration as a whole; raises ConfigError."""
        values = dict(values)
        cell = build_cell(_mapping("cell", values.pop("cell", None)))
        parts: dict[str, Any] = {"cell": cell}
        for name, section in SECTIONS.items():
            parts[name] = build(section, _mapping(name, values.pop(name, None)), f"{name}.")
        scalars = {f.name: f for f in fields(Config) if "check" in f.metadata}
        _refuse_unknown(values, [*scalars, *SECTIONS, "cell"], "")
        for name, described in scalars.items():
            if name not in values:
                raise ConfigError(f"{name}: missing")
            parts[name] = described.metadata["check"](name, values[name])
        config = Config(**parts)
        config.check_together()
        return config

    def check_together(self) -> None:
        """What no key can say alone."""
        names = [path.parent.name for path in sorted((HOUSE / "backends").glob("*/backend.py"))]
        choice(*names)("backend.name", self.backend.name)
        package = __import__(f"harness.backends.{self.backend.name}", fromlist=["DEVICES"])
        if (self.backend.engine is None) != (package.ENGINES == ()):
            raise refuse(
                "backend.engine",
                self.backend.engine,
                f"{self.backend.name} "
                + (
                    f"needs one of {', '.join(package.ENGINES)}"
                    if package.ENGINES
                    else "has no engines: null"
                ),
            )
        if self.device.split(":")[0] not in ("auto", *package.DEVICES):
            raise refuse(
                "device", self.device, f"{self.backend.name} computes on {', '.join(package.DEVICES)} only"
            )
        sequence_shape(self.sequence.name, self.sequence.rows_per_step)

    def to_mapping(self) -> dict[str, Any]:
        """The configuration as plain data, options of the cell beside its width."""
        values = asdict(self)
        values["cell"] |= values["cell"].pop("options")
        values["measure"]["targets"] = list(values["measure"]["targets"])
        return values

    def model_spec(self) -> ModelSpec:
        steps, features = sequence_shape(self.sequence.name, self.sequence.rows_per_step)
        return ModelSpec(
            cell=self.cell.name,
            steps=steps,
            features=features,
            hidden=self.cell.hidden,
            classes=10,
            layers=self.model.layers,
            bidirectional=self.model.bidirectional,
            readout=self.model.readout,
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

    def setup(self, *, threads: int, device: str) -> Setup:
        return Setup(
            model=self.model_spec(),
            optimizer=self.optimizer(),
            implementation=self.backend.implementation,
            engine=self.backend.engine,
            device=device,
            threads=threads,
            precision=self.precision,
        )


SECTIONS: dict[str, type] = {
    "backend": Backend,
    "model": Model,
    "data": Data,
    "sequence": Sequence,
    "train": Train,
    "evaluate": Evaluate,
    "measure": Measure,
    "results": Results,
    "run": Run,
    "sweep": Sweep,
}


def build(section: type[T], values: Mapping[str, Any], prefix: str) -> T:
    """One section from plain data; every key of it, no other, each checked."""
    described = {f.name: f.metadata["check"] for f in fields(section)}  # type: ignore[arg-type]
    _refuse_unknown(values, list(described), prefix)
    for name in described:
        if name not in values:
            raise ConfigError(f"{prefix}{name}: missing")
    return section(**{name: check(f"{prefix}{name}", values[name]) for name, check in described.items()})


def build_cell(values: Mapping[str, Any]) -> Cell:
    """The cell's section, whose keys depend on the cell."""
    name = text("cell.name", values.get("name"))
    cells = [path.stem for path in sorted((HOUSE / "cells").glob("*.py")) if path.stem != "__init__"]
    choice(*cells)("cell.name", name)
    offered = cell_spec(name).options
    _refuse_unknown(values, ["name", "hidden", *offered], "cell.")
    hidden = whole(1, 65_536)("cell.hidden", values.get("hidden"))
    options = {key: choice(*allowed)(f"cell.{key}", values.get(key)) for key, allowed in offered.items()}
    return Cell(name, hidden, options)


def _mapping(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise refuse(key, value, "must be a group of keys")
    return value


def _refuse_unknown(values: Mapping[str, Any], known: list[str], prefix: str) -> None:
    for key in values:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {prefix}{close[0]}?" if close else ""
            raise ConfigError(f"{prefix}{key}: unknown key{hint} (known: {', '.join(known)})")
