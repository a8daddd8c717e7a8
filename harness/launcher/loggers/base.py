"""Loggers: TensorBoard, MLflow and Weights & Biases follow a run as it goes.

There is one module per logger. Its function `start(config, run)` returns a `Logger`. `thread` calls it from a
thread of the launcher, never from the process that is timed; `fields` selects what a logger is given.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from harness.config.checks import config_error
from harness.config.schema import Config
from harness.errors import ConfigError
from harness.measure.directories import cache_directory
from harness.store import roots
from harness.store.record import RunRecord
from harness.text import one_line


@dataclass(frozen=True)
class LoggedRun:
    """Identifies a run in a logger. An attempt and those that resume from its checkpoints have the same `id`.

    `name` is for a person; `resumed` is true if there is a checkpoint to resume from.
    """

    id: str
    key: str
    name: str
    resumed: bool


class Logger(Protocol):
    """One run in a logger. Every method, and the module's `start`, may raise anything."""

    location: str  # where a person finds the run: a directory or a URL

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of one epoch. A resumed run repeats earlier epochs; none may appear twice."""

    def end(self, record: RunRecord, directory: Path | None) -> None:
        """Ends the run, whatever its status; `directory` holds the attempt's files, if it has any."""


def check(config: Config) -> None:
    """Raises ConfigError for a logger that cannot start: a missing package or address, nobody logged in."""
    name = config.logger.name
    if name == "none":
        return
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # no origin: a directory that happens to have this name
        raise config_error(
            "logger", name, f'{name} is not installed; install it: pip install -c constraints.txt ".[{name}]"'
        )
    if name == "mlflow":
        _check_tracking_uri(config)
    if name == "wandb" and os.environ.get("WANDB_MODE") not in ("offline", "disabled", "dryrun"):
        try:
            import wandb

            api_key = wandb.api.api_key
        except Exception as error:  # an environment variable with a value that wandb does not accept
            raise config_error("logger", name, f"it cannot start: {one_line(str(error), 200)}") from error
        if not api_key:
            raise config_error(
                "logger", name, "nobody is logged in; first `wandb login`, or set WANDB_MODE=offline"
            )


def _check_tracking_uri(config: Config) -> None:
    uri = tracking_uri(config)
    if uri is None:
        raise config_error(
            "logger.uri", None, "logger=mlflow needs its server, here or in MLFLOW_TRACKING_URI"
        )
    try:
        password = urlsplit(uri).password
    except ValueError as error:
        raise config_error("logger.uri", uri, f"is not a URL: {error}") from error
    if password:
        raise ConfigError(
            "logger.uri: a password in it would be stored in every record; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )


def tracking_uri(config: Config) -> str | None:
    """The URL of the MLflow server."""
    return config.logger.uri or os.environ.get("MLFLOW_TRACKING_URI") or None


def directory(config: Config, name: str) -> Path:
    """Where a logger may write files: beside the runs, or in the user's cache if the results are at a URL."""
    root = roots.local_path(config.results.root) or cache_directory()
    path = root.absolute() / name
    path.mkdir(parents=True, exist_ok=True)
    return path
