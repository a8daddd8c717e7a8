"""The groups of keys of a configuration: frozen dataclasses that only hold. Each key has the check of its
values and its description beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.backends.base import IMPLEMENTATIONS
from harness.config.catalogue import all_engines
from harness.config.checks import Check, boolean, choice, fractions, integer, number, optional, text
from harness.data.mnist import DATASETS
from harness.data.own_sequences import NPZ
from harness.data.sequence import NORMALIZE, SEQUENCES
from harness.model.cell import Value
from harness.model.network import INITIAL_STATES, READOUTS
from harness.model.optimizer import OPTIMIZERS, SCHEDULES

LOGGERS = ("tensorboard", "mlflow", "wandb")
RERUN = ("failed", "all")
ORDERS = BLOCKS, GIVEN = "blocks", "given"
SOLVERS = ("gradient", "ridge")


def option(check: Check, description: str) -> Any:
    """A key: what its values may be, and what it means, in one sentence; its default is in `conf/`."""
    return field(metadata={"check": check, "description": description})


@dataclass(frozen=True)
class Backend:
    name: str = option(text, "the framework that computes: a folder of `harness/backends/`")
    implementation: str = option(
        choice(*IMPLEMENTATIONS),
        "`fused` the framework's own layer; `loop` the cell's step in a time loop; `compiled` that loop "
        "through the framework's compiler; `scan` all steps at once; `auto`: `fused`, else `loop`",
    )
    engine: str | None = option(
        optional(choice(*all_engines())), "of `backend=keras`: the framework that Keras runs on"
    )
    shards: int = option(
        integer(1, 4096),
        "of `backend=torch` on a CPU: the number of processes that share out each batch and the threads",
    )
    pad_features: bool = option(
        boolean,
        "of `backend=torch` and `fused`: whether the layer reads zeros beside the features, up to a multiple "
        "of 128, which cuDNN's persistent kernels ask for; the results are the same",
    )


@dataclass(frozen=True)
class Cell:
    """A cell's name, its width and the options that its `SPEC` offers."""

    name: str = option(text, "the recurrent cell: a file of `harness/cells/`")
    hidden: int = option(integer(1, 65_536), "H, the hidden units of each layer and direction")
    options: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    layers: int = option(integer(1, 64), "the number of stacked layers")
    bidirectional: bool = option(
        boolean, "whether every layer also reads backwards; the outputs of both directions are concatenated"
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
        choice(*DATASETS, NPZ), "the dataset; `digits` needs no download, `npz` is a file of your own"
    )
    path: str | None = option(
        optional(text), "of `data=npz`: a file with arrays x (N, T, I) and y (N,), perhaps x_test and y_test"
    )
    test_fraction: float = option(
        number(0, 1, open_low=True, open_high=True),
        "of `data=npz` without x_test: the share of x that becomes the test set",
    )
    split_seed: int = option(integer(0), "of `data=npz`: the seed that draws the test and the validation set")
    root: str | None = option(
        optional(text),
        "where datasets are stored; null is `$HARNESS_DATA`, else a cache directory of the user's",
    )
    limit: int | None = option(
        optional(integer(1)), "how many training sequences to use, from the first on; null is all"
    )
    download: bool = option(boolean, "whether missing datasets are downloaded")
    normalize: str = option(
        choice(*NORMALIZE),
        "`none`: pixels are divided by 255; `standard`: they are also standardised by mean and deviation",
    )


@dataclass(frozen=True)
class Sequence:
    name: str = option(
        choice(*SEQUENCES),
        "how an image is read: 28 rows or columns of 28, or 784 pixels, in order or `permuted`",
    )
    rows_per_step: int = option(integer(1, 28), "of `sequence=row`: rows read in one step; divides 28")


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
    epochs: int = option(integer(0, 1_000_000), "passes over the training set; 0 only evaluates")
    batch_size: int = option(integer(1, 1_000_000), "B, sequences of one update")
    optimizer: str = option(choice(*OPTIMIZERS), "the update rule")
    learning_rate: float = option(number(0, 1e3, open_low=True), "of the first update")
    schedule: str = option(
        choice(*SCHEDULES),
        "of the learning rate: `cosine` down to 0 at the end, `step` by `train.decay_factor`",
    )
    decay_factor: float = option(
        number(0, 1, open_low=True), "of `schedule=step`: the factor by which the rate is multiplied …"
    )
    decay_epochs: int = option(integer(1, 1_000_000), "… every so many epochs")
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
        optional(integer(1)),
        "k cuts sequences into chunks of k steps: a loss and an update each, the state carried on",
    )
    checkpoint_epochs: int | None = option(
        optional(integer(1, 1_000_000)),
        "k stores a checkpoint every k epochs; a run that was killed continues from the last one",
    )


@dataclass(frozen=True)
class Evaluate:
    batch_size: int = option(integer(1, 1_000_000), "how many sequences are predicted at once")


@dataclass(frozen=True)
class Measure:
    warmup_steps: int = option(integer(1, 100_000), "of `mode=train`: steps before anything is timed")
    window_seconds: float = option(
        number(0, 3600, open_low=True), "the shortest window that is timed, in seconds"
    )
    seconds: float = option(
        number(0, 86_400, open_low=True),
        "of `mode=throughput`: for how many seconds updates, and then predictions, are timed",
    )
    targets: tuple[float, ...] = option(
        fractions, "validation accuracies; the time until each is reached is recorded"
    )


@dataclass(frozen=True)
class Results:
    root: str = option(text, "where runs are stored: a directory, or a URL that fsspec knows")


@dataclass(frozen=True)
class Logger:
    name: str = option(choice("none", *LOGGERS), "where a run is also logged while it goes on")
    uri: str | None = option(
        optional(text), "of `logger=mlflow`: the server, http://HOST:PORT; null is `$MLFLOW_TRACKING_URI`"
    )
    project: str = option(
        text, "the experiment (`logger=mlflow`) or project (`logger=wandb`) that runs belong to"
    )


@dataclass(frozen=True)
class Run:
    timeout_seconds: float | None = option(
        optional(number(0, 1e8, open_low=True)),
        "seconds after which a run is ended as `timeout`; null is never",
    )


@dataclass(frozen=True)
class Sweep:
    rerun: str = option(
        choice(*RERUN),
        "`failed`: runs that are not ok yet are made again; `all`: every run is, from the start",
    )
    order: str = option(
        choice(*ORDERS),
        "`blocks`: a run of every configuration with the first seed, then with the next, every second time "
        "in reverse, so that a machine that gets slower or faster meanwhile favours none; `given`: as Hydra "
        "lists them, where the last key of the command changes fastest",
    )
    dry_run: bool = option(
        boolean, "list what would run, what is complete and what cannot start; runs and writes nothing"
    )
