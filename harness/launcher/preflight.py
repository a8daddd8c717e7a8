"""What a configuration asks of its data and its logger: checked for every run before the first one starts."""

from harness import data
from harness.config import dataset
from harness.config.checks import config_error
from harness.config.schema import Config
from harness.launcher.loggers import base


def check(config: Config) -> None:
    """Raises DataError for a data file that cannot be used, ConfigError for what does not fit its shape and
    for a logger that cannot begin."""
    base.check(config)
    shape = dataset.shape_of(config)
    _truncation(config, shape)


def _truncation(config: Config, shape: data.Shape) -> None:
    k, T = config.train.truncate, shape.steps
    if k is not None and T % k:
        allowed = ", ".join(str(d) for d in range(1, T + 1) if T % d == 0)
        raise config_error(
            "train.truncate", k, f"does not divide the sequence's {T} steps; allowed: {allowed}"
        )
