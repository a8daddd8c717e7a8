"""The data that a configuration chooses: where it comes from, its shape, the sequences that a run reads.

download_missing(config)                 # downloads what is missing; nothing to do for "digits" and "npz"
shape_of(config)                         # Shape(steps, features, classes), before anything runs
dataset = open_dataset(config)           # parts `train`, `validation`, `test`: examples as stored, labels
xs = sequences(config, dataset, "test")  # (N, T, I) in the type of the run's weights
"""

from pathlib import Path

import numpy as np

from harness.config.schema import Config
from harness.data import dataset, fetch, mnist, own_sequences, sequence
from harness.data.dataset import Shape
from harness.data.own_sequences import NPZ
from harness.errors import ConfigError
from harness.model.precision import held_in

Rows = slice | np.ndarray  # of a split
ALL = slice(None)
DIGITS_TRAIN_SIZE = 1_318  # of 1,437; the other 119 validate


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


def train_size(config: Config) -> int:
    """How many sequences a run trains on, before anything runs; otherwise as `shape_of`."""
    if config.data.name == NPZ:
        size = own_sequences.inspect(_file(config), _split(config)).train
    else:
        files = mnist.files_of(config.data.name)
        size = files.train_images.shape[0] - files.validation if files else DIGITS_TRAIN_SIZE
    return size if config.data.limit is None else min(size, config.data.limit)


def check_batch(config: Config, examples: int) -> None:
    """Raises ConfigError for a batch larger than a training set of so many examples."""
    if config.train.batch_size > examples:
        raise ConfigError(
            f"train.batch_size={config.train.batch_size}: larger than the training set; "
            f"data={config.data.name} has {examples:,} training sequences here, so at most {examples}"
        )


def shape_in(config: Config, opened: dataset.Dataset) -> Shape:
    """The shape of data that is open."""
    _, steps, features = sequences(config, opened, "train", slice(1)).shape
    return Shape(steps, features, opened.classes)


def fingerprint(config: Config) -> str | None:
    """SHA-256 of a person's own file; None for the others, whose content is fixed."""
    return own_sequences.inspect(_file(config), _split(config)).sha256 if config.data.name == NPZ else None


def sequences(config: Config, opened: dataset.Dataset, split: str, rows: Rows = ALL) -> np.ndarray:
    """A split, or these rows of it, as sequences (N, T, I) in the type of the run's weights.

    Made anew each time: what is kept is as small as it is stored.
    """
    examples, normalize = opened.split(split).examples[rows], config.data.normalize
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
