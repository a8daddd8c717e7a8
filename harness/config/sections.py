"""The groups of keys of a configuration: frozen dataclasses that only hold. Each key has the check of its
values and its meaning beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.backends.base import IMPLEMENTATIONS
from harness.config.catalogue import all_engines
from harness.config.checks import Check, choice, flag, fractions, number, optional, text, whole
from harness.data import DATASETS, NPZ
from harness.data.sequence import NORMALIZE, SEQUENCES
from harness.model.cell import Value
from harness.model.network import INITIAL_STATES, READOUTS
from harness.model.optimizer import OPTIMIZERS, SCHEDULES

LOGGERS = ("tensorboard", "mlflow", "wandb")
RERUN = ("failed", "all")
SOLVERS = ("gradient", "ridge")


def option(check: Check, meaning: str) -> Any:
    """A key: what its values may be, and what it means, in one sentence; its default is in `conf/`."""
    return field(metadata={"check": check, "meaning": meaning})


@dataclass(frozen=True)
class Backend:
    name: str = option(text, "who computes: a folder of `harness/backends/`")
    implementation: str = option(
        choice(*IMPLEMENTATIONS),
        "`fused` the framework's own layer; `loop` the cell's step in a time loop; `compiled` that loop "
        "through the framework's compiler; `scan` all steps at once; `auto`: `fused`, else `loop`",
    )
    engine: str | None = option(
        optional(choice(*all_engines())), "of `backend=keras`: the framework that Keras runs on"
    )


@dataclass(frozen=True)
class Cell:
    """A cell's name, its width and the options that its `SPEC` offers."""

    name: str = option(text, "the recurrent cell: a file of `harness/cells/`")
    hidden: int = option(whole(1, 65_536), "H, the units of a layer and direction")
    options: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    layers: int = option(whole(1, 64), "layers, one on top of the other")
    bidirectional: bool = option(
        flag, "whether every layer also reads from the end, its outputs beside the others"
    )
    readout: str = option(
        choice(*READOUTS),
        "what the classifier sees of the outputs: the last, their mean, their maximum, or a weighted sum",
    )
    initial_state: str = option(choice(*INITIAL_STATES), "where sequences start from; `learned` trains it")
    dropout: float = option(
        number(0, 1, open_high=True),
        "share of the outputs of every layer but the last set to zero in training",
    )


@dataclass(frozen=True)
class Data:
    name: str = option(
        choice(*DATASETS, NPZ), "the dataset; `digits` needs no download, `npz` is a file of one's own"
    )
    path: str | None = option(
        optional(text), "of `data=npz`: a file with arrays x (N, T, I) and y (N,), perhaps x_test and y_test"
    )
    test_fraction: float = option(
        number(0, 1, open_low=True, open_high=True), "of `data=npz` without x_test: the share of x that tests"
    )
    split_seed: int = option(whole(0), "of `data=npz`: by which what tests, and what validates, is drawn")
    root: str | None = option(
        optional(text), "where datasets lie; null is `$HARNESS_DATA`, else a cache directory of the user's"
    )
    limit: int | None = option(
        optional(whole(1)), "training sequences to use, from the first on; null is all"
    )
    download: bool = option(flag, "whether what is missing is downloaded")
    normalize: str = option(
        choice(*NORMALIZE),
        "`none`: pixels are divided by 255; `standard`: mean and deviation are taken out too",
    )


@dataclass(frozen=True)
class Sequence:
    name: str = option(
        choice(*SEQUENCES),
        "how an image is read: 28 rows or columns of 28, or 784 pixels, in order or `permuted`",
    )
    rows_per_step: int = option(whole(1, 28), "of `sequence=row`: rows read in one step; divides 28")


@dataclass(frozen=True)
class Train:
    solver: str = option(
        choice(*SOLVERS),
        "`gradient`: epochs of updates; `ridge`: a linear readout in closed form, over one pass",
    )
    ridge: float = option(
        number(0, 1e9, open_low=True),
        "of `ridge`: the penalty on the readout's weights, times the number of sequences",
    )
    epochs: int = option(whole(0, 1_000_000), "passes over the training set; 0 only evaluates")
    batch_size: int = option(whole(1, 1_000_000), "B, sequences of one update")
    optimizer: str = option(choice(*OPTIMIZERS), "the update rule")
    learning_rate: float = option(number(0, 1e3, open_low=True), "of the first update")
    schedule: str = option(
        choice(*SCHEDULES),
        "of the learning rate: `cosine` down to 0 at the end, `step` by `train.decay_factor`",
    )
    decay_factor: float = option(number(0, 1, open_low=True), "of `schedule=step`: multiplied in …")
    decay_epochs: int = option(whole(1, 1_000_000), "… after every so many epochs")
    clip_norm: float | None = option(
        optional(number(0, 1e6, open_low=True)),
        "the largest global norm of the gradients; null does not clip",
    )
    momentum: float = option(number(0, 1, open_high=True), "of `momentum`")
    beta1: float = option(number(0, 1, open_high=True), "of `adam`")
    beta2: float = option(number(0, 1, open_high=True), "of `adam`")
    rho: float = option(number(0, 1, open_high=True), "of `rmsprop`")
    epsilon: float = option(
        number(0, 1, open_low=True),
        "of `adam` and `rmsprop`. With 1e-8 a weight whose gradient is all but zero moves by roundoff "
        "alone, which "
        "grows over an epoch until runs on two frameworks differ in the third digit of their loss",
    )
    truncate: int | None = option(
        optional(whole(1)),
        "k cuts sequences into chunks of k steps: a loss and an update each, the state carried on",
    )
    checkpoint_epochs: int | None = option(
        optional(whole(1, 1_000_000)),
        "k keeps a checkpoint every k epochs; a run that is killed goes on from the last",
    )


@dataclass(frozen=True)
class Evaluate:
    batch_size: int = option(whole(1, 1_000_000), "sequences that are predicted at once")


@dataclass(frozen=True)
class Measure:
    warmup_steps: int = option(whole(1, 100_000), "of `mode=train`: steps before anything is timed")
    window_seconds: float = option(
        number(0, 3600, open_low=True), "the least that is timed as one, in seconds"
    )
    seconds: float = option(
        number(0, 86_400, open_low=True),
        "of `mode=throughput`: for how long updates, and predictions, are timed",
    )
    targets: tuple[float, ...] = option(fractions, "validation accuracies, the time to which is recorded")


@dataclass(frozen=True)
class Results:
    root: str = option(text, "where runs are stored: a directory, or a URL that fsspec knows")


@dataclass(frozen=True)
class Logger:
    name: str = option(choice("none", *LOGGERS), "who else is told of a run as it goes")
    uri: str | None = option(
        optional(text), "of `logger=mlflow`: its server, http://HOST:PORT; null is `$MLFLOW_TRACKING_URI`"
    )
    project: str = option(
        text, "of `logger=mlflow` the experiment, of `logger=wandb` the project that runs belong to"
    )


@dataclass(frozen=True)
class Run:
    timeout_seconds: float | None = option(
        optional(number(0, 1e8, open_low=True)), "after which a run is ended, as `timeout`; null never"
    )


@dataclass(frozen=True)
class Sweep:
    rerun: str = option(
        choice(*RERUN), "`failed`: what is not ok yet runs again; `all`: everything does, from nothing"
    )
    dry_run: bool = option(
        flag, "say what would run, what is there already and what cannot start; run nothing, write nothing"
    )
