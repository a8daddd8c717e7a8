"""Loggers: TensorBoard, MLflow and Weights & Biases follow a run as it goes.

There is one module per logger, and each has the interface of `Logger`. `thread` calls it from a thread of the
launcher, never from the process that is timed. `fields` has what a logger is given.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from platformdirs import user_cache_dir

from harness.config.checks import refuse
from harness.config.schema import Config
from harness.errors import ConfigError
from harness.store import roots
from harness.store.record import RunRecord
from harness.text import one_line


@dataclass(frozen=True)
class Run:
    """What a logger calls a run: `name` for a person, `id` the same for an attempt and for those that go on
    from its checkpoints, which are `resumed`."""

    id: str
    key: str
    name: str
    resumed: bool


class Logger(Protocol):
    """One run in a logger. A module has `begin(config, run)`, which gives one; anything may raise."""

    place: str  # where a person finds it: a directory or a URL

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """One epoch has ended. A resumed run tells of its earlier ones again: what is there stays single."""

    def end(self, record: RunRecord, directory: Path | None) -> None:
        """The run is over, well or not; its files lie in `directory`, where it got that far."""


def check(config: Config) -> None:
    """Raises ConfigError for a logger that cannot begin: no package, no address, not logged in."""
    name = config.logger.name
    if name == "none":
        return
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # a directory that happens to be called so is no package
        raise refuse(
            "logger",
            name,
            f'{name} is not installed; install it: pip install -c constraints.txt ".[{name}]"',
        )
    if name == "mlflow":
        uri = tracking_uri(config)
        if uri is None:
            raise refuse("logger.uri", None, "logger=mlflow needs its server, here or in MLFLOW_TRACKING_URI")
        try:
            password = urlsplit(uri).password
        except ValueError as error:
            raise refuse("logger.uri", uri, f"no address: {error}") from error
        if password:
            raise ConfigError(
                "logger.uri: a password in it would be in every record; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
    if name == "wandb" and os.environ.get("WANDB_MODE") not in ("offline", "disabled", "dryrun"):
        try:
            import wandb

            known = wandb.api.api_key
        except Exception as error:  # its settings, in the environment, are not what it expects
            raise refuse("logger", name, f"it cannot begin: {one_line(str(error), 200)}") from error
        if not known:
            raise refuse(
                "logger", name, "nobody is logged in; first `wandb login`, or set WANDB_MODE=offline"
            )


def tracking_uri(config: Config) -> str | None:
    """Where MLflow is."""
    return config.logger.uri or os.environ.get("MLFLOW_TRACKING_URI") or None


def directory(config: Config, name: str) -> Path:
    """Where a logger may keep files: beside the runs, or in this user's cache if those are at a URL."""
    root = roots.local(config.results.root) or Path(user_cache_dir("harness"))
    path = root.absolute() / name
    path.mkdir(parents=True, exist_ok=True)
    return path
