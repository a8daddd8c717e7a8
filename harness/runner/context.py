"""What a run needs before its mode begins: data, model and session, prepared once and handed on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from harness.backends.base import Session, Setup, Weights
from harness.config import catalogue
from harness.config import dataset as datasets
from harness.config.schema import Config
from harness.data.dataset import Dataset, Shape
from harness.errors import Unavailable
from harness.measure.energy import Meter
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.precision import held_in
from harness.runner import out_of_memory
from harness.runner.import_guard import hide_packages
from harness.runner.protocol import Emit, Note, Phase
from harness.store import weights


@dataclass(frozen=True)
class Context:
    """What one run computes on, and where it reports."""

    config: Config
    dataset: Dataset
    shape: Shape
    setup: Setup
    session: Session
    initial_weights: Weights
    emit: Emit
    energy: Meter

    @property
    def model(self) -> ModelSpec:
        return self.setup.model

    @property
    def train_labels(self) -> np.ndarray:
        return self.dataset.train.labels

    def sequences(self, split: str, rows: datasets.Rows = datasets.ALL) -> np.ndarray:
        """(N, T, I) of a split, or of these rows of it, in the type of the weights."""
        return datasets.sequences(self.config, self.dataset, split, rows)

    def load(self, split: str) -> str:
        """Puts a split into the session; returns the SHA-256 of its numbers and labels, as they lie there."""
        x, y = self.sequences(split), self.dataset.split(split).labels
        self.session.load(split, x, y)
        digest = hashlib.sha256(np.ascontiguousarray(x).data)
        digest.update(y.astype(np.int64).data)
        return digest.hexdigest()

    def begin(self, phase: str, note: str) -> None:
        """Reports what the run is doing from now on: the phase for its timing, the note for a person."""
        self.emit(Phase(phase))
        self.emit(Note(note))


def prepare(config: Config, dataset: Dataset, *, threads: int, emit: Emit) -> Context:
    """The session of a configuration, with its initial weights and no data loaded.

    Raises ConfigError for a batch larger than the training set, Unavailable for a backend that does not work
    here, WeightsError for a weights file that does not fit.
    """
    shape = datasets.shape_in(config, dataset)
    datasets.check_batch(config, len(dataset.train.labels))
    device = "cuda" if config.device.startswith("cuda") else config.device
    setup = config.setup(shape, threads=threads, device=device)
    start = initial_weights(config, setup)
    emit(Phase("imports"))
    emit(Note(f"starting {config.backend.name}"))
    with hide_packages(catalogue.unused_packages(config.backend.name, config.backend.engine)):
        session = open_session(config.backend.name, setup)
    session.put_weights(start)
    return Context(config, dataset, shape, setup, session, start, emit, Meter(session.device))


def open_session(backend: str, setup: Setup) -> Session:
    """A session of a backend; Unavailable, with the install line, where its package is not usable."""
    advice = f"install it: {catalogue.install_command(catalogue.packages(backend, setup.engine))}"
    try:
        module = catalogue.backend_module(backend)
    except Exception as error:
        if isinstance(error, MemoryError) or out_of_memory.matches(str(error)):
            raise
        raise Unavailable(f"{backend} cannot be imported here ({_describe(error)}); {advice}") from error
    try:
        return cast(Session, module.open_session(setup))
    except ImportError as error:
        raise Unavailable(f"{backend} cannot start here ({_describe(error)}); {advice}") from error


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def initial_weights(config: Config, setup: Setup) -> Weights:
    """The weights of the file that `weights` names, else drawn; in the type of the precision."""
    if config.weights:
        initial = weights.load(Path(config.weights), setup.model)
    else:
        initial = draw(setup.model, config.seed, config.init)
    return {name: w.astype(held_in(setup.precision)) for name, w in initial.items()}
