"""The two sides of a race: composed and checked as `run.py` does, before anything starts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.config.checks import config_error
from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher import launch, preflight

SEPARATOR = re.compile(r"[\s,]+(?=[+~]?[\w./@]+=)")  # between two overrides


class RaceError(HarnessError):
    """A race that cannot start or whose result cannot be written; the message says why."""


@dataclass(frozen=True)
class Side:
    """One of the two configurations that race.

    `text` is the side as it was typed (`as configured` if nothing was), `threads` the number of cores that it
    uses on this machine, `gpus` the GPUs that it can run on.
    """

    text: str
    config: Config
    threads: int
    gpus: tuple[str, ...]

    @property
    def names_device(self) -> bool:
        return any(override.startswith("device=") for override in overrides(self.text))


def overrides(text: str) -> list[str]:
    """The overrides of a side: `backend=keras backend.engine=jax`, separated by blanks or commas."""
    return [part for part in SEPARATOR.split(text.strip()) if part]


def side(text: str, common: Sequence[str]) -> Side:
    """Raises ConfigError for an invalid configuration and for one that has no updates to time; Unavailable if
    the machine lacks the cores or the device; DataError and WeightsError."""
    config = preflight.checked_configuration([*common, *overrides(text)])
    if config.mode == "stream":
        raise config_error("mode", config.mode, "a race times updates: train or throughput")
    if config.train.solver != "gradient":
        raise config_error("train.solver", config.train.solver, "a race times updates: gradient")
    preflight.check_inputs(config)
    threads, gpus = launch.threads_and_gpus(config)
    return Side(text.strip() or "as configured", config, threads, tuple(gpus))


def plan(a: str, b: str, common: Sequence[str]) -> tuple[Side, Side]:
    """Both sides. They may be the same configuration."""
    return side(a, common), side(b, common)
