"""What a configuration asks of its data, weights and logger: checked for every run before any starts."""

from collections.abc import Sequence
from pathlib import Path

from harness.config import dataset
from harness.config.checks import config_error
from harness.config.compose import configuration
from harness.config.schema import Config
from harness.launcher.loggers import base
from harness.store import weights


def checked_configuration(overrides: Sequence[str]) -> Config:
    """What `python run.py *overrides` composes, checked by `check`; raises ConfigError and DataError."""
    config = configuration(overrides)
    check(config)
    return config


def check(config: Config) -> None:
    """Raises DataError for a data file that cannot be used, ConfigError for what does not fit its shape and
    for a logger that cannot begin."""
    base.check(config)
    k, T = config.train.truncate, dataset.shape_of(config).steps
    if k is not None and T % k:
        allowed = ", ".join(str(d) for d in range(1, T + 1) if T % d == 0)
        raise config_error(
            "train.truncate", k, f"does not divide the sequence's {T} steps; allowed: {allowed}"
        )


def check_inputs(config: Config) -> None:
    """Raises ConfigError for a batch larger than the training set, WeightsError for a weights file that
    cannot be read or belongs to another model: what a run needs, and a model alone does not."""
    dataset.check_batch(config, dataset.train_size(config))
    if config.weights:
        weights.check(Path(config.weights), config.model_spec(dataset.shape_of(config)))
