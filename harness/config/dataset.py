"""The data that a configuration chooses: where it comes from, its shape, the sequences that a run reads.

download_missing(config)                 # downloads what is missing; nothing to do for "digits" and "npz"
shape_of(config)                         # Shape(steps, features, classes), before anything runs
dataset = open_dataset(config)           # parts `train`, `validation`, `test`: examples as stored, labels
xs = sequences(config, dataset, "test")  # (N, T, I) in the type of the run's weights
"""

from pathlib import Path

import numpy as np

from harness.config.schema import Config
from harness.data import dataset, fetch, own_sequences, sequence
from harness.data.dataset import Shape
from harness.data.own_sequences import NPZ
from harness.model.precision import held_in


def download_missing(config: Config, *, progress: bool = False) -> None:
    """Downloads what is missing; see `fetch_missing`."""
    if config.data.name != NPZ:
        fetch.fetch_missing(config.data.name, _root(config), download=config.data.download, progress=progress)


def open_dataset(config: Config) -> dataset.Dataset:
    """Reads and verifies the data; raises DataError."""
    if config.data.name == NPZ:
        return own_sequences.load(_file(config), _split(config), config.data.limit)
    return dataset.load(config.data.name, _root(config), config.data.limit)


def shape_of(config: Config) -> Shape:
    """The shape before anything runs; raises DataError for a person's own file that no run could use.

    Such a file is read as a whole, once for as long as it stays the same.
    """
    if config.data.name == NPZ:
        return own_sequences.inspect(_file(config), _split(config)).shape
    return Shape(*sequence.shape(config.sequence.name, config.sequence.rows_per_step), classes=10)


def shape_in(config: Config, opened: dataset.Dataset) -> Shape:
    """The shape of data that is open."""
    _, steps, features = sequences(config, opened, "train", 1).shape
    return Shape(steps, features, opened.classes)


def fingerprint(config: Config) -> str | None:
    """SHA-256 of a person's own file; None for the others, whose content is fixed."""
    return own_sequences.inspect(_file(config), _split(config)).sha256 if config.data.name == NPZ else None


def sequences(config: Config, opened: dataset.Dataset, split: str, first: int | None = None) -> np.ndarray:
    """A split, or the first so many of it, as sequences (N, T, I) in the type of the run's weights.

    Made anew each time: what is kept is as small as it is stored.
    """
    examples, normalize = opened.split(split).examples[:first], config.data.normalize
    dtype = held_in(config.precision)
    if config.data.name == NPZ:
        return own_sequences.to_float(examples, opened.train.examples, normalize, dtype)
    views = sequence.view(examples, config.sequence.name, config.sequence.rows_per_step)
    return sequence.to_float(views, normalize, dtype)


def _root(config: Config) -> Path:
    return Path(config.data.root) if config.data.root else dataset.default_root()


def _file(config: Config) -> Path:
    assert config.data.path is not None  # the configuration is valid
    return Path(config.data.path)


def _split(config: Config) -> own_sequences.SplitOptions:
    return own_sequences.SplitOptions(config.data.test_fraction, config.data.split_seed)
